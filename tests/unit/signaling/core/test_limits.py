"""Concurrent calls and calls per second."""

from __future__ import annotations

from services.signaling.core.limits import Limit, TrunkLimits


def take(
    limits: TrunkLimits, now: float, calls: int | None = None, cps: int | None = None
) -> Limit | None:
    return limits.take("t", max_calls=calls, max_cps=cps, now=now)


def test_no_limit() -> None:
    limits = TrunkLimits()
    assert all(take(limits, 1.0) is None for _ in range(100))
    assert limits.calls("t") == 100
    assert limits.calls("other") == 0


def test_concurrent_calls() -> None:
    limits = TrunkLimits()
    assert [take(limits, 1.0, calls=2) for _ in range(3)] == [None, None, Limit.CALLS]
    assert limits.full == {"t"}
    limits.give_back("t")
    assert limits.full == frozenset()
    assert take(limits, 1.0, calls=2) is None


def test_a_limit_of_zero_lets_nothing_through() -> None:
    assert take(TrunkLimits(), 1.0, calls=0) is Limit.CALLS
    assert take(TrunkLimits(), 1.0, cps=0) is Limit.CPS


def test_never_more_than_the_limit_in_any_second() -> None:
    limits = TrunkLimits()
    admitted = [n / 100 for n in range(500) if take(limits, n / 100, cps=3) is None]
    for start in admitted:
        assert sum(start <= at < start + 1.0 for at in admitted) <= 3
    assert len(admitted) == 15


def test_a_lowered_limit_acts_at_once() -> None:
    limits = TrunkLimits()
    for _ in range(10):
        take(limits, 1.0, cps=10)
    assert take(limits, 1.5, cps=2) is Limit.CPS
    assert take(limits, 2.0, cps=2) is None


def test_giving_back_what_was_never_taken() -> None:
    limits = TrunkLimits()
    limits.give_back("t")
    take(limits, 1.0)
    limits.give_back("t")
    limits.give_back("t")
    assert limits.calls("t") == 0
