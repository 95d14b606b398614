"""Requests and replies by the batch: what signaling asks routing, rating and media for every call.

The messages are those of the ``Link`` calls in ``proto/``. A message on a grpcio stream costs
200 to 450 microseconds of CPU on either side, so between our own processes the same batches
travel on a plain socket, at the same address: a preamble naming the method, then frames of a
big-endian 32-bit length and a serialised batch. (Anything else arriving at that address is
gRPC: see :mod:`services.common.grpc`.) An empty frame is a sign of life, answered by another.

A request goes out at the end of the loop's iteration it was made in. At high rates requests
wait up to :data:`LONGEST_GATHER_S` for company: the cost of each falls as load grows.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from google.protobuf.message import DecodeError

from services.common.logs import get_logger
from services.common.pace import Pace

log = get_logger(__name__)

PREAMBLE = b"TANDEM-LINK/1 "
"""First bytes of a link; the method's path and a line feed follow."""
LARGEST_FRAME = 8 * 1024 * 1024
"""Bytes of one batch; more is a peer gone mad, and the link is dropped."""
LARGEST_BACKLOG = 8 * 1024 * 1024
"""Bytes waiting for a peer that does not read, beyond which requests fail at once."""
QUIET_RATE = 600.0
"""Messages per second up to which nothing waits: what causes them came together already."""
BUSY_RATE = 1200.0
"""Messages per second from which gathering is at its longest."""
LONGEST_GATHER_S = 0.005
"""Two links in sequence then add 10 ms to a call at most. A frame costs either side some 85
microseconds of CPU, and each message in it 10 more."""
SIGN_OF_LIFE_S = 5.0
"""Silence after which the client asks for a sign of life; twice more, and the link is dead."""

_HEAD = 4
_ITEMS_TAG = b"\x0a"
"""Field 1, length-delimited: ``items`` of every batch."""
_EVENTS_TAG = b"\x12"
"""Field 2, length-delimited: ``events`` of a reply batch."""


class Serialisable(Protocol):
    """A protobuf message."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Its wire form."""


class Numbered(Serialisable, Protocol):
    """A protobuf message with the number that pairs requests and replies on one stream."""

    id: int


ItemT = TypeVar("ItemT", bound=Numbered)
ReplyT = TypeVar("ReplyT", bound=Numbered)
EventT = TypeVar("EventT", bound=Serialisable)


@dataclass(frozen=True, slots=True)
class LinkMethod(Generic[ItemT, ReplyT, EventT]):
    """One ``Link`` call of a contract, and how its batches are read."""

    path: str
    """``/package.Service/Link``."""
    items_of: Callable[[bytes], Sequence[ItemT]]
    replies_of: Callable[[bytes], tuple[Sequence[ReplyT], Sequence[EventT]]]
    """Replies, and what the server told unasked."""


class MalformedFrame(Exception):
    """The peer does not speak this protocol."""


class FrameReader:
    """Cuts a byte stream into frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames completed by ``data``.

        Raises:
            MalformedFrame: a frame announces more than :data:`LARGEST_FRAME`.
        """
        if self._rest:
            data = self._rest + data
        frames: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= _HEAD:
            size = int.from_bytes(data[at : at + _HEAD], "big")
            if size > LARGEST_FRAME:
                raise MalformedFrame(size)
            if end - at - _HEAD < size:
                break
            at += _HEAD + size
            frames.append(data[at - size : at])
        self._rest = data[at:]
        return frames


def field(tag: bytes, message: bytes) -> bytes:
    """``message`` as one element of a repeated field: batches are joins of these."""
    size = len(message)
    if size < 0x80:
        return tag + bytes((size,)) + message
    varint = bytearray()
    while size >= 0x80:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    varint.append(size)
    return tag + bytes(varint) + message


