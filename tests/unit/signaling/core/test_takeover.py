"""kill -9 between any two steps of an answered call, and what the next process makes of it."""

from __future__ import annotations

import datetime as dt

import pytest

from services.common.causes import EndReason
from services.signaling.core.commands import Acknowledge, Extend, Keep, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.legs import CSEQ_GAP
from services.signaling.core.snapshot import VendorInvite
from services.signaling.core.takeover import shift_s
from services.signaling.core.values import CallState, Credit, MediaStats
from tests.support.signaling.heir import left_by, take_over
from tests.support.signaling.machine import (
    ANSWER,
    OFFER,
    STRANGER,
    WALL,
    Machine,
    answer_to,
    candidate,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)


def test_the_callee_hangs_up_a_call_that_was_taken_over() -> None:
    machine = Machine()
    invite = machine.answer(105.0)
    heir, _ = take_over(machine, 300.0)
    assert heir.call.state is CallState.ANSWERED
    steps = heir.callee_sends(invite, "BYE", 325.0, headers=["Reason: Q.850;cause=31"])
    assert kinds(steps) == ["B1 200", "A BYE", "CallEnded"]
    bye = received(only(steps, Dial).draft)
    assert (bye.call_id, bye.to_tag, bye.from_tag) == ("ingress@192.0.2.10", "caller", "tag1")
    heir.reply(only(steps, Dial), 200, 325.1)
    record = heir.record
    assert (record.end_reason, record.end_side, record.talk_ms) == ("normal", "callee", 220_000)
    assert record.answered_at == WALL + dt.timedelta(seconds=5)
    assert heir.is_finished
    assert heir.context.dialogs == {}


def test_its_record_is_the_one_the_first_process_would_have_written() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 110.0)
    for each in (machine, heir):
        each.caller_cseq = 1
        each.caller_sends("BYE", 125.0)
    assert heir.record == machine.record


def test_the_caller_hangs_up_and_the_vendor_gets_a_number_not_used_before() -> None:
    machine = Machine()
    machine.answer(105.0)
    passed = only(machine.caller_sends("INFO", 110.0), Dial)
    heir, _ = take_over(machine, 111.0)
    bye = only(heir.caller_sends("BYE", 125.0), Dial)
    assert bye.leg == "B1"
    assert received(bye.draft).cseq.number > received(passed.draft).cseq.number


def test_another_crash_skips_further_numbers() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 111.0)
    third, _ = take_over(heir, 112.0)
    bye = only(third.caller_sends("BYE", 125.0), Dial)
    assert received(bye.draft).cseq.number == 1 + 2 * CSEQ_GAP + 1


def test_a_stranger_is_told_nothing() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 111.0)
    assert kinds(heir.caller_sends("BYE", 125.0, source=STRANGER)) == ["A 481"]


def test_a_session_is_changed_after_it_was_taken_over() -> None:
    machine = Machine()
    invite = machine.answer(105.0)
    heir, _ = take_over(machine, 300.0)
    sent = heir.caller_sends("INVITE", 301.0, body=OFFER, key="re")
    assert kinds(heir.reply(only(sent, Dial), 200, 302.0, body=ANSWER))[-1] == "A 200"
    heir.ack(302.1, key="re")
    sent = heir.callee_sends(invite, "UPDATE", 303.0, body=OFFER)
    assert kinds(heir.reply(only(sent, Dial), 200, 304.0, body=ANSWER)) == ["B1 200"]


def test_a_session_that_was_changed_before_is_kept_as_it_is_now() -> None:
    machine = Machine()
    invite = machine.answer(105.0)
    moved = "sip:1000@192.0.2.10:5099"
    sent = machine.caller_sends("INVITE", 110.0, body=OFFER, key="re", contact=moved)
    steps = machine.reply(only(sent, Dial), 200, 110.1, body=ANSWER)
    assert only(steps, Keep).snapshot.caller.dialog["remote_target"] == moved
    heir, _ = take_over(machine, 111.0)
    steps = heir.callee_sends(invite, "BYE", 115.0)
    assert only(steps, Dial).peer.port == 5099


