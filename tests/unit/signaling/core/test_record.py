"""The facts of a call."""

from __future__ import annotations

import datetime as dt

import pytest

from services.common.causes import EndReason
from services.common.events import decode_ended, encode
from services.signaling.core.record import (
    LONGEST_TEXT,
    AttemptRecord,
    CallRecord,
    bounded,
    peer_text,
    q850_of_end,
)
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import WALL, candidate, plan


def record() -> CallRecord:
    return CallRecord("cal_1", "n1", 100.0, WALL)


def test_instants_are_offsets_from_the_one_reading_of_the_wall_clock() -> None:
    assert record().wall(101.5) == WALL + dt.timedelta(seconds=1.5)


def test_the_first_cause_is_the_cause() -> None:
    facts = record()
    facts.end(EndReason.BUSY, 105.0, side="callee")
    facts.end(EndReason.NORMAL, 109.0, side="caller")
    assert (facts.end_reason, facts.ended_at, facts.end_side) == (EndReason.BUSY, 105.0, "callee")
    assert facts.cause_source == "vendor"


def test_talk_time() -> None:
    facts = record()
    assert facts.talk_ms == 0
    attempt = AttemptRecord(candidate(), 101.0)
    facts.attempts.append(attempt)
    facts.answer(attempt, 110.0)
    assert facts.talk_ms == 0
    facts.end(EndReason.NORMAL, 120.0004)
    assert facts.talk_ms == 10_000


def test_the_event_travels_as_json_with_the_opaque_parts_untouched() -> None:
    facts = record()
    facts.plan(plan(candidate()))
    facts.attempts.append(AttemptRecord(candidate(), 101.0))
    facts.end(EndReason.BUSY, 105.0)
    batch = b'{"node":"n1","epoch":1,"seq":1,"events":[' + encode(facts.ended()) + b"]}"
    event = decode_ended(batch).events[0]
    assert event.called_billed == "2000"
    assert bytes(event.explanation) == b'{"because":"test"}'
    assert bytes(event.attempts[0].buy_terms) == b'{"buy":1}'
    assert (event.pdd_ms, event.ringing_at, event.answered_at) == (None, None, None)


def test_text_of_strangers_is_bounded() -> None:
    assert bounded("x" * 999) == "x" * LONGEST_TEXT
    assert bounded("a\x1b[31m\nb") == "a[31mb"
    assert bounded("é") == "é"


def test_peers() -> None:
    assert peer_text(Peer("tcp", "2001:db8::1", 5060)) == "[2001:db8::1]:5060;tcp"


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (EndReason.NORMAL, 16),
        (EndReason.BALANCE_EXHAUSTED, 31),
        (EndReason.RTP_TIMEOUT, 41),
        (EndReason.MEDIA_UNAVAILABLE, 41),
        (EndReason.CODEC_MISMATCH, 65),
    ],
)
def test_causes_we_send(reason: EndReason, cause: int) -> None:
    assert q850_of_end(reason) == cause