class Outbox:
    """Gathers messages for one transport and writes them as batches."""

    __slots__ = ("_flush_at", "_loop", "_pace", "_parts", "batches", "messages", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parts: list[bytes] = []
        self._pace = Pace(quiet_rate=QUIET_RATE, busy_rate=BUSY_RATE, longest_s=LONGEST_GATHER_S)
        self._flush_at: asyncio.Handle | None = None
        self.transport: asyncio.WriteTransport | None = None
        self.batches = 0
        self.messages = 0

    def add(self, part: bytes) -> None:
        """Queue one element; it leaves within :data:`LONGEST_GATHER_S`."""
        self._parts.append(part)
        self._pace.note(self._loop.time())
        if self._flush_at is None:
            delay_s = self._pace.delay_s
            self._flush_at = (
                self._loop.call_later(delay_s, self.flush)
                if delay_s
                else self._loop.call_soon(self.flush)
            )

    def flush(self) -> None:
        """Write what was gathered, now."""
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        parts, self._parts = self._parts, []
        if not parts or self.transport is None:
            return
        self.batches += 1
        self.messages += len(parts)
        self.transport.write(framed(parts))

    @property
    def is_full(self) -> bool:
        """Whether the peer has stopped reading."""
        transport = self.transport
        return transport is not None and transport.get_write_buffer_size() > LARGEST_BACKLOG

    def close(self) -> None:
        """Forget what is queued and write no more."""
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        self._parts.clear()
        self.transport = None


def framed(parts: Sequence[bytes]) -> bytes:
    """A frame whose payload is the join of ``parts``."""
    size = sum(map(len, parts))
    return b"".join((size.to_bytes(_HEAD, "big"), *parts))


class Link(Generic[ItemT, ReplyT, EventT]):
    """The asking side of one link; :meth:`run` keeps it connected.

    Not thread-safe: everything happens on the loop that runs :meth:`run`.

    Args:
        method: one of :mod:`services.common.link_methods`.
        address: ``host:port`` or ``unix:/path`` of the other service.
        timeout_s: how long a reply may take; a request may live a quarter longer.
        on_event: called with whatever the server tells unasked.
        on_connected: called whenever requests can be made again.
    """

    def __init__(
        self,
        method: LinkMethod[ItemT, ReplyT, EventT],
        address: str,
        *,
        timeout_s: float = 2.0,
        on_event: Callable[[EventT], None] | None = None,
        on_connected: Callable[[], None] | None = None,
    ) -> None:
        self._method = method
        self._address = address
        self._timeout_s = timeout_s
        self._on_event = on_event
        self._on_connected = on_connected
        self._waiting: dict[int, Callable[[ReplyT | None], None]] = {}
        self._deadlines: deque[tuple[float, int]] = deque()
        self._sweep_at: asyncio.TimerHandle | None = None
        self._next_id = 0
        self._outbox: Outbox | None = None
        self.sent = 0
        self.timed_out = 0
        self.refused = 0
        """Requests that found the link down, or whose link went down."""
        self.connects = 0

    @property
    def connected(self) -> bool:
        """Whether a request made now would be sent."""
        return self._outbox is not None

    @property
    def waiting(self) -> int:
        """Requests without a reply so far."""
        return len(self._waiting)

    def request(self, item: ItemT, on_reply: Callable[[ReplyT | None], None]) -> None:
        """Ask; ``on_reply`` is called once, with ``None`` when there is no answer to be had.

        Never blocks. ``item.id`` is assigned. While disconnected, or when the peer has stopped
        reading, ``on_reply(None)`` is called before this returns.
        """
        outbox = self._outbox
        if outbox is None or outbox.is_full:
            self.refused += 1
            on_reply(None)
            return
        self._next_id = number = self._next_id + 1
        item.id = number
        self._waiting[number] = on_reply
        self._deadlines.append((asyncio.get_running_loop().time() + self._timeout_s, number))
        if self._sweep_at is None:
            self._arm_sweep()
        self.sent += 1
        outbox.add(field(_ITEMS_TAG, item.SerializeToString()))

    def send(self, item: ItemT) -> bool:
        """Tell something that is not answered; ``False`` when the link is down."""
        outbox = self._outbox
        if outbox is None or outbox.is_full:
            self.refused += 1
            return False
        self._next_id = item.id = self._next_id + 1
        self.sent += 1
        outbox.add(field(_ITEMS_TAG, item.SerializeToString()))
        return True

    async def run(self) -> None:
        """Connect, and connect again whenever the link breaks, until cancelled."""
        pause_s = 0.05
        while True:
            connection = _Connection(self)
            try:
                async with asyncio.timeout(5.0):
                    await _connect(self._address, connection)
                    await connection.accepted
            except OSError as error:
                connection.abort()
                log.warning("link.unreachable", path=self._method.path, error=repr(error))
                # Spread, so that the nodes of a cluster do not come back in step.
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311
                pause_s = min(pause_s * 2, 2.0)
                continue
            pause_s = 0.05
            await self._serve(connection)

    async def _serve(self, connection: "_Connection[ItemT, ReplyT, EventT]") -> None:
        loop = asyncio.get_running_loop()
        outbox = Outbox(loop)
        outbox.transport = connection.transport
        self._outbox = outbox
        self.connects += 1
        log.info("link.connected", path=self._method.path)
        try:
            if self._on_connected is not None:
                self._on_connected()
            await connection.watch()
        finally:
            self._outbox = None
            outbox.close()
            connection.abort()
            self._fail_all()
        log.warning("link.lost", path=self._method.path)

    def receive(self, batch: bytes) -> None:
        """Hand the replies and events of one batch to whoever waits for them."""
        replies, events = self._method.replies_of(batch)
        waiting = self._waiting
        for reply in replies:
            on_reply = waiting.pop(reply.id, None)
            if on_reply is not None:
                _call(on_reply, reply)
        if self._on_event is not None:
            for event in events:
                _call(self._on_event, event)

    @property
    def path(self) -> str:
        """The method's path."""
        return self._method.path

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._deadlines.clear()
        self.refused += len(waiting)
        for on_reply in waiting.values():
            _call(on_reply, None)

    def _arm_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        # One timer for all: it wakes when the oldest request is due, and at most four times
        # per timeout, whatever the rate.
        due = max(self._deadlines[0][0], loop.time() + self._timeout_s / 4)
        self._sweep_at = loop.call_at(due, self._sweep)

    def _sweep(self) -> None:
        self._sweep_at = None
        now = asyncio.get_running_loop().time()
        deadlines, waiting = self._deadlines, self._waiting
        while deadlines and (deadlines[0][0] <= now or deadlines[0][1] not in waiting):
            on_reply = waiting.pop(deadlines.popleft()[1], None)
            if on_reply is not None:
                self.timed_out += 1
                _call(on_reply, None)
        if deadlines:
            self._arm_sweep()


T = TypeVar("T")


def _call(callback: Callable[[T], None], value: T) -> None:
    try:
        callback(value)
    except Exception as error:  # noqa: BLE001 - one caller's bug must not starve the others
        asyncio.get_running_loop().call_exception_handler(
            {"message": "link callback failed", "exception": error}
        )


async def _connect(address: str, protocol: asyncio.Protocol) -> None:
    loop = asyncio.get_running_loop()
    if address.startswith("unix:"):
        await loop.create_unix_connection(lambda: protocol, address.removeprefix("unix:"))
        return
    host, _, port = address.rpartition(":")
    await loop.create_connection(lambda: protocol, host.strip("[]"), int(port))


class _Connection(asyncio.Protocol, Generic[ItemT, ReplyT, EventT]):
    """The client's end of one socket."""

    def __init__(self, link: Link[ItemT, ReplyT, EventT]) -> None:
        loop = asyncio.get_running_loop()
        self._link = link
        self._frames = FrameReader()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._heard = True
        self.accepted: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Name the method; the server's first frame says that it knows it."""
        self.transport = transport = cast("asyncio.Transport", transport)  # uvloop's own class
        transport.set_write_buffer_limits(high=LARGEST_BACKLOG)
        transport.write(PREAMBLE + self._link.path.encode() + b"\n")

    def data_received(self, data: bytes) -> None:
        """Deliver what came; a peer that sends rubbish is dropped."""
        self._heard = True
        try:
            for frame in self._frames.feed(data):
                if not self.accepted.done():
                    self.accepted.set_result(None)
                if frame:
                    self._link.receive(frame)
        except (MalformedFrame, DecodeError) as error:
            log.error(  # noqa: TRY400 - the peer's fault, not ours: no traceback
                "link.malformed", path=self._link.path, error=str(error)[:200]
            )
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for this connection."""
        if not self.accepted.done():
            self.accepted.set_exception(exc or ConnectionResetError("closed by the peer"))
        if not self._lost.done():
            self._lost.set_result(None)

    async def watch(self) -> None:
        """Return once the connection is lost or its peer has been mute for too long."""
        silent = 0
        while silent < 3:
            self._heard = False
            done, _ = await asyncio.wait([self._lost], timeout=SIGN_OF_LIFE_S)
            if done:
                return
            silent = 0 if self._heard else silent + 1
            if silent and self.transport is not None:
                self.transport.write(bytes(_HEAD))

    def abort(self) -> None:
        """Close without waiting for the peer."""
        if self.transport is not None:
            self.transport.abort()
        if self.accepted.done() and not self.accepted.cancelled():
            self.accepted.exception()  # retrieved: nobody else will
