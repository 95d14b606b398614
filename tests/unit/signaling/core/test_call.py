"""Whole calls, driven by hand."""

from __future__ import annotations

import msgspec
import pytest

from services.common.causes import EndReason
from services.common.events import CallAnswered, CallRinging, StreamStats
from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Authorize,
    Cancel,
    Emit,
    FindRoutes,
    ForgetMedia,
    OfferMedia,
    Persist,
    ReleaseCredit,
    ReleaseMedia,
    Respond,
)
from services.signaling.core.commands import Request as Dial
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.core.values import CallState, Credit, MediaStats
from services.signaling.sip.headers import Reason
from tests.support.signaling.machine import (
    ANSWER,
    CALLER,
    OFFER,
    Machine,
    candidate,
    context,
    kinds,
    only,
    plan,
    received,
    response_in,
    wire_request,
)


def trunk(**changes: object) -> CustomerTrunk:
    return msgspec.structs.replace(CustomerTrunk(id="ctr_1", account_id="acc_1"), **changes)


def test_a_basic_call_from_invite_to_bye() -> None:
    machine = Machine()
    asked = machine.start()
    assert kinds(asked) == ["CallStarted", "FindRoutes"]
    assert only(asked, FindRoutes)[:3] == ("ctr_1", "1000", "2000")
    assert only(machine.take(machine.call.on_plan(machine.plan, 100.1)), Authorize) == Authorize(
        b'{"sell":1}'
    )
    invite = only(machine.take(machine.call.on_credit(machine.credit, 100.2)), Dial)
    assert kinds(machine.say(invite, 100, 100.3)) == []
    assert kinds(machine.say(invite, 180, 103.0)) == ["A 180", "CallRinging"]
    assert kinds(machine.say(invite, 200, 105.0, body=ANSWER)) == ["Acknowledge", "Persist"]
    assert kinds(machine.durable(105.01)) == ["A 200"]
    assert machine.call.state is CallState.ANSWERED
    assert kinds(machine.ack(105.1)) == []
    assert kinds(machine.caller_sends("BYE", 165.5)) == ["A 200", "B1 BYE", "CallEnded"]
    bye = next(c for c in machine.history if isinstance(c, Dial) and c.draft.method == "BYE")
    assert kinds(machine.reply(bye, 200, 165.6)) == ["Finished"]

    record = machine.assert_ended(EndReason.NORMAL, 200)
    assert (record.talk_ms, record.pdd_ms, record.end_side) == (60_500, 3_000, "caller")
    assert (record.q850_in, record.q850_out, record.cause_source) == (16, 16, "customer")
    assert record.answered_attempt == 0
    assert record.source == "192.0.2.10:5060;udp"
    assert (record.caller, record.called) == ("1000", "2000")
    assert bytes(record.sell_terms) == b'{"sell":1}'
    assert bytes(record.attempts[0].buy_terms) == b'{"buy":1}'
    assert record.attempts[0].target == "198.51.100.1:5060;udp"
    assert (record.attempts[0].sip_code, record.attempts[0].end_reason) == (200, "normal")
    assert (record.ended_at - record.answered_at).total_seconds() == 60.5  # type: ignore[operator]
    assert machine.context.vendor_limits.calls("vtr_1") == 0


def test_the_answer_is_durable_before_the_caller_hears_of_it() -> None:
    machine = Machine()
    invite = machine.dial()
    event = only(machine.say(invite, 200, 105.0, body=ANSWER), Persist).event
    assert isinstance(event, CallAnswered)
    assert (event.vendor_trunk_id, event.reservation_id) == ("vtr_1", "rsv_1")
    assert not [c for c in machine.history if isinstance(c, Respond)]


def test_an_answer_that_cannot_be_made_durable_is_refused_and_hung_up() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.say(invite, 200, 105.0, body=ANSWER)
    assert kinds(machine.durable(105.1, durable=False)) == [
        "B1 BYE", "A 503", "ReleaseCredit", "CallEnded", "Finished",
    ]  # fmt: skip
    record = machine.assert_ended(EndReason.SPOOL_UNAVAILABLE, 503)
    assert (record.talk_ms, record.answered_at, record.answered_attempt) == (0, None, None)
    assert machine.context.vendor_limits.calls("vtr_1") == 0


