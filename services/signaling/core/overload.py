"""How many of the new calls are taken while there is more work than the process can do.

A switch that accepts everything ends up completing nothing: what it answers late is repeated by
its peers, seven times over (RFC 6357 section 1). So the queue is bounded by time. What is
measured is how long messages have waited in the kernel, and how long a call waits for its
routes: the least of it in a tenth of a second, for a queue that empties in between is only a
burst, or a moment in which the machine had other things to do (as CoDel, RFC 8289). From that
follows the share of new INVITEs let in. Nothing else is ever refused here:
requests inside calls free resources.

The share moves in proportion to itself, by a controller with a proportional and an integral
term (as PIE, RFC 8033, in the logarithm): it then behaves the same at twice and at twenty times
the capacity. With nothing waiting it grows back within a second or two: a flood that begins
makes it fall too far, for the calls let in before that still bring their work.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from math import exp
from typing import Final

TICK_S: Final = 0.1
"""The share is moved once in so long."""
AGE_TARGET_S: Final = 0.1
"""How long messages may wait: never empty, so that capacity is used, and far below T1."""
SETUP_TARGET_S: Final = 0.25
"""How long a call may wait for its routes: a hundredth of that is normal."""
STALE_S: Final = 0.5
"""T1: who sent an INVITE that waited longer has repeated it, and the copy waits behind it."""
LEAST_SHARE: Final = 0.02
TOTAL_SHARE: Final = 0.25
"""Below it the overload is total: peers are asked to stay away for a while."""
DROWNING_S: Final = 1.0
"""With the least share and messages older than this, answering is too much as well."""
# A call let in brings most of its work later, up to its BYE: what rises faster than that
# overshoots, and swings. Found by trying all combinations on a model with such calls.
_PROPORTIONAL: Final = 0.8
_INTEGRAL: Final = 0.03
_FASTEST_FALL: Final = 0.7
_FASTEST_RISE: Final = 0.1
_IDLE_RISE: Final = 0.3
"""While nothing waits at all: there is time to waste until something does."""
_IDLE: Final = 0.1
"""Of the targets."""
_BURST: Final = 0.1
"""Seconds' worth of the cap on calls per second that may come at once."""

_NOT_MEASURED: Final = float("inf")


class Verdict(Enum):
    """What becomes of one new INVITE."""

    ADMIT = auto()
    REFUSE = auto()
    """503: the sender may use another way at once."""
    HOLD_OFF = auto()
    """503 with Retry-After: total overload, in which the sender had better leave us alone."""
    DROP = auto()
    """No answer, as if lost: its copy follows, or answering is too much already."""


# Attributes of an Enum class are looked up in a microsecond's tenth.
ADMIT, REFUSE, HOLD_OFF, DROP = Verdict


