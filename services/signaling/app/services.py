"""What calls ask of routing, rating, media and the spool, and how the answers find back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.signaling.core.call import Call
from services.signaling.core.commands import (
    AnswerMedia,
    AskServer,
    Authorize,
    Command,
    Extend,
    FindRoutes,
    ForgetMedia,
    Keep,
    KeepEnd,
    OfferMedia,
    Persist,
    ReleaseCredit,
    ReleaseMedia,
)
from services.signaling.ports import Credits, EventLog, Journal, Media, Planner, RouteServers

Resume = Callable[[Call, list[Command]], None]
"""Carries out what an answer led to."""


@dataclass(frozen=True, slots=True)
class Services:
    """Whom calls ask."""

    planner: Planner
    credits: Credits
    media: Media
    events: EventLog
    journal: Journal
    route_servers: RouteServers

    def performers(
        self, resume: Resume, now: Callable[[], float]
    ) -> dict[type, Callable[..., None]]:
        """What to do for each command that asks somebody."""
        asking = _Asking(self, resume, now)
        return {
            AskServer: asking.ask_server,
            FindRoutes: asking.find_routes,
            Authorize: asking.authorize,
            Extend: asking.extend,
            ReleaseCredit: asking.release_credit,
            OfferMedia: asking.offer_media,
            AnswerMedia: asking.answer_media,
            ForgetMedia: asking.forget_media,
            ReleaseMedia: asking.release_media,
            Persist: asking.persist,
            Keep: asking.keep,
            KeepEnd: asking.keep_end,
        }


class _Asking:
    """One method per command."""

    def __init__(self, ask: Services, resume: Resume, now: Callable[[], float]) -> None:
        self._ask = ask
        self._resume = resume
        self._now = now

    def ask_server(self, call: Call, command: AskServer) -> None:
        self._ask.route_servers.ask(
            command, lambda ruling: self._resume(call, call.on_ruling(ruling, self._now()))
        )

    def find_routes(self, call: Call, command: FindRoutes) -> None:
        at_unix_ms = int(call.record.invited_wall.timestamp() * 1000)
        self._ask.planner.plan(
            command,
            at_unix_ms,
            lambda plan: self._resume(call, call.on_plan(plan, self._now())),
        )

    def authorize(self, call: Call, command: Authorize) -> None:
        self._ask.credits.authorize(
            call.record.call_id,
            command.sell_terms,
            lambda credit: self._resume(call, call.on_credit(credit, self._now())),
        )

    def extend(self, call: Call, command: Extend) -> None:
        self._ask.credits.extend(
            call.record.call_id,
            command.reservation_id,
            command.sell_terms,
            command.paid_ms,
            lambda credit: self._resume(call, call.on_extended(credit, self._now())),
        )

    def release_credit(self, call: Call, command: ReleaseCredit) -> None:
        self._ask.credits.release(call.record.call_id, command.reservation_id)

    def offer_media(self, call: Call, command: OfferMedia) -> None:
        self._ask.media.offer(
            call.record.call_id,
            command,
            lambda answer: self._resume(call, call.on_media(command.token, answer, self._now())),
        )

    def answer_media(self, call: Call, command: AnswerMedia) -> None:
        self._ask.media.answer(
            call.record.call_id,
            command,
            lambda answer: self._resume(call, call.on_media(command.token, answer, self._now())),
        )

    def forget_media(self, call: Call, command: ForgetMedia) -> None:
        self._ask.media.forget(call.record.call_id, command.attempt)

    def release_media(self, call: Call, _: ReleaseMedia) -> None:
        self._ask.media.release(
            call.record.call_id,
            lambda stats: self._resume(call, call.on_media_stats(stats, self._now())),
        )

    def keep(self, call: Call, command: Keep) -> None:
        self._ask.journal.keep(call.record.call_id, command.snapshot)

    def keep_end(self, call: Call, command: KeepEnd) -> None:
        self._ask.journal.keep_end(call.record.call_id, command.note)

    def persist(self, call: Call, command: Persist) -> None:
        # First: it is on disk no later than the event that ``on_durable`` is told of.
        self._ask.journal.keep(call.record.call_id, command.snapshot)
        self._ask.events.persist(
            command.event,
            lambda durable: self._resume(call, call.on_durable(self._now(), durable=durable)),
        )
