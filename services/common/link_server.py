"""The answering side of links, on plain sockets and on gRPC streams alike.

A service gives one function per link: ``on_items(items, replies)``, called with each batch on
the loop. It answers through ``replies`` at once or later; what is sent before it returns leaves
in one batch.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from google.protobuf.message import DecodeError

from services.common.door import Visitors
from services.common.link import (
    _EVENTS_TAG,
    _HEAD,
    _ITEMS_TAG,
    EventT,
    FrameReader,
    ItemT,
    LinkMethod,
    MalformedFrame,
    Numbered,
    Outbox,
    ReplyT,
    Serialisable,
    field,
)
from services.common.logs import get_logger

log = get_logger(__name__)

ReplyC = TypeVar("ReplyC", bound=Numbered, contravariant=True)
EventC = TypeVar("EventC", bound=Serialisable, contravariant=True)


class Replies(Protocol[ReplyC, EventC]):
    """The way back to one asking process. Keep it to answer later; it outlives its peer."""

    @property
    def is_closed(self) -> bool:
        """Whether the peer has gone: what is sent from now on is lost."""

    def send(self, reply: ReplyC) -> None:
        """Answer the item whose ``id`` the reply carries. Never blocks; drops when closed."""

    def tell(self, event: EventC) -> None:
        """Tell the peer something it did not ask. Never blocks; drops when closed."""


OnItems: TypeAlias = Callable[[Sequence[ItemT], Replies[ReplyT, EventT]], None]


class LinkConnection(asyncio.Protocol, Generic[ItemT, ReplyT, EventT]):
    """One peer on a plain socket; implements :class:`Replies`."""

    def __init__(
        self,
        method: LinkMethod[ItemT, ReplyT, EventT],
        on_items: OnItems[ItemT, ReplyT, EventT],
        transport: asyncio.Transport,
        visitors: Visitors,
    ) -> None:
        self._method = method
        self._on_items = on_items
        self._frames = FrameReader()
        self._outbox = Outbox(asyncio.get_running_loop())
        self._outbox.transport = transport
        self._transport = transport
        self._leave = visitors.admit(self.close)
        self.is_closed = False
        transport.write(bytes(_HEAD))  # accepted

    def data_received(self, data: bytes) -> None:
        """Hand over each batch; a peer that sends rubbish is dropped."""
        try:
            for frame in self._frames.feed(data):
                if frame:
                    self._receive(frame)
                else:
                    self._transport.write(bytes(_HEAD))
        except (MalformedFrame, DecodeError) as error:
            log.error(  # noqa: TRY400 - the peer's fault, not ours: no traceback
                "link.malformed", path=self._method.path, error=str(error)[:200]
            )
            self._transport.abort()

    def _receive(self, batch: bytes) -> None:
        items = self._method.items_of(batch)
        try:
            self._on_items(items, self)
        except Exception:
            # A bug of ours: these items time out at the peer, the next ones are served.
            log.exception("link.handler_failed", path=self._method.path)
        self._outbox.flush()

    def send(self, reply: ReplyT) -> None:
        """See :class:`Replies`."""
        self._add(_ITEMS_TAG, reply)

    def tell(self, event: EventT) -> None:
        """See :class:`Replies`."""
        self._add(_EVENTS_TAG, event)

    def close(self) -> None:
        """Send what is gathered, then close."""
        self._outbox.flush()
        self._transport.close()

    def _add(self, tag: bytes, message: Serialisable) -> None:
        if self.is_closed:
            return
        if self._outbox.is_full:
            log.error("link.peer_stalled", path=self._method.path)
            self._transport.abort()
            return
        self._outbox.add(field(tag, message.SerializeToString()))

    def connection_lost(self, _exc: Exception | None) -> None:
        """Drop what is sent from now on."""
        self.is_closed = True
        self._outbox.close()
        self._leave()


class _StreamReplies(Generic[ReplyT, EventT]):
    """Gathers what is sent while a gRPC stream is being written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._filled = asyncio.Event()
        self.is_closed = False

    def send(self, reply: ReplyT) -> None:
        self._add(_ITEMS_TAG, reply)

    def tell(self, event: EventT) -> None:
        self._add(_EVENTS_TAG, event)

    def _add(self, tag: bytes, message: Serialisable) -> None:
        if not self.is_closed:
            self._parts.append(field(tag, message.SerializeToString()))
            self._filled.set()

    def end(self) -> None:
        self.is_closed = True
        self._filled.set()

    async def batches(self) -> AsyncIterator[bytes]:
        while True:
            await self._filled.wait()
            self._filled.clear()
            parts, self._parts = self._parts, []
            if parts:
                yield b"".join(parts)
            elif self.is_closed:
                return


async def serve_stream(
    requests: AsyncIterator[bytes],
    method: LinkMethod[ItemT, ReplyT, EventT],
    on_items: OnItems[ItemT, ReplyT, EventT],
) -> AsyncIterator[bytes]:
    """Serve the same link to a gRPC peer: serialised batches in, serialised batches out.

    Ends when the peer has ended its side and what was answered by then is written.
    """
    replies: _StreamReplies[ReplyT, EventT] = _StreamReplies()

    async def receive() -> None:
        async for batch in requests:
            on_items(method.items_of(batch), replies)
        replies.end()

    async with asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(receive())
        try:
            async for batch in replies.batches():
                yield batch
        finally:
            replies.end()
            receiving.cancel()
