"""One listening address for links and for gRPC: a connection's first line tells which it is.

A gRPC connection is passed on, byte by byte, to the grpcio server behind.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from services.common.link import PREAMBLE
from services.common.logs import get_logger

log = get_logger(__name__)

_LONGEST_PREAMBLE = 256
"""Bytes a connection may send before it has said what it is."""
_TIMEOUT_S = 10.0


class Visitors:
    """The connections that are open, so that stopping can close them."""

    def __init__(self) -> None:
        self._open: dict[int, Callable[[], None]] = {}
        self._count = 0

    def admit(self, close: Callable[[], None]) -> Callable[[], None]:
        """Remember how to close one, until the returned function is called."""
        self._count = number = self._count + 1
        self._open[number] = close

        def leave() -> None:
            self._open.pop(number, None)

        return leave

    def close_all(self) -> None:
        """Close those that are still open."""
        for close in list(self._open.values()):
            close()


Accept: TypeAlias = Callable[[asyncio.Transport, Visitors], asyncio.Protocol]
"""Serve a connection, and admit it to the visitors until it is lost."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where connections may be led."""

    links: Mapping[bytes, Accept]
    """By path of the method."""
    grpc: str
    """Unix socket of the grpcio server; a name that is no path is an abstract one."""
    visitors: Visitors
    tasks: asyncio.TaskGroup


class Door(asyncio.Protocol):
    """A new connection, until its first line has told what it is."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._head = b""
        self._late: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first line, but not for ever."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's own class
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(_TIMEOUT_S, transport.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Nothing was begun, so nothing ends."""
        if self._late is not None:
            self._late.cancel()

    def data_received(self, data: bytes) -> None:
        """Decide once there is a line, or too much without one."""
        self._head += data
        line, found, _ = self._head.partition(b"\n")
        transport = self._transport
        if transport is None or (not found and len(self._head) < _LONGEST_PREAMBLE):
            return
        if self._late is not None:
            self._late.cancel()
        if line.startswith(PREAMBLE):
            self._lead_to_link(transport, line.removeprefix(PREAMBLE))
        else:
            transport.pause_reading()
            self._rooms.tasks.create_task(_splice(transport, self._head, self._rooms))

    def _lead_to_link(self, transport: asyncio.Transport, path: bytes) -> None:
        accept = self._rooms.links.get(path)
        if accept is None:
            log.error("link.unknown_method", path=repr(path[:100]))
            transport.abort()
            return
        # A client sends nothing after its preamble until it has been accepted.
        transport.set_protocol(accept(transport, self._rooms.visitors))


async def _splice(front: asyncio.Transport, head: bytes, rooms: Rooms) -> None:
    leave = rooms.visitors.admit(front.close)
    pipe = _Pipe(front, leave)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            back = await _connect(rooms.grpc, pipe)
    except OSError as error:
        log.warning("grpc.unreachable", error=str(error))
        leave()
        front.abort()
        return
    back.write(head)
    front.set_protocol(_Pipe(back, leave))
    if front.is_closing():
        leave()
        back.close()
    else:
        front.resume_reading()


async def _connect(name: str, protocol: asyncio.Protocol) -> asyncio.Transport:
    # uvloop knows no abstract names; and connecting to a local socket never blocks.
    passage = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        passage.setblocking(False)
        passage.connect(name if name.startswith("/") else "\0" + name)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_unix_connection(lambda: protocol, sock=passage)
    except BaseException:
        passage.close()
        raise
    return transport


class _Pipe(asyncio.Protocol):
    """Passes what one transport receives to another, no faster than that one takes it."""

    def __init__(self, to: asyncio.Transport, leave: Callable[[], None]) -> None:
        self._to = to
        self._leave = leave

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._to.write(data)

    def eof_received(self) -> bool:
        """Pass the end on, and keep the other direction open."""
        if not self._to.is_closing():
            self._to.write_eof()
        return True

    def pause_writing(self) -> None:
        """Our own side is full: whoever feeds it has to wait."""
        if not self._to.is_closing():
            self._to.pause_reading()

    def resume_writing(self) -> None:
        """Our own side has room again."""
        if not self._to.is_closing():
            self._to.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """One end is gone, so the other goes."""
        self._leave()
        self._to.close()
