"""One heap of deadlines for all calls.

A call has one entry. A deadline that moves away leaves its entry where it is, to be re-filed
when it comes up: most deadlines of a call only ever move away. Entries of finished calls lose
their call at once, and are swept out when they become the majority.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from services.signaling.core.call import Call

NEVER: Final = float("inf")
_SWEEP_FROM = 1024


class _Entry:
    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Call) -> None:
        self.at = at
        self.call: Call | None = call


class Wakeups:
    """See the module docstring."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Entry]] = []
        self._order = count()
        self._dead = 0

    @property
    def next(self) -> float:
        """When :meth:`due` is next worth calling."""
        return self._heap[0][0] if self._heap else NEVER

    def update(self, call: Call) -> None:
        """Take note of a deadline that may have changed."""
        deadline, entry = call.deadline, call.timer
        if isinstance(entry, _Entry):
            if deadline >= entry.at:
                return
            self._kill(entry)
        elif deadline == NEVER:
            return
        entry = _Entry(deadline, call)
        call.timer = entry
        heappush(self._heap, (deadline, next(self._order), entry))

    def forget(self, call: Call) -> None:
        """It is over."""
        if isinstance(call.timer, _Entry):
            self._kill(call.timer)
        call.timer = None

    def due(self, now: float) -> list[Call]:
        """Those whose deadline has passed; :meth:`update` them once they have acted."""
        heap = self._heap
        ready: list[Call] = []
        while heap and heap[0][0] <= now:
            call = heappop(heap)[2].call
            if call is None:
                self._dead -= 1
                continue
            call.timer = None
            if call.deadline <= now:
                ready.append(call)
            else:
                self.update(call)
        return ready

    def _kill(self, entry: _Entry) -> None:
        entry.call = None
        self._dead += 1
        if self._dead > _SWEEP_FROM and self._dead * 2 > len(self._heap):
            self._heap = [filed for filed in self._heap if filed[2].call is not None]
            heapify(self._heap)
            self._dead = 0
