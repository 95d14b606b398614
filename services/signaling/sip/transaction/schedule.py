"""When which machine is to be woken: the timers of a whole transaction layer.

Timers of SIP have few durations, so instants arrive in as many ascending runs: an instant goes
to the end of the first run it does not precede, which costs a fraction of a heap. What fits
no run goes to a heap. Stopping a timer costs nothing: the wake-up filed for it is found void
when its time comes.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count
from operator import itemgetter
from typing import Final, Generic, Protocol, TypeVar

from services.signaling.sip.transaction.timers import NEVER


class Timed(Protocol):
    """What can be woken."""

    armed_at: float
    """The wake-up that is filed; the schedule's to keep, at first ``NEVER``."""

    @property
    def deadline(self) -> float:
        """When to wake it; ``NEVER`` when no timer runs."""


T = TypeVar("T", bound=Timed)

RUNS: Final = 8
"""T1, its doublings up to 16*T1, T4, and 64*T1."""

_INSTANT: Final = itemgetter(0)


class Schedule(Generic[T]):
    """Wake-ups in order of their instants."""

    __slots__ = ("_heap", "_order", "_runs", "next")

    def __init__(self) -> None:
        self.next = NEVER
        """When :meth:`due` is next worth calling; ``NEVER`` when nothing is filed."""
        # Two queues each instead of one of pairs: half the objects for the garbage collector.
        self._runs: tuple[tuple[deque[float], deque[T]], ...] = tuple(
            (deque(), deque()) for _ in range(RUNS)
        )
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()

    def file(self, timed: T) -> None:
        """File a wake-up for a deadline that is new or has moved; void what was filed before."""
        at = timed.deadline
        if at == timed.armed_at:
            return
        timed.armed_at = at
        if at == NEVER:
            return
        if at < self.next:
            self.next = at
        for instants, machines in self._runs:
            if not instants or instants[-1] <= at:
                instants.append(at)
                machines.append(timed)
                return
        heappush(self._heap, (at, next(self._order), timed))

    def due(self, now: float) -> list[T]:
        """Take out what is to be woken at ``now``, in order; what goes on is filed again."""
        if now < self.next:
            return []
        found: list[tuple[float, T]] = []
        for instants, machines in self._runs:
            while instants and (instants[0] <= now or machines[0].armed_at != instants[0]):
                _take(instants.popleft(), machines.popleft(), found)
        heap = self._heap
        while heap and (heap[0][0] <= now or heap[0][2].armed_at != heap[0][0]):
            at, _, timed = heappop(heap)
            _take(at, timed, found)
        self.next = min([instants[0] for instants, _ in self._runs if instants], default=NEVER)
        if heap and heap[0][0] < self.next:
            self.next = heap[0][0]
        found.sort(key=_INSTANT)
        return [timed for _, timed in found]


def _take(at: float, timed: T, found: list[tuple[float, T]]) -> None:
    if timed.armed_at == at:
        timed.armed_at = NEVER
        found.append((at, timed))