def test_topology_stays_hidden() -> None:
    secret = wire_request(
        "INVITE", body=OFFER, headers=["P-Charging-Vector: x", "Record-Route: <sip:192.0.2.99;lr>"]
    )
    machine = Machine(invite=secret)
    invite = machine.dial()
    sent = received(invite.draft)
    head = sent.lines
    assert not any("192.0.2" in line or "ingress" in line for line in head)
    answered = machine.say(
        invite, 180, 101.0, headers=["Record-Route: <sip:198.51.100.9;lr>", "Server: Acme"]
    )
    lines = response_in(only(answered, Respond)).lines
    assert not any("198.51.100" in line or "egress" in line or "Acme" in line for line in lines)


def test_max_forwards_is_one_less_on_the_other_leg() -> None:
    machine = Machine(invite=wire_request("INVITE", body=OFFER, max_forwards="5"))
    assert received(machine.dial().draft).max_forwards == 4


def test_max_forwards_of_zero_is_a_loop() -> None:
    machine = Machine(invite=wire_request("INVITE", body=OFFER, max_forwards="0"))
    machine.start()
    machine.assert_ended(EndReason.LOOP, 483)


@pytest.mark.parametrize(
    ("customer", "reason", "status"),
    [
        (None, EndReason.UNKNOWN_CUSTOMER, 403),
        (
            CustomerTrunk(id="ctr_1", account_id="a", enabled=False),
            EndReason.CUSTOMER_DISABLED,
            403,
        ),
        (CustomerTrunk(id="ctr_1", account_id="a", max_calls=0), EndReason.CUSTOMER_CAPACITY, 503),
        (CustomerTrunk(id="ctr_1", account_id="a", max_cps=0), EndReason.CUSTOMER_CPS, 503),
    ],
)
def test_a_call_that_is_not_admitted(
    customer: CustomerTrunk | None, reason: EndReason, status: int
) -> None:
    machine = Machine(trunk=customer)
    assert kinds(machine.start()) == [f"A {status}", "CallEnded", "Finished"]
    record = machine.assert_ended(reason, status)
    assert (record.caller, record.called, record.attempts) == ("1000", "2000", ())


@pytest.mark.parametrize("reason", [EndReason.NODE_SHUTDOWN, EndReason.NODE_CAPACITY])
def test_what_the_switch_refuses_is_recorded_as_whose_call_it_was(reason: EndReason) -> None:
    machine = Machine()
    steps = machine.take(machine.call.start(machine.trunk, 100.0, reason, "Retry-After: 60"))
    assert response_in(only(steps, Respond)).first("retry-after") == "60"
    record = machine.assert_ended(reason, 503)
    assert (record.customer_trunk_id, record.caller, record.called) == ("ctr_1", "1000", "2000")


def test_a_draining_switch_refuses_a_stranger_as_well() -> None:
    machine = Machine()
    machine.take(machine.call.start(None, 100.0, EndReason.NODE_SHUTDOWN))
    machine.assert_ended(EndReason.NODE_SHUTDOWN, 503)


def test_no_answer_from_routing() -> None:
    machine = Machine()
    machine.start()
    machine.take(machine.call.on_plan(None, 101.0))
    machine.assert_ended(EndReason.ROUTING_UNAVAILABLE, 503)


@pytest.mark.parametrize(
    ("refused", "status"),
    [("no_rate", 403), ("no_route", 503), ("invalid_number", 484), ("made_up", 500)],
)
def test_routing_refuses(refused: str, status: int) -> None:
    machine = Machine()
    machine.start()
    machine.take(machine.call.on_plan(plan(refused=refused), 101.0))
    reason = EndReason.INTERNAL_ERROR if refused == "made_up" else EndReason(refused)
    record = machine.assert_ended(reason, status)
    assert bytes(record.explanation) == b'{"because":"test"}'
    assert record.called_billed == "2000"


def test_a_plan_without_candidates_is_no_route() -> None:
    machine = Machine()
    machine.start()
    machine.take(machine.call.on_plan(plan(), 101.0))
    machine.assert_ended(EndReason.NO_ROUTE, 503)


@pytest.mark.parametrize(
    ("credit", "reason", "status"),
    [
        (None, EndReason.RATING_UNAVAILABLE, 503),
        (Credit(refused="insufficient_balance"), EndReason.INSUFFICIENT_BALANCE, 403),
    ],
)
def test_no_credit(credit: Credit | None, reason: EndReason, status: int) -> None:
    machine = Machine()
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.1))
    machine.take(machine.call.on_credit(credit, 100.2))
    machine.assert_ended(reason, status)
    assert "ReleaseCredit" not in kinds(machine.history)


