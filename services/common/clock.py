"""The only place that reads the time.

Durations come from :func:`monotonic`; wall time is read once per call and everything else is
offset from it, so that a stepped clock can neither lengthen nor shorten a call.
"""

import datetime as dt
import time

UTC = dt.UTC

monotonic = time.monotonic
"""Seconds that never step backwards; only differences mean anything."""

wall_ns = time.time_ns
"""Nanoseconds since 1970, to compare with the kernel's stamps on datagrams; for nothing else."""


def utc_now() -> dt.datetime:
    """Wall time, aware, UTC."""
    return dt.datetime.now(UTC)  # noqa: TID251 - the one reading of the wall clock


class WallClock:
    """Turns monotonic instants into wall instants, from one reading of the wall clock.

    One is made per call, at its INVITE.
    """

    __slots__ = ("_monotonic", "_wall")

    def __init__(self, wall: dt.datetime, at: float) -> None:
        self._wall = wall
        self._monotonic = at

    def at(self, instant: float) -> dt.datetime:
        """Wall time of the monotonic ``instant``."""
        return self._wall + dt.timedelta(seconds=instant - self._monotonic)
