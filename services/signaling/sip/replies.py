"""Where responses go: as RFC 3581 says, or by a rule of the trunk."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from services.signaling.sip.actions import Peer
from services.signaling.sip.headers import Via
from services.signaling.sip.message import Request

AUTO: Final = "auto"
"""As RFC 3581 and RFC 3261 section 18.2.2 say: the source port when it is asked for."""
SOURCE: Final = "source"
SOURCE_IP_VIA_PORT: Final = "source_ip_via_port"
VIA: Final = "via"


def stamp(request: Request, source: Peer, rules: Callable[[Peer], str] | None) -> Peer:
    """Note the source in the top Via; where responses go (section 18.2.2, RFC 3581).

    Raises:
        MalformedMessage: the Via breaks the grammar, and stays as it is.
    """
    request.stamp_source(source.host, source.port)
    if source.reliable:
        return source
    # maddr is not honoured: it would let anyone aim our responses at anybody.
    via = request.via
    if rules is not None and (rule := rules(source)) != AUTO:
        return reply_peer(rule, source, via)
    if via.asks_rport:
        return source
    port = via.port or 5060
    return source if port == source.port else source._replace(port=port)


def reply_peer(rule: str, source: Peer, via: Via) -> Peer:
    """Where a response to a datagram from ``source`` goes by any rule but :data:`AUTO`."""
    if rule == SOURCE:
        return source
    port = via.port or 5060
    if rule == VIA:
        host = _literal(via.host)
        if host and (":" in host) is (":" in source.host):
            return source._replace(host=host, port=port)
    return source._replace(port=port)


def _literal(host: str) -> str:
    """The address that ``host`` is; ``""`` for a name, which nobody looks up for a response."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return ""
