"""All streams: connections accepted and made on demand, reused both ways (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Final

import msgspec

from services.common.logs import get_logger
from services.signaling.adapters.connection import Connection
from services.signaling.adapters.tls import TlsContexts, TlsFailed, TlsSession
from services.signaling.sip.actions import PLAIN, Datagram, Peer
from services.signaling.sip.listeners import MOST_LISTENERS

log = get_logger(__name__)

CONNECT_TIMEOUT_S: Final = 4.0
BACKLOG: Final = 1024
_TIDY_EVERY_S: Final = 5.0
_SAY_AGAIN_S: Final = 60.0
"""A peer whose certificate is refused is not logged more often."""
_LISTENER_STEP: Final = MOST_LISTENERS + 1


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections there may be."""

    most: int = 10_000
    most_from_stranger: int = 64
    """Accepted from one address: an idle flood of them must not lock the others out."""
    most_from_trunk: int = 1024
    """The same for addresses of trunks."""


class TcpTransport:
    """All streams of the process; :meth:`run` connects and tidies.

    ``on_lost`` hears of connections over which requests of ours went, ``on_closed`` of all.
    ``knows`` tells whether a trunk lives at an address. When there are too many connections,
    ``source`` tells the address that a connection to a peer is made from: ``""`` for whichever
    the kernel takes, ``None`` when there is none. When there are too many connections,
    those of strangers make room: first who has never said anything, then who has been quiet
    for longest.
    """

    def __init__(
        self,
        *,
        on_messages: Callable[[list[Datagram]], None],
        on_failed: Callable[[str], None],
        on_lost: Callable[[Peer], None],
        on_closed: Callable[[Peer], None] = lambda _: None,
        knows: Callable[[str], bool] = lambda _: False,
        is_banned: Callable[[str], bool] = lambda _: False,
        source: Callable[[Peer], str | None] = lambda _: "",
        contexts: TlsContexts | None = None,
        limits: StreamLimits | None = None,
        dscp: int = 0,
        resets: bool = False,
    ) -> None:
        self.on_messages = on_messages
        self.resets = resets
        self.refused = 0
        """Connections turned away or ended to make room for others."""
        self._on_failed = on_failed
        self._on_lost = on_lost
        self._on_closed = on_closed
        self._knows = knows
        self._is_banned = is_banned
        self._source = source
        self._contexts = contexts
        self._limits = limits or StreamLimits()
        self._dscp = dscp
        # Multiples of 64: what is added says at which listener. Below are datagram sockets.
        self._numbers = count(_LISTENER_STEP, _LISTENER_STEP)
        self._by_number: dict[int, Connection] = {}
        self._by_peer: dict[Peer, Connection] = {}
        self._from_host: dict[str, int] = {}
        self._silent: OrderedDict[int, Connection] = OrderedDict()
        self._strangers: OrderedDict[int, Connection] = OrderedDict()
        self._complained_at: dict[Peer, float] = {}
        self._to_connect: asyncio.Queue[Connection] = asyncio.Queue()
        self._listeners: list[asyncio.Server] = []

    @property
    def connections(self) -> int:
        """Open ones, or about to be."""
        return len(self._by_number)

    async def listen(
        self, address: tuple[str, int], transport: str = "tcp", number: int = 0
    ) -> int:
        """Accept at ``address``, which the switch knows as listener ``number``; the port bound.

        Raises:
            OSError: it is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        peer = Peer(transport, "", 0, number)
        server = await loop.create_server(
            lambda: Connection(self, peer, is_accepted=True, dscp=self._dscp),
            *address,
            reuse_address=True,
            backlog=BACKLOG,
        )
        self._listeners.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Stop accepting and close everything."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self._by_number.values()):
            connection.close()

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        """Send over the peer's connection, or a new one; ``False`` when that is impossible."""
        connection = self._by_number.get(peer.connection) or self._by_peer.get(_place(peer))
        if connection is None:
            # A response whose connection is gone has nowhere to go, and nobody can be reached
            # by WebSocket.
            if not key or peer.transport not in {"tcp", "tls"} or not self._make_room():
                return False
            connection = self._open(_place(peer))
        return connection.write(data, key)

    def _open(self, place: Peer) -> Connection:
        numbered = place._replace(connection=next(self._numbers))
        connection = Connection(self, numbered, is_accepted=False, dscp=self._dscp)
        self._by_number[numbered.connection] = connection
        self._by_peer[place] = connection
        self._to_connect.put_nowait(connection)
        return connection

    # --- what connections ask ---------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Take an accepted connection, unless there are too many, or of somebody banned."""
        host = connection.peer.host
        is_known = self._knows(host)
        limits = self._limits
        most = limits.most_from_trunk if is_known else limits.most_from_stranger
        is_unwelcome = not is_known and self._is_banned(host)
        if is_unwelcome or self._from_host.get(host, 0) >= most or not self._make_room():
            self.refused += 1
            return False
        self._from_host[host] = self._from_host.get(host, 0) + 1
        number = next(self._numbers) + connection.peer.connection
        connection.peer = peer = connection.peer._replace(connection=number)
        self._by_number[number] = connection
        if peer.transport == "tcp":
            # Not over TLS: whom we would connect to has to show a certificate (RFC 5923).
            self._by_peer[_place(peer)] = connection
        connection.is_stranger = not is_known
        if not is_known:
            self._silent[number] = connection
        return True

    def encrypt(self, connection: Connection) -> TlsSession:
        """The encryption for a connection.

        Raises:
            TlsFailed: there is none.
        """
        if self._contexts is None:
            raise TlsFailed("TLS is not set up")
        peer = connection.peer
        if connection.is_accepted:
            return self._contexts.serve()
        return self._contexts.call(peer.manner or PLAIN, peer.host)

    def on_spoken(self, connection: Connection) -> None:
        """A stranger's has brought a whole message."""
        number = connection.peer.connection
        self._silent.pop(number, None)
        self._strangers[number] = connection
        self._strangers.move_to_end(number)

    def on_tls_failed(self, peer: Peer, reason: str) -> None:
        """A connection that we opened came to nothing: said once in a while."""
        now = asyncio.get_running_loop().time()
        place = _place(peer)
        if now - self._complained_at.get(place, -_SAY_AGAIN_S) >= _SAY_AGAIN_S:
            if len(self._complained_at) >= self._limits.most:
                self._complained_at.clear()
            self._complained_at[place] = now
            name = "" if peer.manner is None else peer.manner.name
            log.warning(
                "tls.refused", host=peer.host, port=peer.port, server_name=name, reason=reason
            )

    def forget(self, connection: Connection) -> None:
        """It is gone; transactions over it fail."""
        peer = connection.peer
        if self._by_number.pop(peer.connection, None) is None:
            return
        self._silent.pop(peer.connection, None)
        self._strangers.pop(peer.connection, None)
        place = _place(peer)
        if self._by_peer.get(place) is connection:
            del self._by_peer[place]
        if connection.is_accepted:
            left = self._from_host[peer.host] - 1
            if left:
                self._from_host[peer.host] = left
            else:
                del self._from_host[peer.host]
        for key in connection.abandon():
            self._on_failed(key)
        self._on_closed(peer)
        if connection.carries_requests:
            # Looks through all transactions: not for the ten thousand that carried nothing.
            self._on_lost(peer)
            self._on_lost(place)

    def _make_room(self) -> bool:
        """Whether there is room for one more connection, if need be at a stranger's cost."""
        if len(self._by_number) < self._limits.most:
            return True
        for waiting in (self._silent, self._strangers):
            victim = next(iter(waiting.values()), None)
            if victim is not None:
                self.refused += 1
                self.forget(victim)
                victim.abort()
                return True
        return False

    # --- over time --------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect whom requests wait for, and close what is overdue, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tidy())
            while True:
                tasks.create_task(self._connect(await self._to_connect.get()))

    async def _connect(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        peer = connection.peer
        source = self._source(peer)
        if source is None:
            self.forget(connection)
            return
        local = (source, 0) if source else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(
                    lambda: connection, peer.host, peer.port, local_addr=local
                )
        except OSError:
            self.forget(connection)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            self.tidy(asyncio.get_running_loop().time())
            if self._contexts is not None:
                self._contexts.reload()

    def tidy(self, now: float) -> None:
        """Close what is overdue."""
        for connection in list(self._by_number.values()):
            if connection.is_overdue(now):
                connection.close()


def _place(peer: Peer) -> Peer:
    """A peer wherever its connection is, or whether there is any."""
    return peer if not peer.connection else peer._replace(connection=0)
