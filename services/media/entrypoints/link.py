"""The Link of ``media.v1``: batches of items in, replies and events out."""

import datetime as dt
from collections.abc import Sequence

from proto.media.v1.media_pb2 import SIDE_CALLEE, MediaEvent, MediaItem, MediaReply, StreamStats
from proto.media.v1.media_pb2 import Describe as DescribeMessage
from services.common.causes import EndReason
from services.common.clock import WallClock, monotonic, utc_now
from services.common.link_server import Replies
from services.media.app import MediaCalls
from services.media.core.exchange import Describe, Side
from services.media.core.reception import Report


class MediaLink:
    """Decodes items, calls the app, encodes replies."""

    def __init__(self, calls: MediaCalls) -> None:
        self._calls = calls

    def on_items(
        self, items: Sequence[MediaItem], replies: Replies[MediaReply, MediaEvent]
    ) -> None:
        """Serve one batch; only a release is answered later."""
        owner = _Peer(replies)
        now = monotonic()
        for item in items:
            match item.WhichOneof("request"):
                case "offer":
                    describe = _describe(item.offer)
                    result = (
                        self._calls.offer(item.call_id, describe, owner, now)
                        if describe
                        else EndReason.INTERNAL_ERROR
                    )
                    replies.send(_described(item.id, result))
                case "answer":
                    describe = _describe(item.answer)
                    result = (
                        self._calls.answer(item.call_id, describe, owner, now)
                        if describe
                        else EndReason.INTERNAL_ERROR
                    )
                    replies.send(_described(item.id, result))
                case "forget":
                    self._calls.forget(item.call_id, item.forget.attempt, owner)
                    replies.send(MediaReply(id=item.id))
                case "attach":
                    is_known = self._calls.attach(item.call_id, owner)
                    error = "" if is_known else EndReason.MEDIA_UNAVAILABLE
                    replies.send(MediaReply(id=item.id, error=error))
                case "release":
                    self._release(item, replies)
                case _:
                    replies.send(MediaReply(id=item.id, error=EndReason.INTERNAL_ERROR))
        # Replies leave when this returns.
        self._calls.flush()

    def _release(self, item: MediaItem, replies: Replies[MediaReply, MediaEvent]) -> None:
        item_id = item.id

        def on_reports(caller: Report, callee: Report) -> None:
            wall = WallClock(utc_now(), monotonic())
            replies.send(
                MediaReply(id=item_id, caller=_stats(caller, wall), callee=_stats(callee, wall))
            )

        self._calls.release(item.call_id, on_reports)


class _Peer:
    """One signaling process; implements :class:`services.media.app.Owner`."""

    __slots__ = ("_replies",)

    def __init__(self, replies: Replies[MediaReply, MediaEvent]) -> None:
        self._replies = replies

    @property
    def is_closed(self) -> bool:
        return self._replies.is_closed

    def tell_silence(self, call_id: str) -> None:
        self._replies.tell(MediaEvent(call_id=call_id, kind="silence"))

    def tell_rtp(self, call_id: str, attempt: int) -> None:
        event = MediaEvent(call_id=call_id, kind="rtp", side=SIDE_CALLEE, attempt=attempt)
        self._replies.tell(event)


def _describe(message: DescribeMessage) -> Describe | None:
    """The request in our words; ``None`` when it does not say whose description it is."""
    side: int = getattr(message, "from")  # a keyword of Python
    if side not in (Side.CALLER, Side.CALLEE):
        return None
    return Describe(
        Side(side),
        message.sdp,
        message.source_host,
        message.attempt,
        message.provisional,
        message.silence_timeout_ms,
        message.target_host,
        message.awaits_rtp,
    )


def _described(item_id: int, result: bytes | EndReason) -> MediaReply:
    if isinstance(result, EndReason):
        return MediaReply(id=item_id, error=result)
    return MediaReply(id=item_id, sdp=result)


def _stats(report: Report, wall: WallClock) -> StreamStats:
    return StreamStats(
        packets=report.packets,
        bytes=report.size_bytes,
        lost=report.lost,
        jitter_ms=report.jitter_ms,
        first_at_unix_ms=_unix_ms(wall, report.first_ns),
        last_at_unix_ms=_unix_ms(wall, report.last_ns),
        refused=report.refused,
        source=report.source,
    )


def _unix_ms(wall: WallClock, at_ns: int) -> int:
    if not at_ns:
        return 0
    return (wall.at(at_ns / 1e9) - _EPOCH) // dt.timedelta(milliseconds=1)


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