# --- CANCEL at any moment ---------------------------------------------------------------


def cancel(machine: Machine, now: float, *headers: str) -> list[str]:
    message = wire_request("CANCEL", headers=headers)
    return kinds(machine.take(machine.call.on_cancel(message, "invite", now)))


def test_cancel_while_routing() -> None:
    machine = Machine()
    machine.start()
    assert cancel(machine, 100.5) == ["A 487", "CallEnded", "Finished"]
    record = machine.assert_ended(EndReason.CANCELLED, 487)
    assert (record.end_side, record.cause_source, record.q850_out) == ("caller", "customer", 16)
    assert machine.call.on_plan(machine.plan, 100.6) == []


def test_cancel_while_authorizing_gives_the_late_reservation_back() -> None:
    machine = Machine()
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.1))
    assert cancel(machine, 100.2) == ["A 487", "CallEnded", "Finished"]
    assert machine.call.on_credit(machine.credit, 100.3) == [ReleaseCredit("rsv_1")]
    assert machine.call.on_credit(Credit(), 100.3) == []
    assert machine.call.on_credit(None, 100.3) == []


def test_cancel_while_the_offer_is_rewritten() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.1))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.2)), OfferMedia)
    assert cancel(machine, 100.3) == ["A 487", "ReleaseCredit", "ReleaseMedia"]
    assert machine.media(offer.token, b"late", 100.4) == []
    machine.take(machine.call.on_media_stats(None, 100.5))
    machine.assert_ended(EndReason.CANCELLED, 487)


@pytest.mark.parametrize("status", [0, 100, 180])
def test_cancel_before_and_after_the_vendor_was_heard(status: int) -> None:
    machine = Machine()
    invite = machine.dial()
    if status:
        machine.say(invite, status, 101.0)
    steps = cancel(machine, 102.0, "Reason: Q.850;cause=16")
    assert steps == ["Cancel", "A 487", "ReleaseCredit"]
    command = only(machine.history, Cancel)
    assert command == Cancel(invite.owner.key, "B1", ("Reason: Q.850;cause=16",))
    assert not machine.ended_events  # the vendor's last word belongs into the record
    machine.say(invite, 487, 102.1)
    record = machine.assert_ended(EndReason.CANCELLED, 487)
    assert record.attempts[0].sip_code == 487
    assert record.attempts[0].end_reason == "cancelled"
    assert machine.context.vendor_limits.calls("vtr_1") == 0


def test_a_cancelled_vendor_that_says_nothing_delays_the_record_only_a_little() -> None:
    machine = Machine()
    machine.dial()
    cancel(machine, 102.0)
    assert machine.call.deadline == 107.0
    machine.take(machine.call.on_timer(106.9))
    assert not machine.ended_events
    machine.take(machine.call.on_timer(107.0))
    machine.assert_ended(EndReason.CANCELLED, 487)


def test_cancel_crossing_the_answer_is_acknowledged_and_hung_up() -> None:
    machine = Machine()
    invite = machine.dial()
    cancel(machine, 102.0)
    assert kinds(machine.say(invite, 200, 102.1, body=ANSWER)) == [
        "Acknowledge", "B1 BYE", "CallEnded", "Finished",
    ]  # fmt: skip
    assert machine.assert_ended(EndReason.CANCELLED, 487).talk_ms == 0


def test_cancel_while_the_answer_is_made_durable() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.say(invite, 200, 105.0, body=ANSWER)
    assert cancel(machine, 105.1) == [
        "B1 BYE", "A 487", "ReleaseCredit", "CallEnded", "Finished",
    ]  # fmt: skip
    assert machine.assert_ended(EndReason.CANCELLED, 487).answered_at is None
    assert machine.durable(105.2) == []


def test_cancel_after_the_answer_changes_nothing() -> None:
    machine = Machine()
    machine.answer()
    assert cancel(machine, 106.0) == []
    assert machine.call.state is CallState.ANSWERED


# --- early media, failover --------------------------------------------------------------


