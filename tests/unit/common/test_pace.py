from services.common.pace import Pace


def pace() -> Pace:
    return Pace(quiet_rate=50.0, busy_rate=400.0, longest_s=0.005)


def at_rate(pace: Pace, rate: float, *, start: float, count: int, at_once: int = 1) -> float:
    now = start
    for _ in range(count):
        now += at_once / rate
        pace.note(now, at_once)
    return now


def test_nothing_waits_while_quiet() -> None:
    quiet = pace()
    at_rate(quiet, 40.0, start=1000.0, count=500)
    assert quiet.delay_s == 0.0


def test_waiting_grows_with_the_rate_up_to_its_bound() -> None:
    busy = pace()
    now = at_rate(busy, 225.0, start=1000.0, count=500)
    assert abs(busy.delay_s - 0.0025) < 1e-6
    at_rate(busy, 50_000.0, start=now, count=500)
    assert busy.delay_s == 0.005


def test_messages_that_come_together_count_each() -> None:
    busy = pace()
    at_rate(busy, 225.0, start=1000.0, count=100, at_once=8)
    assert abs(busy.delay_s - 0.0025) < 1e-6


def test_a_pause_ends_the_waiting() -> None:
    busy = pace()
    now = at_rate(busy, 50_000.0, start=1000.0, count=500)
    busy.note(now + 5.0)
    assert busy.delay_s == 0.0


def test_silence_ends_the_waiting_too() -> None:
    busy = pace()
    now = at_rate(busy, 50_000.0, start=1000.0, count=1 + 16 * 32)
    busy.note(now + 0.05, 0)
    assert busy.delay_s == 0.005
    busy.note(now + 0.11, 0)
    assert busy.delay_s == 0.0
