"""All sockets behind one port. Implements :class:`services.signaling.ports.Network`."""

from __future__ import annotations

import resource
from typing import Final

from services.common.logs import get_logger
from services.signaling.adapters.tcp import TcpTransport
from services.signaling.adapters.udp import UdpSocket
from services.signaling.core.reach import literal_address
from services.signaling.sip.actions import Peer
from services.signaling.sip.listeners import Listeners

log = get_logger(__name__)

_OTHER_DESCRIPTORS: Final = 500
"""For links, databases, the spool and what is being made and ended."""


class Sockets:
    """Chooses the socket a message leaves by."""

    def __init__(self, udp: list[UdpSocket], tcp: TcpTransport, listeners: Listeners) -> None:
        self._listeners = listeners
        self._udp = udp
        """Filled as the addresses are bound, in the order of the listeners."""
        self._tcp = tcp

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        """See :meth:`services.signaling.ports.Network.send`."""
        if peer.transport != "udp":
            return self._tcp.send(data, peer, key)
        sock = self._towards(peer)
        if sock is not None:
            sock.send(data, peer, key)
        return sock is not None

    def send_alike(self, messages: list[bytes], peer: Peer) -> bool:
        """See :meth:`services.signaling.ports.Network.send_alike`."""
        if peer.transport != "udp":
            return all(self._tcp.send(data, peer, "") for data in messages)
        sock = self._towards(peer)
        if sock is not None:
            sock.send_alike(messages, peer)
        return sock is not None

    def _towards(self, peer: Peer) -> UdpSocket | None:
        number, manner = peer.connection, peer.manner
        if manner is not None and manner.listener:
            chosen = self._listeners.chosen(peer)
            if chosen is None:
                return None
            number = chosen.number
        is_v6 = ":" in peer.host
        for sock in self._udp:
            if sock.number == number if number else sock.is_v6 is is_v6:
                return sock
        # The socket of that number is gone: a restart changed the addresses.
        return self._towards(peer._replace(connection=0)) if peer.connection else None


def allow_descriptors(connections: int) -> int:
    """How many connections the process may have open, at most as many as asked for.

    Raises the soft limit on descriptors as far as that takes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("connections.limited", wanted=connections, descriptors=allowed)
    return max(16, allowed - _OTHER_DESCRIPTORS)


def local_address(listeners: Listeners, peer: Peer) -> tuple[str, int]:
    """What we are called towards a peer, as an address: for who looks at captures."""
    local = listeners.towards(peer)
    host, _, port = local.address.rpartition(":")
    if not literal_address(host.strip("[]")) and local.number:
        host = listeners.all[local.number - 1].host
    return host.strip("[]"), int(port)
