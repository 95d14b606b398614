"""Which sources send far more calls than they usually do.

Every source, a customer trunk or a stranger's address, has a baseline: its attempts per second,
averaged over some ten minutes. Far above it for some seconds it floods, until it has been back
near it for a while. What is learned first is not held against anybody: a customer whose first
minute brings 500 calls/s has 500 calls/s as his baseline. Strangers get no such credit.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

SLICE_S: Final = 1.0
LEARN_S: Final = 60.0
"""How long a customer's first traffic is only learned from."""
BASELINE_S: Final = 600.0
"""Over which the baseline is averaged."""
DRIFT_S: Final = 3600.0
"""The same while flooding: in the end, a new level is the usual one."""
FACTOR: Final = 4.0
"""Times the baseline is a flood,"""
FLOOR_CPS: Final = 50.0
"""and at least so many attempts per second;"""
STRANGER_FLOOR_CPS: Final = 2.0
"""from a stranger so many, whatever he usually sends."""
BEGINS_AFTER: Final = 3
"""Slices above the threshold."""
ENDS_AFTER: Final = 30
"""Slices below half of it: a flood that pauses is still one."""
MOST_SOURCES: Final = 10_000


class Meter(NamedTuple):
    """One source as it stands."""

    source: str
    cps: float
    baseline_cps: float
    is_flooding: bool


class _Source:
    __slots__ = (
        "baseline", "began_at", "count", "is_flooding", "is_stranger", "over", "rate", "sliced_at",
        "under",
    )  # fmt: skip

    def __init__(self, now: float, *, is_stranger: bool) -> None:
        self.began_at = self.sliced_at = now
        self.is_stranger = is_stranger
        self.count = 0
        self.rate = self.baseline = 0.0
        self.over = self.under = 0
        self.is_flooding = False

    @property
    def threshold(self) -> float:
        if self.is_stranger:
            return STRANGER_FLOOR_CPS
        return max(FLOOR_CPS, FACTOR * self.baseline)

    def close_slice(self, now: float) -> None:
        elapsed = now - self.sliced_at
        self.rate = self.count / elapsed
        self.count, self.sliced_at = 0, now
        age = now - self.began_at
        is_learning = age <= LEARN_S and not self.is_stranger
        span = DRIFT_S if self.is_flooding else BASELINE_S
        # At first the plain average, from which the moving one takes over.
        span = min(span, age) if not self.is_flooding else span
        threshold = self.threshold
        self.baseline += (self.rate - self.baseline) * min(1.0, elapsed / span)
        if is_learning:
            return
        self.over = self.over + 1 if self.rate > threshold else 0
        self.under = self.under + round(elapsed / SLICE_S) if self.rate < threshold / 2 else 0
        if self.over >= BEGINS_AFTER:
            self.is_flooding = True
        elif self.under >= ENDS_AFTER:
            self.is_flooding = False


class FloodMeters:
    """One meter per source, for the sources heard last."""

    def __init__(self, *, most: int = MOST_SOURCES) -> None:
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._most = most

    def attempt(
        self, source: str, now: float, *, count: int = 1, is_stranger: bool = False
    ) -> bool:
        """Count attempts; whether ``source`` is flooding."""
        one = self._sources.get(source)
        if one is None:
            one = self._sources[source] = _Source(now, is_stranger=is_stranger)
            if len(self._sources) > self._most:
                self._sources.popitem(last=False)
        one.count += count
        if now >= one.sliced_at + SLICE_S:
            one.close_slice(now)
            self._sources.move_to_end(source)
        return one.is_flooding

    def is_flooding(self, source: str) -> bool:
        """Whether it does, as far as its last attempt told."""
        one = self._sources.get(source)
        return one is not None and one.is_flooding

    def on_timer(self, now: float) -> None:
        """Close the slices of those that fell silent; to be called every few seconds."""
        for source, one in list(self._sources.items()):
            if now < one.sliced_at + SLICE_S:
                continue
            one.close_slice(now)
            if one.is_stranger and not one.is_flooding and one.rate == 0.0:
                del self._sources[source]

    @property
    def flooding_count(self) -> int:
        """How many sources flood now."""
        return sum(one.is_flooding for one in self._sources.values())

    def meters(self, most: int = 20) -> list[Meter]:
        """The busiest."""
        found = [
            Meter(source, round(one.rate, 2), round(one.baseline, 2), one.is_flooding)
            for source, one in self._sources.items()
        ]
        return sorted(found, key=lambda meter: -meter.cps)[:most]