def test_an_operator_hangs_up_both_sides() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 300.0)
    steps = heir.take(heir.call.hang_up(EndReason.ADMIN_DISCONNECT, 305.0))
    assert kinds(steps) == ["A BYE", "B1 BYE", "CallEnded"]
    assert heir.record.talk_ms == 200_000


def test_paid_time_is_extended_from_where_it_was() -> None:
    machine = Machine(credit=Credit(reservation_id="rsv_1", paid_ms=60_000))
    machine.answer(105.0)
    asked = only(machine.take(machine.call.on_timer(155.0)), Extend)
    granted = Credit(reservation_id="rsv_1", paid_ms=120_000)
    kept = only(machine.take(machine.call.on_extended(granted, 155.1)), Keep)
    assert kept.snapshot.paid_ms == 120_000
    assert asked.paid_ms == 60_000
    heir, _ = take_over(machine, 160.0)
    assert heir.call.deadline == 215.0
    again = only(heir.take(heir.call.on_timer(215.0)), Extend)
    assert (again.reservation_id, again.paid_ms, again.sell_terms) == (
        "rsv_1", 120_000, b'{"sell":1}',
    )  # fmt: skip
    heir.take(heir.call.on_timer(225.0))
    assert (heir.record.end_reason, heir.record.talk_ms) == ("balance_exhausted", 120_000)


def test_the_longest_call_is_no_longer_for_a_crash() -> None:
    machine = Machine(max_call_s=600)
    machine.answer(105.0)
    heir, _ = take_over(machine, 300.0)
    heir.take(heir.call.on_timer(705.0))
    assert (heir.record.end_reason, heir.record.talk_ms) == ("max_duration", 600_000)


def test_it_counts_against_the_limits_of_both_trunks() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 300.0)
    customers, vendors = heir.context.customer_limits, heir.context.vendor_limits
    assert (customers.calls("ctr_1"), vendors.calls("vtr_1")) == (1, 1)
    heir.caller_sends("BYE", 301.0)
    assert (customers.calls("ctr_1"), vendors.calls("vtr_1")) == (0, 0)


def test_a_200_that_may_not_have_arrived_is_acknowledged_now_and_the_vendor_again() -> None:
    machine = Machine()
    machine.answer(105.0, ack=False)
    assert b"SIP/2.0 200 OK" in left_by(machine).snapshot.answer
    heir, restored = take_over(machine, 106.0)
    assert restored.awaits_ack
    assert restored.ack is not None
    assert left_by(machine).snapshot.vendor == VendorInvite("key1", 1, is_late=False)
    assert restored.ack.key == "key1"
    assert heir.ack(106.2) == []
    steps = heir.take(heir.call.hang_up(EndReason.ADMIN_DISCONNECT, 107.0))
    assert kinds(steps) == ["A BYE", "B1 BYE", "CallEnded"]


def test_nobody_is_hung_up_because_his_ack_went_to_the_process_that_died() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 106.0)
    assert heir.take(heir.call.on_no_ack("invite", 137.0)) == []
    sent = heir.caller_sends("INVITE", 138.0, body=OFFER, key="re")
    assert only(sent, Dial).leg == "B1"


def test_the_answer_to_a_late_offer_goes_into_the_ack_of_the_next_process() -> None:
    machine = Machine(invite=wire_request("INVITE"))
    invite = machine.dial()
    machine.say(invite, 200, 105.0, body=OFFER)
    machine.durable(105.0)
    heir, restored = take_over(machine, 106.0)
    assert restored.awaits_ack
    acknowledged = only(heir.ack(107.0, body=ANSWER), Acknowledge)
    assert (acknowledged.key, acknowledged.draft.body) == ("key1", ANSWER)


def test_a_caller_who_goes_on_has_acknowledged() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 106.0)
    sent = heir.caller_sends("INVITE", 107.0, body=OFFER, key="re")
    assert only(sent, Dial).leg == "B1"


def test_after_the_time_for_an_ack_nothing_is_repeated() -> None:
    machine = Machine()
    machine.answer(105.0, ack=False)
    heir, restored = take_over(machine, 140.0)
    assert (restored.awaits_ack, restored.ack) == (False, None)
    assert kinds(heir.take(heir.call.hang_up(EndReason.ADMIN_DISCONNECT, 141.0)))[0] == "A BYE"


