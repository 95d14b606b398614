"""How many calls a trunk has in progress, and how fast it starts them."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

_NONE: Final[frozenset[str]] = frozenset()
"""Kept by every call: a set of one's own takes 200 bytes."""


class Limit(Enum):
    """Which limit of a trunk was reached."""

    CALLS = auto()
    CPS = auto()


class _Usage:
    __slots__ = ("calls", "starts")

    def __init__(self) -> None:
        self.calls = 0
        self.starts: deque[float] = deque()


class TrunkLimits:
    """Counts calls per trunk. Limits come with each question, so a changed one acts at once.

    Calls per second are counted over a sliding second: never more than the limit begin
    within any second, which a token bucket would allow twice over.
    """

    def __init__(self) -> None:
        self._usage: dict[str, _Usage] = {}
        self._full: set[str] = set()

    @property
    def full(self) -> frozenset[str]:
        """Trunks that have as many calls as they may."""
        return frozenset(self._full) if self._full else _NONE

    def calls(self, trunk_id: str) -> int:
        """Calls in progress on ``trunk_id``."""
        usage = self._usage.get(trunk_id)
        return usage.calls if usage else 0

    def take(
        self, trunk_id: str, *, max_calls: int | None, max_cps: int | None, now: float
    ) -> Limit | None:
        """Count one more call, or say which limit forbids it (``None`` = no limit)."""
        usage = self._usage.get(trunk_id)
        if usage is None:
            usage = self._usage[trunk_id] = _Usage()
        if max_calls is not None and usage.calls >= max_calls:
            self._full.add(trunk_id)
            return Limit.CALLS
        if max_cps is not None:
            starts = usage.starts
            while starts and (len(starts) > max_cps or now - starts[0] >= 1.0):
                starts.popleft()
            if len(starts) >= max_cps:
                return Limit.CPS
            starts.append(now)
        usage.calls += 1
        if max_calls is not None and usage.calls >= max_calls:
            self._full.add(trunk_id)
        return None

    def give_back(self, trunk_id: str) -> None:
        """One call of ``trunk_id`` is over."""
        usage = self._usage.get(trunk_id)
        if usage is None or usage.calls == 0:
            return
        usage.calls -= 1
        self._full.discard(trunk_id)
        if usage.calls == 0 and not usage.starts:
            del self._usage[trunk_id]
