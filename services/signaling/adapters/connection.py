"""One stream connection: its encryption, its framing, what waits to be sent (RFC 3261 18.3)."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final, Protocol, cast

from services.signaling.adapters.tls import TlsFailed, TlsSession
from services.signaling.adapters.websocket import WebSocketFramer
from services.signaling.core.trunks import canonical_host
from services.signaling.sip.actions import Datagram, Peer
from services.signaling.sip.listeners import SECURE
from services.signaling.sip.stream import PONG, Framed, Framer, Ping

HANDSHAKE_TIMEOUT_S: Final = 10.0
"""From the connection to the end of TLS and of the WebSocket handshake."""
SILENCE_TIMEOUT_S: Final = 32.0
"""For the first whole message of a stranger: who has nothing to say makes room."""
MESSAGE_TIMEOUT_S: Final = 30.0
"""For a message that has begun: a half one for longer is an attack."""
IDLE_TIMEOUT_S: Final = 900.0
MOST_UNSENT_BYTES: Final = 1024 * 1024
_MOST_WAITING: Final = 1000
"""Messages kept for a connection that is being made."""
_RESET: Final = struct.pack("ii", 1, 0)


class Pool(Protocol):
    """What a connection asks of its owner."""

    resets: bool
    """Whether connections are closed by RST, without a wait for late segments."""

    def admit(self, connection: Connection) -> bool:
        """Take an accepted connection, unless there are too many."""

    def encrypt(self, connection: Connection) -> TlsSession:
        """The encryption for a connection; raises :class:`TlsFailed`."""

    def on_spoken(self, connection: Connection) -> None:
        """A stranger's has brought a whole message."""

    def on_messages(self, messages: list[Datagram]) -> None:
        """Whole messages, in the order they came."""

    def on_tls_failed(self, peer: Peer, reason: str) -> None:
        """A connection that we opened came to nothing."""

    def forget(self, connection: Connection) -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """One stream, either way."""

    def __init__(self, pool: Pool, peer: Peer, *, is_accepted: bool, dscp: int = 0) -> None:
        self._pool = pool
        self.peer = peer
        """Of an accepted one only the transport and the listener's number are known at first."""
        self.is_accepted = is_accepted
        self.is_stranger = False
        """Whether it was accepted from where no trunk lives."""
        self.has_spoken = False
        """Whether it has ever brought a whole message."""
        self.carries_requests = False
        """Whether requests of ours went over it, which may wait for their answers."""
        self.made_at = self.used_at = 0.0
        """When it was connected, and when something last came."""
        self._dscp = dscp
        self._framing: Framer | WebSocketFramer
        self._framing = WebSocketFramer() if peer.transport in {"ws", "wss"} else Framer()
        self._tls: TlsSession | None = None
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._unsent: list[tuple[bytes, str]] = []
        self._busy_since = 0.0

    # --- the loop's side ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the socket; send what waited for it, or shake hands first."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self.made_at = self.used_at = asyncio.get_running_loop().time()
        if self.is_accepted:
            address = transport.get_extra_info("peername")
            if address is None:
                transport.abort()  # gone again before we saw it
                return
            host = canonical_host(str(address[0]).partition("%")[0])
            self.peer = self.peer._replace(host=host, port=int(address[1]))
            if not self._pool.admit(self):
                self._drop()
                return
        self._mark(transport)
        if self.peer.transport not in SECURE:
            self._open()
            return
        try:
            self._tls = self._pool.encrypt(self)
            self._tls.start()
        except TlsFailed as error:
            self._fail(error)
            return
        transport.write(self._tls.output())

    def data_received(self, data: bytes) -> None:
        """Cut messages out of the stream and pass them on."""
        now = asyncio.get_running_loop().time()
        self.used_at = now
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
        messages: list[Datagram] = []
        for event in self._framing.feed(data) if data else ():
            if isinstance(event, Framed):
                messages.append((event.data, self.peer))
            elif isinstance(event, Ping) and not event.is_answered:
                self.write(PONG, "")
        self._flush()
        if self._framing.is_idle:
            self._busy_since = 0.0
        elif messages or not self._busy_since:
            self._busy_since = now
        if messages:
            self.has_spoken = True
            if self.is_stranger:
                self._pool.on_spoken(self)
            self._pool.on_messages(messages)
        if self._framing.is_broken:
            self.close()  # after the answers to what came before the break

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        """Fail what was on its way."""
        self._pool.forget(self)

    # --- the pool's side ----------------------------------------------------------------

    def write(self, data: bytes, key: str) -> bool:
        """Send, or keep until connected; ``False`` when the peer has stopped reading."""
        if key:
            self.carries_requests = True
        transport = self._transport
        if transport is None or not self._is_open:
            self._unsent.append((data, key))
            return len(self._unsent) < _MOST_WAITING
        if transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            transport.abort()
            return False
        self._emit(data)
        return True

    def close(self) -> None:
        """Close once what is written has left, or at once where connections are reset."""
        if self._transport is None:
            return
        if self._pool.resets:
            self._drop()
            return
        if isinstance(self._framing, WebSocketFramer):
            self._framing.close()
            self._flush()
        if self._tls is not None:
            self._tls.close()
            self._transport.write(self._tls.output())
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        if self._transport is not None:
            self._drop()

    def abandon(self) -> list[str]:
        """The connection could not be made: the transactions that waited for it."""
        keys = [key for _, key in self._unsent if key]
        self._unsent.clear()
        return keys

    def is_overdue(self, now: float) -> bool:
        """Whether it is silent, half open or half a message for too long."""
        if not self.made_at:
            return False  # being made, which has its own limit
        if not self._is_ready:
            return now - self.made_at > HANDSHAKE_TIMEOUT_S
        if self.is_stranger and not self.has_spoken and now - self.made_at > SILENCE_TIMEOUT_S:
            return True
        half = self._busy_since and now - self._busy_since > MESSAGE_TIMEOUT_S
        return bool(half) or now - self.used_at > IDLE_TIMEOUT_S

    @property
    def _is_ready(self) -> bool:
        """Whether all handshakes are done."""
        return self._is_open and self._framing.is_ready

    # --- inside -------------------------------------------------------------------------

    def _open(self) -> None:
        """It can carry messages now."""
        self._is_open = True
        for data, _ in self._unsent:
            self._emit(data)
        self._unsent.clear()

    def _decrypt(self, tls: TlsSession, data: bytes) -> bytes:
        try:
            data = tls.receive(data)
        except TlsFailed as error:
            self._fail(error)
            return b""
        assert self._transport is not None
        self._transport.write(tls.output())
        if tls.is_open and not self._is_open:
            self._open()
        return data

    def _emit(self, data: bytes) -> None:
        if isinstance(self._framing, WebSocketFramer):
            data = self._framing.wrap(data)
        self._put(data)

    def _put(self, data: bytes) -> None:
        assert self._transport is not None
        if self._tls is not None:
            self._tls.send(data)
            data = self._tls.output()
        self._transport.write(data)

    def _flush(self) -> None:
        """Send what the framing wants to say for itself."""
        if isinstance(self._framing, WebSocketFramer):
            output = self._framing.output()
            if output and self._transport is not None and not self._transport.is_closing():
                self._put(output)

    def _fail(self, error: TlsFailed) -> None:
        assert self._transport is not None
        if self._tls is not None:
            self._transport.write(self._tls.output())  # the alert that says why
        if not self.is_accepted and not self._is_open:
            self._pool.on_tls_failed(self.peer, error.reason)
        self._transport.close()

    def _drop(self) -> None:
        assert self._transport is not None
        sock = self._transport.get_extra_info("socket")
        if sock is not None and self._pool.resets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _mark(self, transport: asyncio.Transport) -> None:
        """Have its packets treated as signaling on the way."""
        sock = transport.get_extra_info("socket")
        if self._dscp and sock is not None:
            mark(sock, self._dscp)


def mark(sock: socket.socket, dscp: int) -> None:
    """Write ``dscp`` (RFC 2474) into the packets of a socket, whatever its family."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
