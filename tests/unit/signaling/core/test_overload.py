"""The share of new calls let in, by a simulated queue and literal time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from services.signaling.core.overload import (
    AGE_TARGET_S,
    DROWNING_S,
    LEAST_SHARE,
    STALE_S,
    TICK_S,
    Overload,
    Verdict,
)

EVEN = tuple(step / 100 + 0.005 for step in range(100))


def dice() -> Callable[[], float]:
    """Every hundredth once in a hundred throws, well mixed."""
    numbers = cycle([EVEN[step * 37 % 100] for step in range(100)])
    return lambda: next(numbers)


REFUSAL_COST = 0.03
"""Of a shed INVITE, in calls."""
STEP_S = 0.02


@dataclass
class Flood:
    """A server that can do 1,000 calls/s is offered ``times`` as many; messages wait in line."""

    times: float
    heavy: bool = False
    now: float = 100.0
    waiting: float = 0.0
    overload: Overload = field(default_factory=lambda: Overload(dice()))
    ages: list[float] = field(default_factory=list)
    admitted: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> Flood:
        for _ in range(round(seconds / STEP_S)):
            self._step()
        return self

    def _step(self) -> None:
        rate, overload = 1000.0 * self.times, self.overload
        self.now += STEP_S
        self.waiting += rate * STEP_S
        age = self.waiting / rate - STEP_S if self.times else 0.0
        overload.on_queue_age(max(0.0, age), self.now)
        overload.judge(self.now, heavy=self.heavy)
        share = overload.share**2 if self.heavy else overload.share
        share = 0.0 if age > STALE_S else share
        handled = min(self.waiting, 1000.0 * STEP_S / (share + (1 - share) * REFUSAL_COST))
        self.waiting -= handled
        self.ages.append(age)
        self.admitted.append(handled * share / STEP_S)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_at_rest_nothing_is_asked() -> None:
    overload = Overload(dice())
    overload.on_queue_age(AGE_TARGET_S / 2, 1.0)
    overload.on_setup_time(0.02, 1.0)
    assert not overload.is_active


@pytest.mark.parametrize("times", [1.5, 2, 5, 10, 20])
@pytest.mark.parametrize("heavy", [False, True])
def test_queue_settles_below_t1_and_capacity_is_used(times: float, *, heavy: bool) -> None:
    flood = Flood(times, heavy=heavy).run(6.0)
    settled = len(flood.ages) // 3
    assert max(flood.ages[settled:]) < STALE_S
    # What refusing the rest costs is lost to calls.
    attainable = 1000 * (1 - (times - 1) * REFUSAL_COST)
    assert mean(flood.admitted[settled:]) > 0.9 * attainable


def test_who_floods_does_not_make_the_share_fall_twice_as_fast() -> None:
    shares = []
    for heavy in (False, True):
        overload = Overload(dice())
        overload.on_queue_age(2 * AGE_TARGET_S, 1.0)
        for _ in range(100):
            overload.judge(1.0, heavy=heavy)
        overload.on_timer(1.0 + TICK_S)
        shares.append(overload.share**2 if heavy else overload.share)
    assert shares[0] < 1.0
    assert shares[1] == pytest.approx(shares[0])


@pytest.mark.parametrize("times", [2, 5, 20])
def test_all_is_let_in_again_within_five_seconds_of_the_end(times: float) -> None:
    flood = Flood(times).run(6.0)
    flood.times = 0.5
    flood.run(5.0)
    assert flood.overload.share == 1.0
    assert not flood.overload.is_active


def test_share_grows_slowly_while_something_waits_and_fast_while_nothing_does() -> None:
    grown = []
    for age_s in (AGE_TARGET_S / 4, 0.0):
        overload = Overload(dice())
        overload.on_queue_age(2 * AGE_TARGET_S, 1.0)
        overload.share = 0.05
        for tick in range(1, 9):
            overload.on_queue_age(age_s, 1.0 + tick * TICK_S * 1.01)
        grown.append(overload.share / 0.05)
    assert grown[0] < 2.0
    assert grown[1] > 5.0


def test_single_stall_sheds_nothing() -> None:
    overload = Overload(dice())
    for n, age_s in enumerate((0.3, 0.28, 0.2, 0.1, 0.02, 0.0)):
        overload.on_queue_age(age_s, 1.0 + n * 0.02)
    overload.on_timer(1.2)
    assert overload.share == 1.0
    assert not overload.is_active


def test_refusals_come_without_retry_after_until_overload_is_total() -> None:
    overload = Overload(dice())
    overload.on_queue_age(2 * AGE_TARGET_S, 1.0)
    seen = set()
    for share in (0.5, 0.1):
        overload.share = share
        seen.add(frozenset(overload.judge(1.01) for _ in range(100)))
    assert seen == {
        frozenset({Verdict.ADMIT, Verdict.REFUSE}), frozenset({Verdict.ADMIT, Verdict.HOLD_OFF}),
    }  # fmt: skip


def test_stale_invites_after_a_stall_are_dropped_unless_nobody_would_repeat_them() -> None:
    overload = Overload(lambda: 0.0)
    overload.on_queue_age(STALE_S + 0.01, 1.0)
    assert overload.judge(1.0) is Verdict.DROP
    assert overload.judge(1.0, reliable=True) is Verdict.ADMIT
    overload.on_queue_age(STALE_S - 0.01, 1.01)
    assert overload.judge(1.01) is Verdict.ADMIT


def test_stale_invites_in_lasting_overload_are_answered_lest_they_come_seven_times() -> None:
    overload = Overload(lambda: 0.0)
    overload.on_queue_age(STALE_S + 0.01, 1.0)
    overload.share = 0.3
    assert overload.judge(1.01) is Verdict.REFUSE
    assert overload.judge(1.01, reliable=True) is Verdict.ADMIT
    overload.share = 0.2
    assert overload.judge(1.01) is Verdict.HOLD_OFF


def test_answers_stop_when_even_they_are_too_much() -> None:
    overload = Overload(lambda: 0.4)
    for tick in range(40):
        overload.on_queue_age(DROWNING_S + 0.1, 1.0 + tick * TICK_S)
    assert overload.share == LEAST_SHARE
    assert overload.judge(4.95) is Verdict.DROP
    assert overload.judge(4.95, reliable=True) is Verdict.HOLD_OFF
    overload._dice = lambda: 0.6
    assert overload.judge(4.95) is Verdict.HOLD_OFF


def test_slow_routing_sheds_too() -> None:
    overload = Overload(dice())
    for tick in range(5):
        overload.on_setup_time(0.8, 1.0 + tick * TICK_S)
    assert overload.is_active
    assert overload.share < 0.5


def test_whoever_sends_far_more_than_usual_leaves_room_for_the_others() -> None:
    overload = Overload(dice())
    overload.on_queue_age(2 * AGE_TARGET_S, 1.0)
    overload.share = 0.5
    admitted = [
        sum(overload.judge(1.01, heavy=heavy) is Verdict.ADMIT for _ in range(100))
        for heavy in (False, True)
    ]
    assert admitted == pytest.approx([50, 25], abs=3)


def test_cap_on_calls_per_second() -> None:
    overload = Overload(dice(), most_cps=50)
    assert overload.is_active
    verdicts = [overload.judge(10.0 + n / 250) for n in range(2500)]
    assert verdicts.count(Verdict.ADMIT) == pytest.approx(500, abs=6)
    assert set(verdicts) == {Verdict.ADMIT, Verdict.REFUSE}
    overload.judge(1000.0)
    assert overload.is_active


def test_retry_after_is_spread_over_ten_seconds() -> None:
    overload = Overload(dice())
    assert {overload.retry_after_s() for _ in range(100)} == set(range(1, 11))
