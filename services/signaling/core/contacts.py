"""The way to a registered contact: its flow, its Path, or its own address."""

from __future__ import annotations

import msgspec

from services.common.sip_options.trunk import VendorSip
from services.signaling.core.context import Context
from services.signaling.core.headers import address
from services.signaling.core.legs import peer_of
from services.signaling.core.location import Binding
from services.signaling.core.values import Candidate, Way
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr
from services.signaling.sip.uri import parse_sip_uri

REGISTERED = "registered:"
"""What the host of a vendor trunk begins with whose calls go to registered contacts."""


def way_to(binding: Binding, context: Context) -> Way | None:
    """The way to a contact; ``None`` when there is none just now.

    By the flow its REGISTER came by, if that came straight to this node: it is open through
    any NAT. Else by the first hop of its Path (RFC 3327), or as its Contact says.
    """
    try:
        uri = parse_sip_uri(binding.uri)
        hop = NameAddr.parse(binding.path[0]).uri if binding.path else ""
    except MalformedMessage:
        return None
    # Headers in a contact would become headers of our request (section 19.1.5).
    text = str(uri._replace(headers="")) if uri.headers else binding.uri
    is_here = binding.node == context.node
    peer: Peer | None = binding.source
    if hop:
        found = peer_of(hop, context, binding.transport)
        came_by_it = is_here and found is not None and found.host == binding.host
        peer = binding.source if came_by_it else found
    elif binding.transport != "udp" and not (is_here and binding.connection):
        peer = peer_of(binding.uri, context, binding.transport)
    elif not is_here:
        peer = binding.source._replace(connection=0)
    return None if peer is None else Way(text, binding.path, peer)


def contacts_of(candidate: Candidate, context: Context, unix_s: float) -> list[Candidate]:
    """A vendor that is a registered user, as one candidate per contact, the best first.

    The vendor itself, without a way to it, when nobody is registered.
    """
    username = candidate.host.removeprefix(REGISTERED)
    ways = [way_to(binding, context) for binding in context.location.of(username, unix_s)]
    found = [
        msgspec.structs.replace(
            candidate,
            host=way.peer.host,
            port=way.peer.port,
            transport=way.peer.transport,
            way=way,
        )
        for way in ways
        if way is not None
    ]
    return found or [candidate]


def request_uri(candidate: Candidate, sip: VendorSip) -> str:
    """What the INVITE to a candidate asks for."""
    way = candidate.way
    if way is not None and sip.registered.request_uri == "contact":
        return way.uri
    user_and_host = address(candidate.called, bracketed(candidate.host))[1:-1]
    if way is not None:
        user = user_and_host.removeprefix("sip:").rpartition("@")[0]
        return str(parse_sip_uri(way.uri)._replace(user=user or None, password=None))
    port = "" if candidate.port == 5060 else f":{candidate.port}"
    parameter = "" if candidate.transport == "udp" else f";transport={candidate.transport}"
    return user_and_host + port + parameter


def bracketed(host: str) -> str:
    """A host as URIs write it."""
    return f"[{host}]" if ":" in host else host
