"""The way to a registered contact: its flow, its Path, or its own address."""

from __future__ import annotations

import msgspec

from services.signaling.core.addressing import leaving_from, peer_of
from services.signaling.core.context import Context
from services.signaling.core.location import Binding
from services.signaling.core.values import Candidate, Way
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr
from services.signaling.sip.uri import escape_user, parse_sip_uri

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
    if peer is None:
        return None
    user = context.trunks.digest.users.get(binding.username)
    listener = "" if user is None else user.trunk.sip.listener
    return Way(text, binding.path, leaving_from(listener, peer))


def contacts_of(candidate: Candidate, context: Context, unix_s: float) -> list[Candidate]:
    """A vendor that is a registered user, as one candidate per contact, the best first.

    The vendor itself, without a way to it, when nobody is registered.
    """
    username = candidate.host.removeprefix(REGISTERED)
    sip = context.trunks.vendor(candidate.vendor_trunk_id)
    found: list[Candidate] = []
    for binding in context.location.of(username, unix_s):
        way = way_to(binding, context)
        if way is None:
            continue
        if sip.registered.request_uri == "number":
            way = way._replace(uri=_with_number(way.uri, candidate.called))
        transport, host, port = way.peer[:3]
        found.append(
            msgspec.structs.replace(candidate, host=host, port=port, transport=transport, way=way)
        )
    return found or [candidate]


def _with_number(contact: str, called: str) -> str:
    """The called number at the host of a contact, as a PBX wants it."""
    return str(parse_sip_uri(contact)._replace(user=escape_user(called) or None, password=None))
