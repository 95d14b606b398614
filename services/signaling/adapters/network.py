"""All sockets behind one port. Implements :class:`services.signaling.ports.Network`."""

from __future__ import annotations

from services.signaling.adapters.tcp import TcpTransport
from services.signaling.adapters.udp import UdpSocket
from services.signaling.sip.actions import Peer


class Sockets:
    """Chooses the socket a message leaves by."""

    def __init__(self, udp: list[UdpSocket], tcp: TcpTransport) -> None:
        self._udp = udp
        """Filled as the addresses are bound."""
        self._tcp = tcp

    def local(self, peer: Peer) -> tuple[str, int]:
        """Which of our addresses a peer talks with."""
        number = peer.connection
        if peer.transport == "udp" and 0 < number <= len(self._udp):
            return self._udp[number - 1].address
        is_v6 = ":" in peer.host
        alike = (sock.address for sock in self._udp if sock.is_v6 is is_v6)
        return next(alike, ("::" if is_v6 else "0.0.0.0", 5060))  # noqa: S104 - not bound

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        """See :meth:`services.signaling.ports.Network.send`."""
        if peer.transport != "udp":
            return self._tcp.send(data, peer, key)
        number = peer.connection
        if 0 < number <= len(self._udp):
            return self._udp[number - 1].send(data, peer)
        is_v6 = ":" in peer.host
        for sock in self._udp:
            if sock.is_v6 is is_v6:
                return sock.send(data, peer)
        return False