def test_several_provisionals_with_media_pass_in_order() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.1))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.2)), OfferMedia)
    assert (offer.from_caller, offer.sdp, offer.attempt) == (True, OFFER, 1)
    invite = only(machine.media(offer.token, b"to vendor", 100.3), Dial)
    assert received(invite.draft).body == b"to vendor"
    early = only(machine.say(invite, 183, 101.0, body=ANSWER), AnswerMedia)
    assert (early.from_caller, early.provisional, early.source_host) == (
        False, True, "198.51.100.1",
    )  # fmt: skip
    # Two more overtake the rewriting; they must not overtake the 183.
    assert machine.say(invite, 180, 101.1) == []
    assert machine.say(invite, 200, 101.2, body=ANSWER) == []
    passed = machine.media(early.token, b"to caller", 101.3)
    assert kinds(passed) == ["A 183", "CallRinging", "A 180", "AnswerMedia"]
    assert response_in(passed[0]).body == b"to caller"  # type: ignore[arg-type]
    final = only(passed, AnswerMedia)
    assert not final.provisional
    assert kinds(machine.media(final.token, b"final", 101.4)) == ["Acknowledge", "Persist"]
    ok = only(machine.durable(101.5), Respond)
    assert response_in(ok).body == b"final"
    machine.ack(101.6)
    machine.caller_sends("BYE", 111.2)
    stats = MediaStats(caller=StreamStats(packets=7))
    assert not machine.ended_events  # the statistics are on their way
    machine.take(machine.call.on_media_stats(stats, 111.3))
    record = machine.record
    assert record.media_caller == StreamStats(packets=7)
    assert record.talk_ms == 10_000
    ringing = [c.event for c in machine.history if isinstance(c, Emit)][1]
    assert isinstance(ringing, CallRinging)
    assert ringing.status == 183


def test_a_vendor_that_refuses_is_followed_by_the_next() -> None:
    machine = Machine(candidate(1), candidate(2))
    first = machine.dial()
    second = only(machine.say(first, 503, 101.0, headers=["Reason: Q.850;cause=34"]), Dial)
    assert second.peer.host == "198.51.100.2"
    assert second.leg == "B2"
    machine.say(second, 200, 102.0, body=ANSWER)
    machine.durable(102.0)
    machine.ack(102.1)
    machine.callee_sends(second, "BYE", 112.0)
    record = machine.record
    assert [a.vendor_trunk_id for a in record.attempts] == ["vtr_1", "vtr_2"]
    assert [a.sip_code for a in record.attempts] == [503, 200]
    assert (record.attempts[0].q850, record.attempts[0].reason_header) == (34, "Q.850;cause=34")
    assert (record.answered_attempt, record.end_side, record.talk_ms) == (1, "callee", 10_000)


def test_the_called_party_s_verdict_ends_the_hunt_and_passes_with_its_reason() -> None:
    machine = Machine(candidate(1), candidate(2))
    invite = machine.dial()
    steps = machine.say(invite, 486, 101.0, headers=["Reason: Q.850;cause=17"])
    assert kinds(steps) == ["A 486", "ReleaseCredit", "CallEnded", "Finished"]
    assert response_in(only(steps, Respond)).first("reason") == "Q.850;cause=17"
    record = machine.assert_ended(EndReason.BUSY, 486)
    assert (record.end_side, record.cause_source) == ("callee", "vendor")
    assert (record.sip_code_in, record.q850_in, record.q850_out) == (486, 17, 17)
    assert record.reason_header == "Q.850;cause=17"


def test_all_vendors_refuse() -> None:
    machine = Machine(candidate(1), candidate(2))
    second = only(machine.say(machine.dial(), 500, 101.0), Dial)
    steps = machine.say(second, 403, 102.0)
    reason = Reason.parse(response_in(only(steps, Respond)).first("reason") or "")
    assert reason.cause == 41
    record = machine.assert_ended(EndReason.REJECTED, 503)
    assert record.sip_code_in == 403


def test_hang_up_by_an_operator_before_the_answer() -> None:
    machine = Machine()
    invite = machine.dial()
    assert kinds(machine.take(machine.call.hang_up(EndReason.ADMIN_DISCONNECT, 101.0))) == [
        "Cancel", "A 503", "ReleaseCredit",
    ]  # fmt: skip
    machine.say(invite, 487, 101.1)
    machine.assert_ended(EndReason.ADMIN_DISCONNECT, 503)
    assert machine.call.hang_up(EndReason.ADMIN_DISCONNECT, 102.0) == []


def test_hang_up_while_the_answer_is_made_durable() -> None:
    machine = Machine()
    machine.say(machine.dial(), 200, 105.0, body=ANSWER)
    machine.take(machine.call.hang_up(EndReason.NODE_SHUTDOWN, 105.1))
    machine.assert_ended(EndReason.NODE_SHUTDOWN, 503)


