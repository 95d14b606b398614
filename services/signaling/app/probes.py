"""Drives the prober: one timer, and its questions among the requests outside of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from services.signaling.app.outside import OutsideRequests
from services.signaling.core.probing import NEVER, PROBE_TIMERS, Prober, Question
from services.signaling.core.record import peer_text
from services.signaling.core.trunks import VendorPlace
from services.signaling.ports import Observer
from services.signaling.sip.message import Response


class Probes:
    """See the module docstring."""

    def __init__(
        self,
        prober: Prober,
        outside: OutsideRequests,
        observer: Observer,
        monotonic: Callable[[], float],
    ) -> None:
        self._prober = prober
        self._outside = outside
        self._observer = observer
        self._monotonic = monotonic
        self._timer: asyncio.TimerHandle | None = None

    def use(self, places: Sequence[VendorPlace]) -> None:
        """The vendors there are now, or the addresses they have."""
        self._prober.use(places, self._monotonic())
        self._arm()

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self.close()
        if self._prober.deadline == NEVER:
            return
        delay = max(0.0, self._prober.deadline - self._monotonic()) + 0.001
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        for question in self._prober.on_timer(self._monotonic()):
            on_answer = partial(self._on_answer, question)
            self._outside.ask(question.draft, question.peer, on_answer, PROBE_TIMERS)
        self._tell()
        self._arm()

    def _on_answer(
        self, question: Question, response: Response | None, status: int, now: float
    ) -> None:
        if response is None:
            self._prober.on_failure(question, status, now)
        else:
            self._prober.on_response(question, response, now)
        self._tell()

    def _tell(self) -> None:
        for change in self._prober.changes():
            target = peer_text(change.peer)
            self._observer.vendor_changed(change.vendor_trunk_id, target, change.failure)
