"""routing, rating and media as signaling asks them, over real links."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from proto.media.v1 import media_pb2
from proto.rating.v1 import rating_pb2
from proto.routing.v1 import routing_pb2
from services.common.events import StreamStats
from services.common.grpc import Server
from services.common.link_methods import MEDIA_LINK, RATING_LINK, ROUTING_LINK
from services.common.link_server import Replies
from services.signaling.adapters import media as signaling_media
from services.signaling.adapters.media import LinkedMedia, open_media_link
from services.signaling.adapters.rating import LinkedCredits, open_rating_link
from services.signaling.adapters.routing import LinkedPlanner, open_routing_link
from services.signaling.core.commands import AnswerMedia, FindRoutes, OfferMedia
from services.signaling.core.values import Candidate, Credit, MediaAnswer, MediaStats, Plan
from tests.support.signaling.party import PATIENCE_S, until

AnswerT = TypeVar("AnswerT")


class Running(Protocol):
    """Any of the three links."""

    @property
    def connected(self) -> bool: ...

    async def run(self) -> None: ...


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/s"


@asynccontextmanager
async def connected(server: Server, link: Running) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        await server.start(tasks)
        running = tasks.create_task(link.run())
        await until(lambda: link.connected)
        yield
        running.cancel()
        await server.stop(0)


async def ask(question: Callable[[Callable[[AnswerT], None]], None]) -> AnswerT:
    """What a callback is called with."""
    answered: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
    question(answered.set_result)
    async with asyncio.timeout(PATIENCE_S):
        return await answered


async def test_a_plan(address: str) -> None:
    asked: list[routing_pb2.PlanRequest] = []

    def plan(
        items: Sequence[routing_pb2.PlanRequest],
        replies: Replies[routing_pb2.PlanReply, routing_pb2.PlanReply],
    ) -> None:
        for item in items:
            asked.append(item)
            candidate = routing_pb2.Candidate(
                vendor_trunk_id="vtr_1", account_id="acc_2", host="h", port=5070,
                transport="tcp", caller="1", called="2", buy_terms=b"{}", media_proxy=True,
                trying_timeout_ms=1, ringing_timeout_ms=2, max_calls=3, max_cps=4,
                stop_codes=[486, 503],
            )  # fmt: skip
            reply = routing_pb2.PlanReply(
                id=item.id,
                account_id="acc_1",
                caller_billed="11",
                called_billed="22",
                sell_terms=b"[]",
                explanation=b"1",
                max_call_s=9,
                candidates=[candidate],
            )
            replies.send(reply)

    server, link = Server(address), open_routing_link(address)
    server.add_link(ROUTING_LINK, plan)
    question = FindRoutes("ctr_1", "a", "b", frozenset({"vtr_9"}))
    planner = LinkedPlanner(link)
    async with connected(server, link):
        answer: Plan | None = await ask(lambda done: planner.plan(question, 7, done))
    assert answer == Plan(
        account_id="acc_1", caller_billed="11", called_billed="22", sell_terms=b"[]",
        explanation=b"1", max_call_s=9,
        candidates=(
            Candidate(
                vendor_trunk_id="vtr_1", account_id="acc_2", host="h", port=5070, transport="tcp",
                caller="1", called="2", buy_terms=b"{}", media_proxy=True, trying_timeout_ms=1,
                ringing_timeout_ms=2, max_calls=3, max_cps=4, stop_codes=(486, 503),
            ),
        ),
    )  # fmt: skip
    assert (asked[0].customer_trunk_id, asked[0].at_unix_ms) == ("ctr_1", 7)
    assert list(asked[0].busy_vendor_trunk_ids) == ["vtr_9"]
    gone: Plan | None = await ask(lambda done: planner.plan(question, 7, done))
    assert gone is None


async def test_credit(address: str) -> None:
    released: list[str] = []

    def rate(
        items: Sequence[rating_pb2.CreditItem],
        replies: Replies[rating_pb2.CreditReply, rating_pb2.CreditReply],
    ) -> None:
        for item in items:
            match item.WhichOneof("request"):
                case "authorize":
                    granted = rating_pb2.AuthorizeReply(reservation_id="r1", paid_ms=60_000)
                    replies.send(rating_pb2.CreditReply(id=item.id, authorize=granted))
                case "extend":
                    more = rating_pb2.ExtendReply(
                        reservation_id=item.extend.reservation_id + "+",
                        paid_ms=item.extend.paid_ms * 2,
                    )
                    replies.send(rating_pb2.CreditReply(id=item.id, extend=more))
                case _:
                    released.append(item.release.reservation_id)

    server, link = Server(address), open_rating_link(address)
    server.add_link(RATING_LINK, rate)
    credits_ = LinkedCredits(link)
    async with connected(server, link):
        granted: Credit | None = await ask(lambda done: credits_.authorize("c", b"{}", done))
        assert granted == Credit(reservation_id="r1", paid_ms=60_000)
        more: Credit | None = await ask(
            lambda done: credits_.extend("c", "r1", b"{}", 60_000, done)
        )
        assert more == Credit(reservation_id="r1+", paid_ms=120_000)
        credits_.release("c", "r1")
        await until(lambda: released == ["r1"])
    gone: Credit | None = await ask(lambda done: credits_.authorize("c", b"{}", done))
    assert gone is None
    credits_.release("c", "r1")
    assert credits_.unreleased == 1


async def test_media(address: str) -> None:
    asked: list[media_pb2.MediaItem] = []
    tell: list[Callable[[media_pb2.MediaEvent], None]] = []

    def relay(
        items: Sequence[media_pb2.MediaItem],
        replies: Replies[media_pb2.MediaReply, media_pb2.MediaEvent],
    ) -> None:
        tell[:] = [replies.tell]
        for item in items:
            asked.append(item)
            match item.WhichOneof("request"):
                case "offer":
                    replies.send(media_pb2.MediaReply(id=item.id, sdp=b"rewritten"))
                case "answer":
                    replies.send(media_pb2.MediaReply(id=item.id, error="codec_mismatch"))
                case "attach":
                    error = "" if item.call_id == "c" else "media_unavailable"
                    replies.send(media_pb2.MediaReply(id=item.id, error=error))
                case "release":
                    stats = media_pb2.StreamStats(packets=5, first_at_unix_ms=1_500, source="s")
                    replies.send(media_pb2.MediaReply(id=item.id, caller=stats))
                case _:
                    pass

    silent: list[str] = []
    heard: list[tuple[str, int]] = []
    connects: list[bool] = []
    server = Server(address)
    link = open_media_link(
        address,
        silent.append,
        lambda call_id, attempt: heard.append((call_id, attempt)),
        lambda: connects.append(link.connected),
    )
    server.add_link(MEDIA_LINK, relay)
    media = LinkedMedia(link, silence_timeout_ms=60_000)
    offer = OfferMedia(1, True, b"sdp", "192.0.2.1", 2, awaits_rtp=True)
    answer = AnswerMedia(2, False, b"sdp", "192.0.2.2", 2, True)
    async with connected(server, link):
        offered: MediaAnswer | None = await ask(lambda done: media.offer("c", offer, done))
        assert offered == MediaAnswer(sdp=b"rewritten")
        refused: MediaAnswer | None = await ask(lambda done: media.answer("c", answer, done))
        assert refused == MediaAnswer(error="codec_mismatch")
        known: bool | None = await ask(lambda done: media.attach("c", done))
        lost: bool | None = await ask(lambda done: media.attach("other", done))
        assert (connects, known, lost) == ([True], True, False)
        media.forget("c", 2)
        stats: MediaStats | None = await ask(lambda done: media.release("c", done))
        assert stats is not None
        first_at = dt.datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=dt.UTC)
        assert stats.caller == StreamStats(packets=5, first_at=first_at, source="s")
        assert stats.callee is None
        tell[0](media_pb2.MediaEvent(call_id="muted", kind="silence", side="SIDE_CALLER"))
        tell[0](media_pb2.MediaEvent(call_id="dead", kind="silence"))
        tell[0](media_pb2.MediaEvent(call_id="c", kind="rtp", side="SIDE_CALLEE", attempt=2))
        await until(lambda: (silent, heard) == (["dead"], [("c", 2)]))
    described = asked[0].offer
    assert getattr(described, "from") == media_pb2.SIDE_CALLER
    assert (described.attempt, described.silence_timeout_ms) == (2, 60_000)
    assert (described.awaits_rtp, asked[1].answer.provisional) == (True, True)
    assert asked[4].forget.attempt == 2


async def test_ends_of_calls_wait_for_media_while_it_is_away(address: str) -> None:
    released: list[str] = []

    def relay(
        items: Sequence[media_pb2.MediaItem],
        replies: Replies[media_pb2.MediaReply, media_pb2.MediaEvent],
    ) -> None:
        for item in items:
            released.append(item.call_id)
            stats = media_pb2.StreamStats(packets=5)
            replies.send(media_pb2.MediaReply(id=item.id, caller=stats))

    link = open_media_link(address, print, print, lambda: media.catch_up())
    media = LinkedMedia(link, silence_timeout_ms=60_000)
    told: list[MediaStats | None] = []
    for call_id in ("one", "two"):
        media.release(call_id, told.append)
    assert told == []
    for _ in range(2):
        server = Server(address)
        server.add_link(MEDIA_LINK, relay)
        async with connected(server, link):
            await until(lambda: len(told) == 2)
    assert released == ["one", "two"]
    assert [stats and stats.caller for stats in told] == [StreamStats(packets=5)] * 2


async def test_questions_wait_for_media_that_has_died_but_not_for_long(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers: list[MediaAnswer | None] = []
    is_dumb = [True]

    def relay(
        items: Sequence[media_pb2.MediaItem],
        replies: Replies[media_pb2.MediaReply, media_pb2.MediaEvent],
    ) -> None:
        for item in items:
            asked.append(str(item.WhichOneof("request")))
            if not is_dumb[0]:
                replies.send(media_pb2.MediaReply(id=item.id, sdp=b"rewritten"))

    link = open_media_link(address, print, print, lambda: media.catch_up())
    media = LinkedMedia(link, silence_timeout_ms=60_000)
    offer = OfferMedia(1, True, b"sdp", "192.0.2.1", 2)
    server = Server(address)
    server.add_link(MEDIA_LINK, relay)
    async with connected(server, link):
        media.offer("c", offer, answers.append)
        await until(lambda: asked == ["offer"])
    # It died before it answered; a call comes and ends before it is back.
    await until(lambda: not link.connected)
    media.offer("short", offer, answers.append)
    media.release("short", lambda _: None)
    assert answers == []
    is_dumb[0] = False
    server = Server(address)
    server.add_link(MEDIA_LINK, relay)
    async with connected(server, link):
        await until(lambda: len(answers) == 2)
    assert answers == [MediaAnswer(sdp=b"rewritten")] * 2
    await until(lambda: asked == ["offer", "offer", "offer", "release"])
    monkeypatch.setattr(signaling_media, "PATIENCE_S", 0.0)
    await until(lambda: not link.connected)
    media.offer("late", offer, answers.append)
    await until(lambda: answers[2:] == [None])
    media.offer("later", offer, answers.append)
    assert answers[3:] == [None]