def test_media_proxy_is_told_of_failed_attempts() -> None:
    machine = Machine(candidate(1, media_proxy=True), candidate(2, media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.1))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.2)), OfferMedia)
    invite = only(machine.media(offer.token, b"x", 100.3), Dial)
    steps = machine.say(invite, 503, 101.0)
    assert only(steps, ForgetMedia) == ForgetMedia(1)
    assert only(steps, OfferMedia).attempt == 2


def test_unusable_sdp_is_488() -> None:
    machine = Machine(candidate(1, media_proxy=True), candidate(2))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.1))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.2)), OfferMedia)
    steps = machine.media(offer.token, b"", 100.3, error="codec_mismatch")
    assert kinds(steps) == ["A 488", "ReleaseCredit", "ReleaseMedia"]
    machine.take(machine.call.on_media_stats(MediaStats(), 100.4))
    machine.assert_ended(EndReason.CODEC_MISMATCH, 488)


def test_media_statistics_that_never_come_do_not_hold_the_record_back() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.1))
    machine.take(machine.call.on_credit(machine.credit, 100.2))
    cancel(machine, 101.0)
    only(machine.history, ReleaseMedia)
    machine.take(machine.call.on_timer(machine.call.deadline))
    machine.assert_ended(EndReason.CANCELLED, 487)
    assert machine.call.on_media_stats(MediaStats(), 110.0) == []


def test_every_fork_has_a_tag_of_its_own_towards_the_caller() -> None:
    machine = Machine()
    invite = machine.dial()
    tags = [
        response_in(only(machine.say(invite, 180, 101.0, tag=tag), Respond)).to_tag
        for tag in ("one", "two", "one")
    ]
    assert tags == ["tag1", "tag1-1", "tag1"]
    machine.say(invite, 200, 105.0, body=ANSWER, tag="two")
    assert response_in(only(machine.durable(105.0), Respond)).to_tag == "tag1-1"


def test_the_second_fork_that_answers_is_hung_up() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.say(invite, 200, 105.0, body=ANSWER, tag="one")
    steps = machine.say(invite, 200, 105.1, body=ANSWER, tag="two")
    assert kinds(steps) == ["Acknowledge", "B1 BYE"]
    assert only(steps, Acknowledge).to_tag == "two"
    assert kinds(machine.durable(105.2)) == ["A 200"]


def test_a_vendor_given_up_on_that_answers_after_another_one_is_hung_up() -> None:
    machine = Machine(candidate(1), candidate(2))
    first = machine.dial()
    second = only(machine.take(machine.call.on_timer(105.0)), Dial)
    machine.say(second, 200, 106.0, body=ANSWER)
    machine.durable(106.0)
    machine.ack(106.1)
    assert kinds(machine.say(first, 200, 107.0, body=ANSWER)) == ["Acknowledge", "B1 BYE"]
    assert machine.call.state is CallState.ANSWERED
    assert machine.say(first, 487, 107.0) == []


def test_nothing_of_the_setup_is_kept_by_an_answered_call() -> None:
    machine = Machine()
    machine.answer()
    call = machine.call
    assert (call._ingress, call._hunt, call._plan, call._credit, call._pickup) == (None,) * 5


def test_the_source_of_a_call_is_where_its_caller_is_answered() -> None:
    machine = Machine()
    machine.answer()
    steps = machine.take(machine.call.hang_up(EndReason.ADMIN_DISCONNECT, 110.0))
    byes = [c for c in steps if isinstance(c, Dial)]
    assert [(bye.leg, bye.peer.host) for bye in byes] == [
        ("A", CALLER.host), ("B1", "198.51.100.1"),
    ]  # fmt: skip


def test_a_vendor_that_hangs_up_what_was_taken_back_gives_nothing_back_twice() -> None:
    shared = context()
    other = Machine(shared=shared)
    other.dial()
    machine = Machine(shared=shared)
    invite = machine.dial()
    machine.say(invite, 200, 105.0, body=ANSWER)
    machine.take(machine.call.hang_up(EndReason.ADMIN_DISCONNECT, 105.1))
    assert kinds(machine.callee_sends(invite, "BYE", 105.2)) == ["B1 200"]
    assert kinds(machine.history).count("ReleaseCredit") == 1
    assert shared.vendor_limits.calls("vtr_1") == 1  # the other call's
