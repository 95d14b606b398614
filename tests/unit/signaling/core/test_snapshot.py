"""What a snapshot holds, and that it stays small: one is written for every answered call."""

from __future__ import annotations

import msgspec

from services.signaling.core.commands import Persist
from services.signaling.core.record import AttemptRecord, CallRecord
from services.signaling.core.snapshot import CallSnapshot, end_note, record_facts
from tests.support.signaling.machine import WALL, Machine, candidate, only


def test_every_field_of_a_record_is_kept_but_the_figures_that_come_at_the_end() -> None:
    record = CallRecord("cal_1", "n1", 100.0, WALL)
    record.attempts.append(AttemptRecord(candidate(), 101.0))
    facts, (attempt,) = record_facts(record)
    not_kept = {"attempts", "media_callee", "media_caller"}
    assert facts.keys() == set(CallRecord.__slots__) - not_kept
    assert attempt.facts.keys() == set(AttemptRecord.__slots__) - {"candidate"}
    assert (facts["invited_wall"], attempt.facts["started_at"]) == (WALL, 101.0)
    assert attempt.candidate == candidate()


def test_the_answer_is_persisted_with_all_it_takes_to_go_on() -> None:
    machine = Machine()
    machine.answer(105.0)
    snapshot = only(machine.history, Persist).snapshot
    data = msgspec.msgpack.encode(snapshot)
    assert msgspec.msgpack.decode(data, type=CallSnapshot) == snapshot
    assert len(data) < 3_000
    assert (snapshot.paid_ms, snapshot.max_call_s) == (3_600_000, 0)
    assert snapshot.record["sip_code_out"] == 200


def test_unlimited_talk_time_is_not_mistaken_for_none() -> None:
    machine = Machine()
    machine.credit = msgspec.structs.replace(machine.credit, reservation_id="")
    machine.answer(105.0)
    assert only(machine.history, Persist).snapshot.paid_ms is None


def test_an_end_is_noted_by_what_the_record_will_say_of_it() -> None:
    machine = Machine()
    invite = machine.answer(105.0)
    machine.callee_sends(invite, "BYE", 125.0)
    facts = end_note(machine.call.record).facts
    assert (facts["ended_at"], facts["end_side"], facts["end_reason"]) == (
        125.0, "callee", "normal",
    )  # fmt: skip
