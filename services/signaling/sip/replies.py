"""Where responses go to a source whose trunk has a rule of its own."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from services.signaling.sip.actions import Peer
from services.signaling.sip.headers import Via

AUTO: Final = "auto"
"""As RFC 3581 and RFC 3261 section 18.2.2 say: the source port when it is asked for."""
SOURCE: Final = "source"
SOURCE_IP_VIA_PORT: Final = "source_ip_via_port"
VIA: Final = "via"


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
