import pytest

from services.signaling.sip.transaction.timers import RFC3261_TIMERS, TimerValues


def test_values_of_table_4() -> None:
    timers = RFC3261_TIMERS
    assert (timers.t1, timers.t2, timers.t4) == (0.5, 4.0, 5.0)
    assert (timers.timeout, timers.absorb) == (32.0, 32.0)


def test_derived_values_follow_t1_but_timer_d_stays_at_32_seconds() -> None:
    assert (TimerValues(t1=0.1).timeout, TimerValues(t1=0.1).absorb) == (6.4, 32.0)
    assert TimerValues(t1=1.0).absorb == 64.0


@pytest.mark.parametrize("t1, t2, t4", [(0, 4, 5), (-1, 4, 5), (5, 4, 5), (0.5, 4, 0)])
def test_senseless_values_are_refused(t1: float, t2: float, t4: float) -> None:
    with pytest.raises(ValueError, match="timers"):
        TimerValues(t1, t2, t4)


def test_a_question_soon_asked_again_is_given_up_sooner() -> None:
    assert TimerValues(patience=8).timeout == 4.0
    assert TimerValues(patience=8).absorb == 32.0