class Overload:
    """The controller; ``dice`` returns random numbers from 0 to 1.

    ``most_cps`` caps new calls per second, whatever the load; 0 = no cap.
    """

    def __init__(self, dice: Callable[[], float], *, most_cps: int = 0) -> None:
        self.is_active = most_cps > 0
        """Whether :meth:`judge` must be asked; while not, everything is let in."""
        self.share = 1.0
        """Of new INVITEs, let in."""
        self.age_s = 0.0
        """How long the messages read last had waited."""
        self.setup_s = 0.0
        """How long the last call waited for its routes."""
        self._dice = dice
        self._most_cps = most_cps
        self._tokens = self._burst = max(1.0, most_cps * _BURST)
        self._tokens_at = 0.0
        self._tick_at = 0.0
        self._least_age_s = self._least_setup_s = _NOT_MEASURED
        self._last_pressure = 0.0
        self._least_share = LEAST_SHARE
        self._judged = self._heavy = 0
        """New INVITEs since the last tick, and those of them from heavy sources."""

    def on_queue_age(self, age_s: float, now: float) -> None:
        """Messages about to be handled had waited so long; 0 ends a run of late ones."""
        self.age_s = age_s
        if self.is_active or age_s > AGE_TARGET_S:
            self._wake(now)
            self._least_age_s = min(self._least_age_s, age_s)
            self.on_timer(now)

    def on_setup_time(self, waited_s: float, now: float) -> None:
        """A call got its routes after so long."""
        self.setup_s = waited_s
        if self.is_active or waited_s > SETUP_TARGET_S:
            self._wake(now)
            self._least_setup_s = min(self._least_setup_s, waited_s)
            self.on_timer(now)

    def judge(self, now: float, *, reliable: bool = False, heavy: bool = False) -> Verdict:
        """Decide on one new INVITE.

        One that came over a ``reliable`` transport will not be repeated, so it is never dropped.
        ``heavy`` is set for sources that send far more than usual: they are let in by the square
        of the share, which leaves more of it to the others.
        """
        self.on_timer(now)
        self._judged += 1
        if heavy:
            self._heavy += 1
        share = self.share * self.share if heavy else self.share
        if self.age_s > STALE_S and not reliable:
            if share >= 1.0:
                return DROP  # a stall, now over: the copy will be in time
            # In lasting overload the copy would be as late, and the next one too: seven times
            # the load. An answer ends that.
            share = 0.0
        if share >= 1.0 or self._dice() < share:
            return ADMIT if not self._most_cps or self._take(now) else REFUSE
        if self.share > TOTAL_SHARE:
            return REFUSE
        is_drowning = self.share <= self._least_share and self.age_s > DROWNING_S and not reliable
        return DROP if is_drowning and self._dice() < 0.5 else HOLD_OFF

    def on_timer(self, now: float) -> None:
        """Move on when no call asks; to be called now and then."""
        if self.is_active and now >= self._tick_at + TICK_S:
            self._tick(now)

    def retry_after_s(self) -> int:
        """For Retry-After: 1 to 10 seconds, spread so that peers do not come back together."""
        return 1 + int(self._dice() * 9.999)

    def _wake(self, now: float) -> None:
        if not self.is_active:
            self.is_active = True
            self._tick_at = now

    def _tick(self, now: float) -> None:
        ticks = int((now - self._tick_at) / TICK_S)
        self._tick_at = now
        # Where the square of the share is let in, a step of it counts twice.
        weight = 1.0 + self._heavy / max(1, self._judged)
        self._judged = self._heavy = 0
        self._move(self._pressure(), weight)
        self._least_age_s = self._least_setup_s = _NOT_MEASURED
        # Nothing was measured meanwhile: nothing had to wait.
        for _ in range(min(ticks, 100) - 1):
            self._move(0.0, weight)
        if self.share >= 1.0 and self._last_pressure <= 1.0 and self.age_s <= AGE_TARGET_S:
            self.is_active = self._most_cps > 0

    def _pressure(self) -> float:
        """1 where the targets are just met."""
        return max(
            0.0 if least == _NOT_MEASURED else least / target
            for least, target in (
                (self._least_age_s, AGE_TARGET_S),
                (self._least_setup_s, SETUP_TARGET_S),
            )
        )

    def _move(self, pressure: float, weight: float) -> None:
        is_idle = pressure < _IDLE and self._last_pressure < _IDLE
        error = _PROPORTIONAL * (pressure - self._last_pressure) + _INTEGRAL * (pressure - 1.0)
        self._last_pressure = pressure
        step = _IDLE_RISE if is_idle else max(-_FASTEST_FALL, min(_FASTEST_RISE, -error))
        self._least_share = LEAST_SHARE ** (1.0 / weight)
        self.share = max(self._least_share, min(1.0, self.share * exp(step / weight)))

    def _take(self, now: float) -> bool:
        fresh = (now - self._tokens_at) * self._most_cps
        self._tokens_at = now
        self._tokens = min(self._burst, self._tokens + fresh)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
