"""Loss and jitter as RFC 3550 appendix A counts them."""

import random

import pytest

from services.media.core.reception import MAX_DROPOUT, Reception, Report

MS = 1_000_000
SSRC = 0xDEADBEEF


def feed(
    reception: Reception,
    sequences: list[int],
    *,
    start: int = 0,
    ssrc: int = SSRC,
    payload_type: int = 0,
    late_ms: dict[int, int] | None = None,
) -> None:
    for count, sequence in enumerate(sequences, start):
        at = (1_000 + count * 20 + (late_ms or {}).get(count, 0)) * MS
        reception.receive(payload_type, sequence & 0xFFFF, count * 160, ssrc, 172, at)


def test_steady_stream_has_neither_loss_nor_jitter() -> None:
    reception = Reception()
    feed(reception, list(range(100)))
    assert reception.report(refused=3, source="x") == Report(
        100, 17_200, 0, 0.0, 1_000 * MS, 2_980 * MS, 3, "x"
    )


def test_missing_packets_are_lost() -> None:
    reception = Reception()
    feed(reception, [0, 1, 2, 5, 6, 9])
    assert reception.lost == 4


def test_sequence_wraps() -> None:
    reception = Reception()
    feed(reception, [65_533, 65_534, 65_535, 0, 1, 3])
    assert reception.lost == 1


def test_two_wraps_extend_the_sequence() -> None:
    reception = Reception()
    feed(reception, list(range(0, 140_000, 2)))
    assert reception.lost == 69_999


def test_reordered_packets_are_not_lost() -> None:
    reception = Reception()
    feed(reception, [10, 12, 11, 13])
    assert reception.lost == 0


def test_duplicates_never_make_loss_negative() -> None:
    reception = Reception()
    feed(reception, [1, 1, 1, 2])
    assert reception.lost == 0


def test_one_wild_sequence_number_is_ignored_two_in_a_row_are_a_restart() -> None:
    reception = Reception()
    feed(reception, [1, 2, 3, 40_000, 4, 5])
    assert reception.lost == 0
    feed(reception, [40_001, 40_002, 40_003, 40_005], start=6)
    assert reception.lost == 1


def test_a_step_of_the_largest_dropout_is_loss() -> None:
    reception = Reception()
    feed(reception, [0, MAX_DROPOUT - 1])
    assert reception.lost == MAX_DROPOUT - 2


def test_change_of_source_keeps_what_was_lost() -> None:
    reception = Reception()
    feed(reception, [1, 3])
    feed(reception, [50_000, 50_002], start=2, ssrc=1)
    assert reception.lost == 2
    assert reception.packets == 4


def test_jitter_follows_the_rfc() -> None:
    """J += (|D| - J) / 16, with D in clock units: 10 ms late is 80 units, twice."""
    reception = Reception()
    feed(reception, [0, 1, 2, 3], late_ms={1: 10})
    expected = 0.0
    for step in (80, 80, 0):
        expected += (step - expected) / 16
    assert reception.jitter_ms == pytest.approx(expected / 8, abs=0.13)


def test_jitter_converges_on_the_mean_deviation() -> None:
    dice = random.Random(3)
    reception = Reception()
    late = {count: dice.choice((0, 16)) for count in range(4000)}
    feed(reception, list(range(4000)), late_ms=late)
    # Neighbours differ by 16 ms half of the time.
    assert reception.jitter_ms == pytest.approx(8.0, abs=4.0)


def test_clock_of_the_payload_type_counts() -> None:
    reception = Reception()
    reception.expect({111: 48_000})
    for count in range(50):
        reception.receive(111, count, count * 960, SSRC, 100, count * 20 * MS + 5)
    assert reception.jitter_ms == 0.0


def test_timestamps_wrap_without_a_spike() -> None:
    reception = Reception()
    for count in range(10):
        stamp = (0xFFFFFFFF - 800 + count * 160) & 0xFFFFFFFF
        reception.receive(0, count, stamp, SSRC, 172, (1 + count * 20) * MS)
    assert reception.jitter_ms == 0.0


def test_telephone_event_shares_the_sequence() -> None:
    reception = Reception()
    feed(reception, [1, 2])
    feed(reception, [3, 4], start=2, payload_type=101)
    feed(reception, [5], start=4)
    assert reception.lost == 0


def test_nothing_received() -> None:
    assert Reception().report(refused=0, source="") == Report()


def test_any_header_is_counted_without_error() -> None:
    dice = random.Random(7)
    reception = Reception()
    for _ in range(20_000):
        reception.receive(
            dice.randrange(256),
            dice.randrange(1 << 16),
            dice.randrange(1 << 32),
            dice.randrange(3),
            dice.randrange(12, 1500),
            dice.randrange(1 << 62),
        )
    assert reception.packets == 20_000
    assert reception.lost >= 0
    assert reception.jitter_ms >= 0.0


def test_reports_add_up() -> None:
    audio = Report(10, 100, 1, 2.5, 50, 90, 4, "a")
    video = Report(3, 900, 2, 9.0, 40, 80, 1, "b")
    assert audio + video == video + audio == Report(13, 1000, 3, 2.5, 40, 90, 5, "a")
    assert Report() + audio == audio


def test_next_process_counts_on() -> None:
    first = Reception()
    first.expect({9: 16_000})
    feed(first, [0, 1, 4, 5], payload_type=9, late_ms={2: 5})
    second = Reception()
    second.expect({9: 16_000})
    second.resume(first.counted())
    assert second.report(refused=0, source="") == first.report(refused=0, source="")
    # Meanwhile fifty packets came that nobody counted: they were not lost.
    feed(second, [56, 57, 59], start=56, payload_type=9)
    assert (second.packets, second.size_bytes, second.lost) == (7, 7 * 172, 3)
    assert (second.first_ns, second.last_ns) == (1_000 * MS, (1_000 + 58 * 20) * MS)


def test_next_process_finds_that_nothing_came() -> None:
    reception = Reception()
    reception.resume(Reception().counted())
    assert reception.report(refused=0, source="") == Report()
