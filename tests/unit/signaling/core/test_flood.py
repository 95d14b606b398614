"""Floods by literal time: learned levels, hysteresis, and bounded memory."""

from __future__ import annotations

from services.signaling.core.flood import FLOOR_CPS, FloodMeters


def send(
    meters: FloodMeters, cps: int, since: float, seconds: int, *, is_stranger: bool = False
) -> list[bool]:
    """``cps`` attempts in each of these seconds; whether it flooded at the end of each."""
    seen = []
    for second in range(seconds):
        for n in range(cps):
            at = since + second + n / cps
            meters.attempt("ctr_1", at, is_stranger=is_stranger)
        meters.on_timer(since + second + 1)
        seen.append(meters.is_flooding("ctr_1"))
    return seen


def test_what_is_usual_is_no_flood_however_much_it_is() -> None:
    assert not any(send(FloodMeters(), 500, 0.0, 200))


def test_four_times_the_usual_for_three_seconds_is_one() -> None:
    meters = FloodMeters()
    send(meters, 40, 0.0, 300)
    assert send(meters, 200, 300.0, 5) == [False, False, True, True, True]
    (meter,) = meters.meters()
    assert (meter.source, meter.cps, meter.is_flooding) == ("ctr_1", 200.0, True)
    assert meter.baseline_cps < 50


def test_twice_the_usual_is_none() -> None:
    meters = FloodMeters()
    send(meters, 40, 0.0, 300)
    assert not any(send(meters, 80, 300.0, 60))


def test_small_customer_may_burst_up_to_the_floor() -> None:
    meters = FloodMeters()
    send(meters, 1, 0.0, 120)
    assert not any(send(meters, int(FLOOR_CPS), 120.0, 20))


def test_single_second_is_no_flood() -> None:
    meters = FloodMeters()
    send(meters, 10, 0.0, 120)
    for start in range(120, 160, 4):
        assert not any(send(meters, 400, float(start), 2))
        send(meters, 10, start + 2.0, 2)


def test_flood_ends_after_half_a_minute_of_peace() -> None:
    meters = FloodMeters()
    send(meters, 20, 0.0, 120)
    send(meters, 400, 120.0, 10)
    quiet = send(meters, 20, 130.0, 40)
    assert quiet.index(False) == 29
    assert not any(quiet[29:])


def test_flood_that_pauses_is_still_the_same() -> None:
    meters = FloodMeters()
    send(meters, 20, 0.0, 120)
    send(meters, 400, 120.0, 10)
    send(meters, 20, 130.0, 20)
    assert all(send(meters, 400, 150.0, 2))


def test_silence_ends_a_flood_too() -> None:
    meters = FloodMeters()
    send(meters, 20, 0.0, 120)
    send(meters, 400, 120.0, 10)
    meters.on_timer(165.0)
    assert not meters.is_flooding("ctr_1")


def test_new_level_is_the_usual_one_in_the_end() -> None:
    meters = FloodMeters()
    send(meters, 20, 0.0, 120)
    seen = send(meters, 120, 120.0, 3600)
    assert seen[10]
    assert not seen[-1]


def test_stranger_floods_from_his_third_second() -> None:
    seen = send(FloodMeters(), 10, 0.0, 5, is_stranger=True)
    assert seen == [False, False, True, True, True]


def test_strangers_who_fell_silent_are_forgotten() -> None:
    meters = FloodMeters()
    send(meters, 10, 0.0, 5, is_stranger=True)
    meters.on_timer(60.0)
    assert meters.meters() == []


def test_bug_class_14_attacker_with_a_whole_network_fills_no_table() -> None:
    meters = FloodMeters(most=100)
    for n in range(1000):
        meters.attempt(f"10.0.{n >> 8}.{n & 255}", 1.0, is_stranger=True)
    assert len(meters.meters(most=2000)) == 100
