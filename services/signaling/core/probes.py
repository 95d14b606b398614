"""Light registration probing: OPTIONS to registered contacts, so that they may expire late.

A contact that leaves three in a row unanswered is gone. Any answer is a sign of life, also a
refusal; and the question keeps the NAT on the way open.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

MOST_MISSED: Final = 3
NEVER: Final = float("inf")


class _Probe:
    __slots__ = ("at", "missed", "period_s", "username")

    def __init__(self, username: str, period_s: float, at: float) -> None:
        self.username = username
        self.period_s = period_s
        self.at = at
        self.missed = 0


class Probes:
    """Which contact is to be asked when. Instants are monotonic."""

    def __init__(self) -> None:
        self._probes: dict[str, _Probe] = {}
        self._heap: list[tuple[float, str]] = []

    @property
    def deadline(self) -> float:
        """When :meth:`due` is next worth calling."""
        return self._heap[0][0] if self._heap else NEVER

    def watch(self, binding: str, username: str, period_s: float, now: float) -> None:
        """Ask a contact every ``period_s`` seconds; 0 never."""
        if not period_s:
            self.forget(binding)
            return
        known = self._probes.get(binding)
        if known is not None:
            known.period_s, known.missed = period_s, 0
            return
        self._probes[binding] = probe = _Probe(username, period_s, now + period_s)
        heappush(self._heap, (probe.at, binding))

    def forget(self, binding: str) -> None:
        """Ask it no more."""
        self._probes.pop(binding, None)

    def due(self, now: float) -> list[tuple[str, str]]:
        """Username and binding of those to ask at ``now``."""
        found: list[tuple[str, str]] = []
        while self._heap and self._heap[0][0] <= now:
            at, binding = heappop(self._heap)
            probe = self._probes.get(binding)
            if probe is None or probe.at != at:
                continue
            probe.at = now + probe.period_s
            heappush(self._heap, (probe.at, binding))
            found.append((probe.username, binding))
        return found

    def answered(self, binding: str) -> None:
        """It is alive."""
        probe = self._probes.get(binding)
        if probe is not None:
            probe.missed = 0

    def missed(self, binding: str) -> bool:
        """It did not answer; whether that makes it gone."""
        probe = self._probes.get(binding)
        if probe is None:
            return False
        probe.missed += 1
        if probe.missed < MOST_MISSED:
            return False
        del self._probes[binding]
        return True
