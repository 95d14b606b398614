"""Routing, rating, media and the spool as a fuzzer has them: they answer when and what it says."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted, encode
from services.signaling.core.commands import AnswerMedia, FindRoutes, OfferMedia
from services.signaling.core.values import Candidate, Credit, MediaAnswer, MediaStats, Plan

VENDOR_HOST = "198.51.100.1"


class Asked(NamedTuple):
    """A question to a service, and its answers by choice; the first one is none at all."""

    call_id: str
    kind: str
    answer: Callable[[Any], None]
    choices: tuple[Any, ...]


class SlowServices:
    """Routing, rating, media and the spool: they answer when the scene says, and what it says."""

    def __init__(self) -> None:
        self.asked: deque[Asked] = deque()
        self.events: list[CallStarted | CallRinging | CallAnswered | CallEnded] = []
        self.granted: Counter[str] = Counter()
        self.released: Counter[str] = Counter()
        self.media: Counter[str] = Counter()
        self.media_released: Counter[str] = Counter()
        self._numbers = count(1)

    def plan(
        self, question: FindRoutes, at_unix_ms: int, on_plan: Callable[[Plan | None], None]
    ) -> None:
        del question, at_unix_ms
        self.asked.append(Asked("", "plan", on_plan, PLANS))

    def authorize(
        self, call_id: str, sell_terms: bytes, on_credit: Callable[[Credit | None], None]
    ) -> None:
        del sell_terms
        reserved = Credit(reservation_id=f"r{next(self._numbers)}", paid_ms=20_000)

        def grant(credit: Credit | None) -> None:
            if credit is not None and credit.reservation_id:
                self.granted[credit.reservation_id] += 1
            on_credit(credit)

        choices = (None, reserved, reserved, Credit(), Credit(refused="credit_exhausted"))
        self.asked.append(Asked(call_id, "credit", grant, choices))

    def extend(
        self,
        call_id: str,
        reservation_id: str,
        sell_terms: bytes,
        paid_ms: int,
        on_extended: Callable[[Credit | None], None],
    ) -> None:
        del sell_terms
        more = Credit(reservation_id=reservation_id, paid_ms=paid_ms + 20_000)
        same = Credit(reservation_id=reservation_id, paid_ms=paid_ms)
        self.asked.append(Asked(call_id, "extend", on_extended, (None, more, same)))

    def release(self, call_id: str, reservation_id: str) -> None:
        del call_id
        if isinstance(reservation_id, str):
            self.released[reservation_id] += 1

    def offer(
        self, call_id: str, ask: OfferMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        self._rewrite(call_id, ask.sdp, on_answer)

    def answer(
        self, call_id: str, ask: AnswerMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        self._rewrite(call_id, ask.sdp, on_answer)

    def _rewrite(
        self, call_id: str, sdp: bytes, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        self.media[call_id] += 1
        good, bad = MediaAnswer(sdp=sdp), MediaAnswer(error="codec_mismatch")
        self.asked.append(Asked(call_id, "media", on_answer, (None, good, good, bad)))

    def forget(self, call_id: str, attempt: int) -> None:
        del call_id, attempt

    def append(self, event: CallStarted | CallRinging | CallEnded) -> None:
        encode(event)
        self.events.append(event)

    def persist(self, event: CallAnswered, on_durable: Callable[[bool], None]) -> None:
        encode(event)
        self.events.append(event)
        self.asked.append(
            Asked(event.call_id, "durable", lambda yes: on_durable(bool(yes)), (False, True, True))
        )


class SlowMedia:
    """Media's own ``release`` asks for statistics, rating's does not."""

    def __init__(self, services: SlowServices) -> None:
        self.offer, self.answer, self.forget = services.offer, services.answer, services.forget
        self._services = services

    def attach(self, call_id: str, on_known: Callable[[bool | None], None]) -> None:
        del call_id
        on_known(True)

    def release(self, call_id: str, on_stats: Callable[[MediaStats | None], None]) -> None:
        self._services.media_released[call_id] += 1
        self._services.asked.append(Asked(call_id, "stats", on_stats, (None, MediaStats())))


def _candidate(number: int, *, media_proxy: bool = False, max_calls: int = 0) -> Candidate:
    return Candidate(
        vendor_trunk_id=f"vtr_{number}",
        account_id="acc_2",
        host=VENDOR_HOST if number else "no.such.name",
        caller="1000",
        called="2000",
        media_proxy=media_proxy,
        max_calls=max_calls,
    )


PLANS = (
    None,
    Plan(account_id="acc_1", candidates=(_candidate(1),)),
    Plan(
        account_id="acc_1",
        candidates=(_candidate(1, media_proxy=True), _candidate(2, media_proxy=True)),
    ),
    Plan(
        account_id="acc_1",
        candidates=(_candidate(0), _candidate(2), _candidate(3, media_proxy=True)),
        max_call_s=30,
    ),
    Plan(account_id="acc_1", candidates=(_candidate(1, max_calls=1), _candidate(2, max_calls=1))),
    Plan(refused="no_route"),
    Plan(refused="something new"),
    Plan(account_id="acc_1"),
)  # fmt: skip