@pytest.mark.parametrize("is_reboot", [False, True])
def test_a_clock_that_began_anew_changes_no_duration(is_reboot: bool) -> None:
    machine = Machine(max_call_s=600)
    machine.answer(105.0)
    now, wall = (7.0, WALL + dt.timedelta(seconds=50)) if is_reboot else (150.0, WALL)
    by_s = shift_s(left_by(machine).snapshot, now, wall) if is_reboot else 0.0
    heir, _ = take_over(machine, now, shift_s=by_s)
    assert heir.call.deadline == 705.0 + by_s
    heir.caller_sends("BYE", now + 20.0)
    record = heir.record
    assert record.talk_ms == 65_000
    assert record.invited_at == WALL
    assert record.ended_at == WALL + dt.timedelta(seconds=70)
    assert record.attempts[0].started_at == WALL


def test_a_call_that_was_over_but_for_its_record_is_not_lived_on() -> None:
    machine = Machine(candidate(media_proxy=True))
    invite = dial_through_media(machine)
    steps = machine.callee_sends(invite, "BYE", 125.0, headers=["Reason: Q.850;cause=31"])
    assert kinds(steps) == ["B1 200", "A BYE", "ReleaseMedia"]
    heir, restored = take_over(machine, 126.0)
    assert kinds(restored.commands) == ["A BYE", "B1 BYE", "ReleaseMedia"]
    assert kinds(heir.take(heir.call.on_media_stats(MediaStats(), 126.1))) == ["CallEnded"]
    record = heir.record
    assert (record.talk_ms, record.end_side, record.q850_in) == (20_000, "callee", 31)
    assert record.reason_header == "Q.850;cause=31"


def test_a_call_with_audio_through_us_says_so() -> None:
    machine = Machine(candidate(media_proxy=True))
    dial_through_media(machine)
    heir, _ = take_over(machine, 126.0)
    assert heir.call.has_media
    sent = heir.caller_sends("INVITE", 130.0, body=OFFER, key="re")
    assert kinds(sent) == ["OfferMedia"]
    assert "ReleaseMedia" in kinds(heir.caller_sends("BYE", 131.0))


def test_a_retransmission_of_what_was_answered_before_is_out_of_order() -> None:
    machine = Machine()
    machine.answer(105.0)
    sent = machine.caller_sends("INVITE", 110.0, body=OFFER, key="re")
    machine.reply(only(sent, Dial), 200, 110.1, body=ANSWER)
    heir, _ = take_over(machine, 110.2)
    heir.caller_cseq -= 1
    reply = response_in(only(heir.caller_sends("INVITE", 110.6, body=OFFER, key="re"), Respond))
    assert reply.status == 500


def test_after_a_short_outage_nobody_is_asked_whether_he_is_still_there() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 300.0, lost_at=280.0)
    assert heir.call.deadline > 3000.0


def test_after_a_long_outage_both_are_asked_and_a_dead_call_ended_when_it_was_lost() -> None:
    machine = Machine()
    machine.answer(105.0)
    heir, _ = take_over(machine, 300.0, lost_at=200.0)
    asked = heir.take(heir.call.on_timer(320.0))
    assert kinds(asked) == ["A OPTIONS", "B1 OPTIONS"]
    near, far = (command for command in asked if isinstance(command, Dial))
    assert kinds(heir.reply(near, 200, 320.1)) == []
    steps = heir.reply(far, 481, 320.2)
    assert "CallEnded" in kinds(steps)
    record = heir.record
    assert (record.end_reason, record.talk_ms) == ("session_timeout", 95_000)


def dial_through_media(machine: Machine) -> Dial:
    """A whole call whose audio passes through media."""
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    asked = machine.take(machine.call.on_credit(machine.credit, 100.0))
    token = asked[-1].token  # type: ignore[union-attr]  # an OfferMedia
    invite = only(machine.media(token, OFFER, 100.0), Dial)
    ok = answer_to(invite.draft, 200, body=ANSWER)
    asked = machine.take(machine.call.on_response(invite.owner, ok, 105.0))
    machine.media(asked[-1].token, ANSWER, 105.0)  # type: ignore[union-attr]
    machine.durable(105.0)
    machine.ack(105.1)
    return invite
