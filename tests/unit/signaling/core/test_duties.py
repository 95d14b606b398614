"""What the RFCs demand of dialogs and transactions beyond RFC 3261: a test for every duty.

Where a module has tests of its own the duty is tested there in depth: RFC 3262 in
``test_provisionals`` and ``test_answers``, RFC 4028 in ``test_vigil``, RFC 3515 and 3891 in
``test_transfer``.
"""

from __future__ import annotations

import pytest

from services.common.causes import EndReason, q850_of_sip, sip_of_q850
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.commands import Acknowledge, Command, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.values import CallState
from tests.support.signaling.machine import (
    ANSWER,
    OFFER,
    Machine,
    candidate,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)
from tests.support.signaling.options import machine


def test_rfc_2543_a_caller_without_tag_is_answered_and_hung_up_on() -> None:
    invite = wire_request("INVITE", body=OFFER)
    invite._first["from"] = "From: <sip:1000@192.0.2.10>"
    subject = Machine(invite=invite)
    subject.answer()
    bye = only(subject.take(subject.call.hang_up(EndReason.ADMIN_DISCONNECT, 110.0))[:1], Dial)
    assert received(bye.draft).to_tag == ""


def test_rfc_3261_13_2_2_4_a_late_2xx_after_cancel_is_acknowledged_and_hung_up() -> None:
    subject = Machine()
    invite = subject.dial()
    subject.say(invite, 180, 101.0)
    subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 102.0))
    steps = subject.say(invite, 200, 102.1, body=ANSWER)
    assert kinds(steps)[:2] == ["Acknowledge", "B1 BYE"]
    assert subject.final_response() == 487


def test_rfc_3261_13_3_1_4_a_2xx_nobody_acknowledges_is_hung_up() -> None:
    subject = Machine()
    subject.answer(ack=False)
    steps = subject.take(subject.call.on_no_ack("invite", 137.0))
    assert kinds(steps)[:2] == ["A BYE", "B1 BYE"]
    assert subject.record.end_reason == EndReason.NO_ACK


def test_rfc_3261_12_2_2_an_old_cseq_is_500() -> None:
    subject = Machine()
    subject.answer()
    subject.caller_sends("INFO", 110.0)
    subject.caller_cseq = 1
    assert kinds(subject.caller_sends("INFO", 111.0)) == ["A 500"]


def test_rfc_3261_14_1_glare_is_491() -> None:
    subject = Machine()
    invite = subject.answer()
    subject.caller_sends("INVITE", 110.0, body=OFFER)
    assert kinds(subject.callee_sends(invite, "INVITE", 110.1, body=OFFER)) == ["B1 491"]


def test_rfc_3262_what_is_required_but_off_is_420() -> None:
    invite = wire_request("INVITE", body=OFFER, headers=["Require: 100rel"])
    subject = machine(invite=invite)
    refusal = response_in(only(subject.start(), Respond))
    assert (refusal.status, refusal.first("unsupported")) == (420, "100rel")


def test_rfc_3262_rseq_is_the_leg_s_own() -> None:
    invite = wire_request("INVITE", body=OFFER, headers=["Supported: 100rel"])
    subject = machine(customer=CustomerSip(reliable=Reliable(mode="supported")), invite=invite)
    sent = subject.dial()
    steps = subject.say(sent, 180, 101.0, headers=["RSeq: 77"])
    ringing = response_in(next(c for c in steps if isinstance(c, Respond)))
    assert ringing.first("rseq") not in (None, "77")


@pytest.mark.parametrize("leg", ["A", "B1"])
def test_rfc_3311_an_offer_before_the_answer_is_put_off(leg: str) -> None:
    subject = Machine()
    invite = subject.dial()
    subject.say(invite, 180, 101.0)
    steps: list[Command]
    if leg == "A":
        steps = subject.caller_sends("UPDATE", 102.0, body=OFFER)
        assert response_in(only(steps, Respond)).first("retry-after") is not None
    else:
        steps = subject.callee_sends(invite, "UPDATE", 102.0, body=OFFER)
    # 500 for who waits for our answer, 491 for who owes us his (section 5.2)
    assert kinds(steps) == [f"{leg} {500 if leg == 'A' else 491}"]
    assert subject.call.state is CallState.RINGING


def test_rfc_3311_an_update_without_offer_in_an_early_dialog_is_200_with_contact() -> None:
    subject = Machine()
    subject.say(subject.dial(), 180, 101.0)
    ok = response_in(only(subject.caller_sends("UPDATE", 102.0), Respond))
    assert (ok.status, ok.first("contact")) == (200, "<sip:203.0.113.1:5060>")


