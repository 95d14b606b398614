"""Messages to a capture server by UDP. Implements :class:`services.signaling.ports.TraceSink`."""

from __future__ import annotations

import socket
from collections.abc import Callable

from services.common.addresses import split_address
from services.signaling.core.hep import Captured, encode
from services.signaling.core.ladder import Step
from services.signaling.core.loop import LOOP
from services.signaling.sip.actions import Peer

BUFFER_BYTES = 1024 * 1024


class HepSink:
    """Sends and forgets: what the kernel does not take at once is dropped, and counted.

    ``local`` says which of our addresses a peer talks with; ``unix_us`` turns an instant of a
    step into Unix time.
    """

    def __init__(
        self,
        address: str,
        *,
        node: str,
        agent: int,
        local: Callable[[Peer], tuple[str, int]],
        unix_us: Callable[[float], int],
    ) -> None:
        host, port = split_address(address)
        family, _, _, _, to = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self._socket.connect(to)
        self._node = node
        self._agent = agent
        self._local = local
        self._unix_us = unix_us
        self.sent = 0
        self.dropped = 0

    def take(self, call_id: str, step: Step) -> None:
        """See :meth:`services.signaling.ports.TraceSink.take`."""
        peer = step.peer
        if peer == LOOP:
            return  # no packet: one call of ours speaks to another
        host, port = self._local(peer)
        ours = Peer(peer.transport, host, port)
        source, destination = (ours, peer) if step.sent else (peer, ours)
        captured = Captured(self._unix_us(step.at), source, destination, step.raw)
        try:
            data = encode(captured, correlation=call_id, node=self._node, agent=self._agent)
            self._socket.send(data)
        except (OSError, ValueError):
            # Full, unreachable, or refused (an error of the one before): the next may pass.
            self.dropped += 1
        else:
            self.sent += 1

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
