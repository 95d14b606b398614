"""Paid time, extended in time."""

from __future__ import annotations

from services.common.causes import EndReason
from services.signaling.core.talk_time import TalkTime, shortest


def test_unlimited() -> None:
    talk = TalkTime(100.0, paid_ms=None, max_call_s=0)
    assert talk.deadline == float("inf")
    assert talk.end(1e9) == 1e9


def test_extension_is_asked_for_ahead_and_only_once() -> None:
    talk = TalkTime(100.0, paid_ms=60_000, max_call_s=0)
    assert talk.deadline == 150.0
    assert talk.on_timer(149.0) is False
    assert talk.on_timer(150.0) is True
    assert talk.on_timer(150.0) is False
    assert talk.deadline == 160.0


def test_short_reservations_are_extended_half_way() -> None:
    assert TalkTime(100.0, paid_ms=6_000, max_call_s=0).deadline == 103.0


def test_more_money_later_is_found() -> None:
    talk = TalkTime(100.0, paid_ms=60_000, max_call_s=0)
    talk.on_timer(150.0)
    talk.on_extended(60_000, 150.0)
    assert talk.deadline == 155.0
    assert talk.on_timer(155.0) is True
    talk.on_extended(120_000, 155.0)
    assert talk.deadline == 210.0
    assert talk.paid_ms == 120_000


def test_asking_stops_shortly_before_the_end() -> None:
    talk = TalkTime(100.0, paid_ms=60_000, max_call_s=0)
    asked = []
    while (at := talk.deadline) < 160.0:
        assert talk.on_timer(at) is True
        asked.append(at)
        talk.on_extended(60_000, at)
    assert asked == [150.0, 155.0, 157.5, 158.75, 159.375]
    assert talk.on_timer(160.0) is EndReason.BALANCE_EXHAUSTED


def test_silence_of_rating_is_told_apart_from_poverty() -> None:
    talk = TalkTime(100.0, paid_ms=60_000, max_call_s=0)
    talk.on_timer(150.0)
    talk.on_extended(None, 151.5)
    assert talk.deadline == 153.5
    assert talk.on_timer(153.5) is True
    talk.on_extended(None, 159.9)
    assert talk.deadline == 160.0
    assert talk.on_timer(160.0) is EndReason.RATING_UNAVAILABLE


def test_the_cap_comes_first() -> None:
    talk = TalkTime(100.0, paid_ms=60_000, max_call_s=20)
    assert talk.deadline == 120.0
    assert talk.on_timer(120.0) is EndReason.MAX_DURATION
    assert talk.end(121.0) == 120.0


def test_the_shortest_cap_holds_and_none_is_no_cap() -> None:
    assert shortest(60, 30) == 30
    assert shortest(0, 30) == 30
    assert shortest(0, 0) == 0
