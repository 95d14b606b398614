"""Streams: connections accepted and made on demand, reused both ways (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final, cast

from services.signaling.core.trunks import canonical_host
from services.signaling.sip.actions import Peer
from services.signaling.sip.stream import PONG, Framed, Framer, Ping

Datagram = tuple[bytes, Peer]

MOST_CONNECTIONS: Final = 4096
MOST_FROM_ONE_HOST: Final = 64
"""Accepted from one address: an idle flood of them must not lock the others out."""
CONNECT_TIMEOUT_S: Final = 4.0
MESSAGE_TIMEOUT_S: Final = 30.0
"""For a message that has begun: a half one for longer is an attack."""
IDLE_TIMEOUT_S: Final = 900.0
MOST_UNSENT_BYTES: Final = 1024 * 1024


class Connection(asyncio.Protocol):
    """One stream, either way."""

    def __init__(self, transport_: TcpTransport, peer: Peer) -> None:
        self._owner = transport_
        self.peer = peer
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[tuple[bytes, str]] = []
        self._busy_since = 0.0
        self.used_at = 0.0
        self.is_accepted = peer.connection == 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the socket; send what waited for it."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self.used_at = asyncio.get_running_loop().time()
        if self.is_accepted:
            host, port = transport.get_extra_info("peername")[:2]
            self.peer = Peer("tcp", canonical_host(str(host).partition("%")[0]), int(port))
            if not self._owner.admit(self):
                transport.abort()
                return
        for data, _ in self._unsent:
            transport.write(data)
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        """Cut messages out of the stream and pass them on."""
        now = asyncio.get_running_loop().time()
        self.used_at = now
        messages: list[Datagram] = []
        for event in self._framer.feed(data):
            if isinstance(event, Framed):
                messages.append((event.data, self.peer))
            elif isinstance(event, Ping):
                self.write(PONG, "")
        self._busy_since = 0.0 if self._framer.is_idle else self._busy_since or now
        if messages:
            self._owner.on_messages(messages)
        if self._framer.is_broken:
            self.close()  # after the answers to what came before the break

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        """Fail what was on its way."""
        self._owner.forget(self)

    def write(self, data: bytes, key: str) -> bool:
        """Send, or keep until connected; ``False`` when the peer has stopped reading."""
        transport = self._transport
        if transport is None:
            self._unsent.append((data, key))
            return len(self._unsent) < 1000
        if transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            transport.abort()
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        """Close once what is written has left."""
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> list[str]:
        """The connection could not be made: the transactions that waited for it."""
        keys = [key for _, key in self._unsent if key]
        self._unsent.clear()
        return keys

    def is_overdue(self, now: float) -> bool:
        """Whether it is silent, or half a message, for too long."""
        half = self._busy_since and now - self._busy_since > MESSAGE_TIMEOUT_S
        return bool(half) or now - self.used_at > IDLE_TIMEOUT_S


class TcpTransport:
    """All streams of the process; :meth:`run` connects and tidies."""

    def __init__(
        self,
        *,
        on_messages: Callable[[list[Datagram]], None],
        on_failed: Callable[[str], None],
        on_lost: Callable[[Peer], None],
    ) -> None:
        self.on_messages = on_messages
        self._on_failed = on_failed
        self._on_lost = on_lost
        # Datagram sockets have the small numbers.
        self._numbers = count(1_000)
        self._by_number: dict[int, Connection] = {}
        self._by_address: dict[tuple[str, int], Connection] = {}
        self._from_host: dict[str, int] = {}
        self._to_connect: asyncio.Queue[Connection] = asyncio.Queue()
        self._listeners: list[asyncio.Server] = []

    @property
    def connections(self) -> int:
        """Open ones, or about to be."""
        return len(self._by_number)

    async def listen(self, address: tuple[str, int]) -> None:
        """Accept at ``address``.

        Raises:
            OSError: it is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        self._listeners.append(
            await loop.create_server(
                lambda: Connection(self, Peer("tcp", "", 0)), *address, reuse_address=True
            )
        )

    def close(self) -> None:
        """Stop accepting and close everything."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self._by_number.values()):
            connection.close()

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        """Send over the peer's connection, or a new one; ``False`` when that is impossible."""
        connection = self._by_number.get(peer.connection) or self._by_address.get(
            (peer.host, peer.port)
        )
        if connection is None:
            if not key or len(self._by_number) >= MOST_CONNECTIONS:
                return False  # a response whose connection is gone has nowhere to go
            connection = self._open(peer)
        return connection.write(data, key)

    def _open(self, peer: Peer) -> Connection:
        numbered = peer._replace(connection=next(self._numbers))
        connection = Connection(self, numbered)
        self._file(connection)
        self._to_connect.put_nowait(connection)
        return connection

    def admit(self, connection: Connection) -> bool:
        """Take an accepted connection, unless there are too many."""
        host = connection.peer.host
        if (
            len(self._by_number) >= MOST_CONNECTIONS
            or self._from_host.get(host, 0) >= MOST_FROM_ONE_HOST
        ):
            return False
        self._from_host[host] = self._from_host.get(host, 0) + 1
        connection.peer = connection.peer._replace(connection=next(self._numbers))
        self._file(connection)
        return True

    def _file(self, connection: Connection) -> None:
        peer = connection.peer
        self._by_number[peer.connection] = connection
        self._by_address[peer.host, peer.port] = connection

    def forget(self, connection: Connection) -> None:
        """It is gone; transactions over it fail."""
        peer = connection.peer
        if self._by_number.pop(peer.connection, None) is None:
            return
        if self._by_address.get((peer.host, peer.port)) is connection:
            del self._by_address[peer.host, peer.port]
        if connection.is_accepted:
            left = self._from_host[peer.host] - 1
            if left:
                self._from_host[peer.host] = left
            else:
                del self._from_host[peer.host]
        for key in connection.abandon():
            self._on_failed(key)
        self._on_lost(peer)
        self._on_lost(peer._replace(connection=0))

    async def run(self) -> None:
        """Connect whom requests wait for, and close what is overdue, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tidy())
            while True:
                tasks.create_task(self._connect(await self._to_connect.get()))

    async def _connect(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        peer = connection.peer
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: connection, peer.host, peer.port)
        except OSError:
            self.forget(connection)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(5.0)
            now = asyncio.get_running_loop().time()
            for connection in list(self._by_number.values()):
                if connection.used_at and connection.is_overdue(now):
                    connection.close()