def test_rfc_3326_the_reason_of_a_bye_passes() -> None:
    subject = Machine()
    invite = subject.answer()
    steps = subject.callee_sends(invite, "BYE", 110.0, headers=["Reason: Q.850;cause=34"])
    assert received(only(steps, Dial).draft).first("reason") == "Q.850;cause=34"
    assert subject.record.q850_in == 34


@pytest.mark.parametrize(
    ("cause", "status"),
    [(17, 486), (1, 404), (18, 408), (19, 480), (34, 503), (21, 403), (28, 484), (127, 500)],
)
def test_rfc_3398_causes_become_statuses(cause: int, status: int) -> None:
    assert sip_of_q850(cause) == status


@pytest.mark.parametrize(("status", "cause"), [(486, 17), (404, 1), (484, 28), (403, 21)])
def test_rfc_3398_statuses_become_causes(status: int, cause: int) -> None:
    assert q850_of_sip(status) == cause


def test_rfc_3264_a_late_offer_is_answered_in_the_ack() -> None:
    subject = Machine(invite=wire_request("INVITE"))
    invite = subject.dial()
    subject.say(invite, 200, 105.0, body=ANSWER)
    assert response_in(only(subject.durable(105.0), Respond)).body == ANSWER
    assert received(only(subject.ack(105.1, body=OFFER), Acknowledge).draft).body == OFFER


def test_rfc_3264_a_reinvite_without_sdp_asks_for_an_offer() -> None:
    subject = Machine()
    subject.answer()
    forwarded = only(subject.caller_sends("INVITE", 110.0, key="re"), Dial)
    assert received(forwarded.draft).body == b""
    assert kinds(subject.reply(forwarded, 200, 110.1, body=ANSWER)) == ["A 200"]
    ack = only(subject.ack(110.2, key="re", body=OFFER), Acknowledge)
    assert received(ack.draft).body == OFFER


@pytest.mark.parametrize("line", ["a=sendonly\r\n", "a=inactive\r\n", "c=IN IP4 0.0.0.0\r\n"])
def test_rfc_3264_every_way_to_hold_passes(line: str) -> None:
    subject = Machine()
    subject.answer()
    held = OFFER + line.encode()
    forwarded = only(subject.caller_sends("INVITE", 110.0, body=held), Dial)
    assert received(forwarded.draft).body == held


def test_rfc_4028_the_two_legs_have_timers_of_their_own() -> None:
    timed = CustomerSip(session_timer=SessionTimer(mode="request", expires_s=600))
    subject = machine(customer=timed)
    invite = subject.answer()
    assert not received(invite.draft).has("session-expires")
    ok = [c for c in subject.history if isinstance(c, Respond) and c.key == "invite"][-1]
    assert response_in(ok).first("session-expires") == "600;refresher=uas"


@pytest.mark.parametrize(("hops", "sent"), [("70", 69), ("1", 0), ("255", 69), ("", 70)])
def test_rfc_7332_max_forwards_is_copied_and_decremented(hops: str, sent: int) -> None:
    subject = Machine(invite=wire_request("INVITE", body=OFFER, max_forwards=hops))
    assert received(subject.dial().draft).max_forwards == sent


def test_rfc_7332_483_when_no_hop_is_left() -> None:
    subject = Machine(invite=wire_request("INVITE", body=OFFER, max_forwards="0"))
    assert kinds(subject.start())[0] == "A 483"
    assert subject.record.end_reason == EndReason.LOOP


def test_rfc_7332_inside_a_dialog_too() -> None:
    subject = Machine()
    subject.answer()
    assert kinds(subject.caller_sends("INFO", 110.0, max_forwards="0")) == ["A 483"]
    forwarded = only(subject.caller_sends("INFO", 111.0, max_forwards="9"), Dial)
    assert received(forwarded.draft).max_forwards == 8


def test_rfc_7332_a_call_that_comes_back_to_us_runs_out_of_hops() -> None:
    # Each time round is a new call of ours, one hop poorer: 70 of them, and no more.
    hops, rounds = "70", 0
    while True:
        subject = Machine(invite=wire_request("INVITE", body=OFFER, max_forwards=hops))
        if "A 483" in kinds(subject.start()):
            break
        subject.take(subject.call.on_plan(subject.plan, 100.0))
        invite = only(subject.take(subject.call.on_credit(subject.credit, 100.0)), Dial)
        hops, rounds = str(received(invite.draft).max_forwards), rounds + 1
    assert rounds == 70


def test_rfc_3515_refer_is_405_where_no_policy_allows_it() -> None:
    subject = Machine(candidate())
    subject.answer()
    steps = subject.caller_sends("REFER", 110.0, headers=["Refer-To: <sip:3000@x>"])
    assert kinds(steps) == ["A 405"]
