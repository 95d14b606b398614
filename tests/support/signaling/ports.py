"""Ports of signaling that answer in process, for tests of the driver over real sockets."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted, encode
from services.signaling.core.commands import AnswerMedia, AskServer, FindRoutes, OfferMedia
from services.signaling.core.interrupted import Begun, Dialled, InterruptedCall
from services.signaling.core.location import Binding
from services.signaling.core.offered_routes import Ruling
from services.signaling.core.snapshot import CallSnapshot, EndNote
from services.signaling.core.takeover import Left, LiveCall
from services.signaling.core.values import Candidate, Credit, MediaAnswer, MediaStats, Plan


class FixedPlanner:
    """Sends every call to the same candidates."""

    def __init__(self, *candidates: Candidate) -> None:
        self.plan_now: Plan | None = Plan(account_id="acc_1", candidates=candidates)
        self.asked: list[FindRoutes] = []

    def plan(
        self, question: FindRoutes, at_unix_ms: int, on_plan: Callable[[Plan | None], None]
    ) -> None:
        del at_unix_ms
        self.asked.append(question)
        on_plan(self.plan_now)


class FixedRouteServers:
    """Rules the same on every call."""

    def __init__(self) -> None:
        self.ruling: Ruling | None = None
        self.asked: list[AskServer] = []

    def ask(self, question: AskServer, on_ruling: Callable[[Ruling | None], None]) -> None:
        self.asked.append(question)
        on_ruling(self.ruling)


class FixedCredits:
    """Grants every call the same talk time."""

    def __init__(self, credit: Credit | None = None) -> None:
        self.credit = credit or Credit(reservation_id="rsv_1", paid_ms=3_600_000)
        self.released: list[str] = []

    def authorize(
        self, call_id: str, sell_terms: bytes, on_credit: Callable[[Credit | None], None]
    ) -> None:
        del call_id, sell_terms
        on_credit(self.credit)

    def extend(
        self,
        call_id: str,
        reservation_id: str,
        sell_terms: bytes,
        paid_ms: int,
        on_extended: Callable[[Credit | None], None],
    ) -> None:
        del call_id, sell_terms
        on_extended(Credit(reservation_id=reservation_id, paid_ms=paid_ms))

    def release(self, call_id: str, reservation_id: str) -> None:
        self.released.append(f"{call_id}/{reservation_id}")


class EchoMedia:
    """Passes SDP on unchanged."""

    def __init__(self) -> None:
        self.is_known = True
        """Whether it still has the sessions of calls."""

    def offer(
        self, call_id: str, ask: OfferMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        del call_id
        on_answer(MediaAnswer(sdp=ask.sdp))

    def answer(
        self, call_id: str, ask: AnswerMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        del call_id
        on_answer(MediaAnswer(sdp=ask.sdp))

    def forget(self, call_id: str, attempt: int) -> None:
        del call_id, attempt

    def attach(self, call_id: str, on_known: Callable[[bool | None], None]) -> None:
        del call_id
        on_known(self.is_known)

    def release(self, call_id: str, on_stats: Callable[[MediaStats | None], None]) -> None:
        del call_id
        on_stats(MediaStats())


class MemoryEvents:
    """Encodes as the real one does, and keeps the events."""

    def __init__(self, *, keep: bool = True) -> None:
        self.events: list[CallStarted | CallRinging | CallAnswered | CallEnded] = []
        self._keep = keep

    def append(self, event: CallStarted | CallRinging | CallEnded) -> None:
        encode(event)
        if self._keep:
            self.events.append(event)

    def persist(self, event: CallAnswered, on_durable: Callable[[bool], None]) -> None:
        encode(event)
        if self._keep:
            self.events.append(event)
        on_durable(True)

    @property
    def ended(self) -> list[CallEnded]:
        return [event for event in self.events if isinstance(event, CallEnded)]


class MemoryJournal:
    """Encodes as the real one does; :meth:`left` is what a process that dies now leaves."""

    def __init__(self, left: Left | None = None, *, keep: bool = True) -> None:
        self.begun: dict[str, bytes] = {}
        self.dialled: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.ends: dict[str, bytes] = {}
        self._left = left or Left([], [])
        self._keeps = keep

    def _keep(self, where: dict[str, bytes], call_id: str, state: bytes) -> None:
        if self._keeps:
            where[call_id] = state

    def keep(self, call_id: str, snapshot: CallSnapshot) -> None:
        self._keep(self.kept, call_id, msgspec.msgpack.encode(snapshot))

    def keep_end(self, call_id: str, note: EndNote) -> None:
        self._keep(self.ends, call_id, msgspec.msgpack.encode(note))

    def forget(self, call_id: str) -> None:
        for each in (self.begun, self.dialled, self.kept, self.ends):
            each.pop(call_id, None)

    def begin(self, call_id: str, begun: Begun) -> None:
        self._keep(self.begun, call_id, msgspec.msgpack.encode(begun))

    def dial(self, call_id: str, dialled: Dialled) -> None:
        self._keep(self.dialled, call_id, msgspec.msgpack.encode(dialled))

    def take_over(self, now: float) -> Left:
        del now
        return self._left

    def left(self) -> Left:
        return Left(self._answered(), self._interrupted())

    def _interrupted(self) -> list[InterruptedCall]:
        return [
            InterruptedCall(
                msgspec.msgpack.decode(begun, type=Begun),
                msgspec.msgpack.decode(self.dialled[call_id], type=Dialled)
                if call_id in self.dialled
                else None,
            )
            for call_id, begun in self.begun.items()
            if call_id not in self.kept
        ]

    def _answered(self) -> list[LiveCall]:
        return [
            LiveCall(
                msgspec.msgpack.decode(snapshot, type=CallSnapshot),
                msgspec.msgpack.decode(self.ends[call_id], type=EndNote)
                if call_id in self.ends
                else None,
            )
            for call_id, snapshot in self.kept.items()
        ]


class Observations:
    """Keeps the errors."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.changes: list[tuple[str, str, str]] = []

    def call_ended(self, event: CallEnded) -> None:
        del event

    def vendor_changed(self, vendor_trunk_id: str, target: str, failure: str) -> None:
        self.changes.append((vendor_trunk_id, target, failure))

    def failed(self, what: str, error: BaseException) -> None:
        del what
        self.errors.append(error)


class MemoryLocations:
    """Keeps what was stored, by binding id; ``None`` for what was removed."""

    def __init__(self) -> None:
        self.stored: dict[str, Binding | None] = {}

    def put(self, binding: Binding) -> None:
        self.stored[binding.id] = binding

    def remove(self, binding: Binding) -> None:
        self.stored[binding.id] = None
