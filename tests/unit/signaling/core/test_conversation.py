"""How an answered call lasts and ends."""

from __future__ import annotations

from services.common.causes import EndReason
from services.signaling.core.commands import Extend, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.values import CallState, Credit
from tests.support.signaling.machine import (
    STRANGER,
    Machine,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)


def test_the_callee_hangs_up_and_his_reason_passes() -> None:
    machine = Machine()
    invite = machine.answer()
    steps = machine.callee_sends(invite, "BYE", 125.0, headers=["Reason: Q.850;cause=31"])
    assert kinds(steps) == ["B1 200", "A BYE", "CallEnded"]
    assert received(only(steps, Dial).draft).first("reason") == "Q.850;cause=31"
    machine.reply(only(steps, Dial), 200, 125.1)
    record = machine.assert_ended(EndReason.NORMAL, 200)
    assert (record.end_side, record.q850_in, record.reason_header, record.talk_ms) == (
        "callee", 31, "Q.850;cause=31", 20_000,
    )  # fmt: skip


def test_crossing_byes_are_both_answered_and_make_one_record() -> None:
    machine = Machine()
    invite = machine.answer()
    bye = only(machine.caller_sends("BYE", 125.0), Dial)
    assert kinds(machine.callee_sends(invite, "BYE", 125.0)) == ["B1 200"]
    machine.reply(bye, 481, 125.1)
    assert machine.assert_ended(EndReason.NORMAL, 200).end_side == "caller"


def test_a_bye_nobody_answers_lets_the_call_go() -> None:
    machine = Machine()
    machine.answer()
    bye = only(machine.caller_sends("BYE", 125.0), Dial)
    machine.fail(bye.owner, 408, 157.0)
    assert machine.is_finished


def test_a_caller_that_never_acknowledges() -> None:
    machine = Machine()
    machine.answer(ack=False)
    steps = machine.take(machine.call.on_no_ack("invite", 137.0))
    assert kinds(steps) == ["A BYE", "B1 BYE", "CallEnded"]
    record = machine.record
    assert (record.end_reason, record.talk_ms) == (EndReason.NO_ACK, 32_000)


def test_a_bye_for_the_caller_waits_for_his_ack() -> None:
    machine = Machine()
    invite = machine.answer(ack=False)
    assert kinds(machine.callee_sends(invite, "BYE", 106.0)) == ["B1 200", "CallEnded"]
    assert not machine.is_finished
    assert kinds(machine.ack(106.5)) == ["A BYE"]
    assert machine.record.talk_ms == 1_000


def test_a_bye_for_the_caller_waits_no_longer_than_for_the_ack_that_never_comes() -> None:
    machine = Machine()
    invite = machine.answer(ack=False)
    machine.callee_sends(invite, "BYE", 106.0)
    assert kinds(machine.take(machine.call.on_no_ack("invite", 137.0))) == ["A BYE"]


def test_a_bye_instead_of_the_ack() -> None:
    machine = Machine()
    machine.answer(ack=False)
    bye = only(machine.caller_sends("BYE", 106.0), Dial)
    assert bye.leg == "B1"
    machine.reply(bye, 200, 106.1)
    machine.assert_ended(EndReason.NORMAL, 200)


def test_requests_of_strangers_do_not_touch_the_call() -> None:
    machine = Machine()
    machine.answer()
    assert kinds(machine.caller_sends("BYE", 110.0, source=STRANGER)) == ["A 481"]
    wrong_tag = wire_request("BYE", to_tag="tag1", from_tag="mallory", cseq=9)
    source = machine.call.record.source.partition(":")[0]
    assert source == "192.0.2.10"
    steps = machine.call.on_request(wrong_tag, "x", STRANGER._replace(host=source), 110.0)
    assert kinds(steps) == ["A 481"]
    unknown_fork = wire_request("BYE", to_tag="tag1-7", cseq=9)
    steps = machine.call.on_request(unknown_fork, "x", STRANGER._replace(host=source), 110.0)
    assert kinds(steps) == ["B1 481"]
    assert machine.call.state is CallState.ANSWERED


def test_an_old_cseq_is_refused() -> None:
    machine = Machine()
    machine.answer()
    machine.caller_sends("INFO", 110.0)
    machine.caller_cseq = 1
    assert kinds(machine.caller_sends("INFO", 110.0)) == ["A 500"]


def test_options_inside_the_dialog() -> None:
    machine = Machine()
    machine.answer()
    reply = response_in(only(machine.caller_sends("OPTIONS", 110.0), Respond))
    assert reply.status == 200
    assert "UPDATE" in (reply.first("allow") or "")


def test_requests_after_the_end() -> None:
    machine = Machine()
    machine.answer()
    machine.caller_sends("BYE", 110.0)
    assert kinds(machine.caller_sends("INFO", 110.1)) == ["A 481"]


def test_talk_time_is_extended_and_ends_when_it_is_not() -> None:
    machine = Machine(credit=Credit(reservation_id="rsv_1", paid_ms=60_000))
    machine.answer(105.0)
    assert machine.call.deadline == 155.0
    asked = only(machine.take(machine.call.on_timer(155.0)), Extend)
    assert asked == Extend("rsv_1", b'{"sell":1}', 60_000)
    more = Credit(reservation_id="rsv_2", paid_ms=120_000)
    machine.take(machine.call.on_extended(more, 155.1))
    assert machine.call.deadline == 215.0
    assert only(machine.take(machine.call.on_timer(215.0)), Extend).paid_ms == 120_000
    machine.take(machine.call.on_extended(more, 215.1))
    steps = machine.take(machine.call.on_timer(225.02))
    assert kinds(steps) == ["A BYE", "B1 BYE", "CallEnded"]
    record = machine.record
    # The timer was 20 ms late: what was not paid for is not charged.
    assert (record.end_reason, record.talk_ms) == (EndReason.BALANCE_EXHAUSTED, 120_000)
    assert (record.reservation_id, record.end_side) == ("rsv_2", "server")


def test_the_longest_call() -> None:
    machine = Machine(credit=Credit(), max_call_s=30)
    machine.answer(105.0)
    assert machine.call.deadline == 135.0
    machine.take(machine.call.on_timer(135.0))
    assert machine.record.end_reason == EndReason.MAX_DURATION
    assert machine.record.q850_out == 31


def test_silence_hangs_up() -> None:
    machine = Machine()
    machine.answer()
    steps = machine.take(machine.call.hang_up(EndReason.RTP_TIMEOUT, 165.0))
    assert kinds(steps) == ["A BYE", "B1 BYE", "CallEnded"]
    bye = next(c for c in steps if isinstance(c, Dial))
    assert (received(bye.draft).first("reason") or "").startswith("Q.850;cause=")
    assert machine.call.hang_up(EndReason.ADMIN_DISCONNECT, 166.0) == []


def test_an_unlimited_call_has_no_deadline() -> None:
    machine = Machine(credit=Credit())
    machine.answer()
    assert machine.call.deadline == float("inf")
