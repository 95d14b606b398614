"""The one timer of a switch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.signaling.app.wakeups import NEVER

TICK_S = 0.01
"""It rings no more often than this.

One wakeup for all that falls into the same hundredth of a second: no timer of SIP is finer than
500 ms, and what a call may not exceed is cut off in its record.
"""


class Alarm:
    """Calls ``ring`` with the monotonic time once ``deadline()`` has passed.

    To be armed whenever that may have become earlier.
    """

    def __init__(
        self,
        ring: Callable[[float], None],
        deadline: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._ring = ring
        self._deadline = deadline
        self._monotonic = monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._rang_at = -NEVER

    def arm(self) -> None:
        """Keep the timer at the earliest deadline there is."""
        soonest = self._rang_at + TICK_S
        if self._timer_at <= soonest:
            return  # under load something is always due as soon as it may be
        at = max(soonest, self._deadline())
        if at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        # uvloop counts whole milliseconds: one more, or the timer would fire early and spin.
        delay = max(0.0, at - self._monotonic()) + 0.001
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_time)

    def close(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, -NEVER

    def _on_time(self) -> None:
        self._timer, self._timer_at = None, NEVER
        self._rang_at = now = self._monotonic()
        self._ring(now)
        self.arm()
