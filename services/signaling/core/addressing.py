"""Where requests go: from URIs, trunks and what is known of the peer to transport addresses."""

from __future__ import annotations

from functools import lru_cache

from services.common.sip_options.trunk import VendorSip
from services.signaling.core.context import Context, is_private
from services.signaling.core.reach import literal_address
from services.signaling.sip.actions import PLAIN, Manner, Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.listeners import default_port
from services.signaling.sip.uri import SipUri, parse_uri

_OPENED = frozenset({"udp", "tcp", "tls"})
"""Transports that we can reach somebody by; WebSockets are for others to open (RFC 7118)."""


def vendor_peer(name: str, address: str, port: int, transport: str, sip: VendorSip) -> Peer:
    """Where a vendor is called: ``name`` is its host as configured, ``address`` what that is."""
    manner = None
    if transport == "tls":
        tls = sip.tls
        own = tls.server_name or ("" if literal_address(name) else name)
        manner = Manner(own.lower().rstrip("."), tls.verify, tls.least_version)
    elif transport == "udp" and sip.transport.oversize == "tcp":
        manner = _GROWING
    if sip.listener:
        manner = (manner or PLAIN)._replace(listener=sip.listener)
    return Peer(transport, address, port, manner=manner)


_GROWING = Manner(grows=True)


def leaving_from(listener: str, peer: Peer) -> Peer:
    """``peer`` as it is reached from a listener of that name; from any when it is empty.

    A stream that is open is used all the same, and one of WebSocket is its own way back.
    """
    if not listener or peer.transport not in _OPENED:
        return peer
    manner = (peer.manner or PLAIN)._replace(listener=listener)
    return peer._replace(connection=peer.connection if peer.reliable else 0, manner=manner)


def peer_of(uri: str, context: Context, transport: str = "udp") -> Peer | None:
    """Where a request to ``uri`` goes; ``None`` when nobody can tell."""
    place = place_of(uri)
    if place is None:
        return None
    host, port, named = place
    wanted = named or transport
    if wanted not in _OPENED:
        return None
    found = context.resolve(host)
    if found is None:
        return None
    manner = Manner(host.lower()) if wanted == "tls" and not literal_address(host) else None
    return Peer(wanted, found, port or default_port(wanted), manner=manner)


@lru_cache(4096)  # a trunk's calls come and go with the same few Contacts
def place_of(uri: str) -> tuple[str, int, str] | None:
    """Host, port and transport that a URI names; port 0 and ``""`` for what it leaves open."""
    try:
        parsed = parse_uri(uri)
    except MalformedMessage:
        return None
    if not isinstance(parsed, SipUri):
        return None
    transport = parsed.transport
    if parsed.scheme == "sips":
        # "transport=tcp" of such a URI is TLS over it (RFC 3261 section 26.2.2).
        transport = {"ws": "wss", "wss": "wss"}.get(transport, "tls")
    return parsed.host.strip("[]"), parsed.port or 0, transport


def target_of(uri: str, peer: Peer, context: Context, rule: str = "auto") -> Peer:
    """Where a request inside a dialog goes.

    ``uri`` is the first route or the Contact, ``peer`` where the dialog was set up, ``rule`` the
    trunk's (``request_to``): ``auto`` believes a Contact unless it is a private address seen
    from outside.
    """
    if rule == "source" or peer.transport not in _OPENED:
        return peer
    place = place_of(uri)
    if place is not None and context.reach.has_address(place[0], peer.host):
        # The dialog stays with the address that answered, of all those the name has.
        return peer if place[1] in {0, peer.port} else peer._replace(port=place[1])
    found = peer_of(uri, context, peer.transport)
    if found is None:
        return peer
    if rule == "source_ip_contact_port":
        return peer if peer.reliable else peer._replace(port=found.port)
    is_elsewhere = found.host != peer.host
    if rule == "auto" and is_elsewhere and is_private(found.host) != is_private(peer.host):
        # A private Contact behind a public source is a NAT that did not rewrite it.
        return peer
    if found.transport != peer.transport:
        return found if peer.manner is None else leaving_from(peer.manner.listener, found)
    if is_elsewhere and found.reliable:
        return _like(peer, found)
    if peer.transport == "tls" and not peer.connection:
        return peer  # over the connection whose certificate was checked
    # Same host over a stream: its connection is used while it lives.
    return found._replace(connection=peer.connection, manner=peer.manner)


def _like(peer: Peer, found: Peer) -> Peer:
    """``found`` reached as ``peer`` is, but for whose certificate it must show."""
    if peer.manner is None:
        return found
    return found._replace(manner=peer.manner._replace(name=(found.manner or PLAIN).name))
