"""media over its link. Implements :class:`services.signaling.ports.Media`."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable

from proto.media.v1 import media_pb2 as pb
from services.common.clock import UTC
from services.common.events import StreamStats
from services.common.link import Link
from services.common.link_methods import MEDIA_LINK
from services.signaling.core.commands import AnswerMedia, OfferMedia
from services.signaling.core.values import MediaAnswer, MediaStats

TIMEOUT_S = 1.0
PATIENCE_S = 2.0
"""How long after media has died questions wait for the next process; later ones fail at once."""

MediaLink = Link[pb.MediaItem, pb.MediaReply, pb.MediaEvent]
OnReply = Callable[[pb.MediaReply | None], None]


def open_media_link(
    address: str,
    on_silence: Callable[[str], None],
    on_rtp: Callable[[str, int], None],
    on_connected: Callable[[], None],
) -> MediaLink:
    """The link to media.

    ``on_silence`` gets the id of a call without audio, ``on_rtp`` that of one whose callee's
    audio was awaited and has begun, with the number of the attempt.
    """

    def on_event(event: pb.MediaEvent) -> None:
        # One silent side is a muted telephone; two are a dead call.
        if event.kind == "silence" and event.side == pb.SIDE_UNSPECIFIED:
            on_silence(event.call_id)
        elif event.kind == "rtp":
            on_rtp(event.call_id, event.attempt)

    return Link(
        MEDIA_LINK, address, timeout_s=TIMEOUT_S, on_event=on_event, on_connected=on_connected
    )


class LinkedMedia:
    """Asks over the link, translates the answers."""

    def __init__(self, link: MediaLink, *, silence_timeout_ms: int) -> None:
        self._link = link
        self._silence_timeout_ms = silence_timeout_ms
        self._waiting: list[tuple[pb.MediaItem, OnReply]] = []
        """Questions that found media away, or were not answered when it went."""
        self._patience: asyncio.TimerHandle | None = None
        self._is_given_up = False
        self._owed: dict[str, Callable[[MediaStats | None], None]] = {}
        """Calls that ended while media was away, and who waits for their figures."""

    def offer(
        self, call_id: str, ask: OfferMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        """See :meth:`services.signaling.ports.Media.offer`."""
        item = pb.MediaItem(call_id=call_id, offer=self._describe(ask, provisional=False))
        self._ask(item, lambda reply: on_answer(_answer(reply)))

    def answer(
        self, call_id: str, ask: AnswerMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        """See :meth:`services.signaling.ports.Media.answer`."""
        describe = self._describe(ask, provisional=ask.provisional)
        item = pb.MediaItem(call_id=call_id, answer=describe)
        self._ask(item, lambda reply: on_answer(_answer(reply)))

    def forget(self, call_id: str, attempt: int) -> None:
        """See :meth:`services.signaling.ports.Media.forget`."""
        self._link.send(pb.MediaItem(call_id=call_id, forget=pb.Forget(attempt=attempt)))

    def attach(self, call_id: str, on_known: Callable[[bool | None], None]) -> None:
        """See :meth:`services.signaling.ports.Media.attach`."""
        item = pb.MediaItem(call_id=call_id, attach=pb.Attach())
        self._link.request(
            item, lambda reply: on_known(None if reply is None else not reply.error)
        )

    def release(self, call_id: str, on_stats: Callable[[MediaStats | None], None]) -> None:
        """See :meth:`services.signaling.ports.Media.release`."""

        def on_reply(reply: pb.MediaReply | None) -> None:
            if reply is None and not self._link.connected:
                self._owed[call_id] = on_stats
            else:
                on_stats(_media_stats(reply))

        self._link.request(pb.MediaItem(call_id=call_id, release=pb.Release()), on_reply)

    def catch_up(self) -> None:
        """Ask what waited for media, and release what ended; to be called once it is back."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._is_given_up = False
        waiting, self._waiting = self._waiting, []
        for item, on_reply in waiting:
            self._ask(item, on_reply)
        # After the questions of the same calls: what these open is closed again.
        owed, self._owed = self._owed, {}
        for call_id, on_stats in owed.items():
            self.release(call_id, on_stats)

    def _ask(self, item: pb.MediaItem, on_reply: OnReply) -> None:
        def on_answer(reply: pb.MediaReply | None) -> None:
            if reply is not None or self._link.connected or self._is_given_up:
                on_reply(reply)
            else:
                self._wait(item, on_reply)

        self._link.request(item, on_answer)

    def _wait(self, item: pb.MediaItem, on_reply: OnReply) -> None:
        """Keep a question: media takes it twice without harm, should it have come already."""
        self._waiting.append((item, on_reply))
        if self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        self._is_given_up = True
        waiting, self._waiting = self._waiting, []
        for _, on_reply in waiting:
            on_reply(None)

    def _describe(self, ask: OfferMedia | AnswerMedia, *, provisional: bool) -> pb.Describe:
        described = pb.Describe(
            sdp=ask.sdp,
            source_host=ask.source_host,
            attempt=ask.attempt,
            provisional=provisional,
            silence_timeout_ms=self._silence_timeout_ms,
        )
        if isinstance(ask, OfferMedia):
            described.target_host = ask.target_host
            described.awaits_rtp = ask.awaits_rtp
        # "from" is a word of Python's.
        setattr(described, "from", pb.SIDE_CALLER if ask.from_caller else pb.SIDE_CALLEE)
        return described


def _answer(reply: pb.MediaReply | None) -> MediaAnswer | None:
    return None if reply is None else MediaAnswer(error=reply.error, sdp=reply.sdp)


def _media_stats(reply: pb.MediaReply | None) -> MediaStats | None:
    if reply is None or reply.error:
        return None
    return MediaStats(
        caller=_stream(reply.caller) if reply.HasField("caller") else None,
        callee=_stream(reply.callee) if reply.HasField("callee") else None,
    )


def _stream(stats: pb.StreamStats) -> StreamStats:
    return StreamStats(
        packets=stats.packets,
        bytes=stats.bytes,
        lost=stats.lost,
        jitter_ms=stats.jitter_ms,
        first_at=_instant(stats.first_at_unix_ms),
        last_at=_instant(stats.last_at_unix_ms),
        refused=stats.refused,
        source=stats.source,
    )


def _instant(unix_ms: int) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms else None
