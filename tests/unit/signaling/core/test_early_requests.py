"""PRACK and UPDATE inside a call that has not been answered yet (RFC 3262, RFC 3311)."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.early_media import EarlyMedia
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import Acknowledge, AnswerMedia, OfferMedia, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.values import CallState
from services.signaling.sip.actions import Peer
from tests.support.signaling.early import ALLOW, FAR, HELD, HOLD, NEAR, early, responses, started
from tests.support.signaling.machine import (
    ANSWER,
    OFFER,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)
from tests.support.signaling.options import pracks, reliably

# --- UPDATE that passes ------------------------------------------------------------------


def test_an_update_of_the_caller_passes_and_its_answer_back() -> None:
    subject, invite = early()
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD, key="up"), Dial)
    update = received(forwarded.draft)
    assert (forwarded.leg, update.body, update.to_tag) == ("B1", HOLD, "callee")
    assert update.cseq == (3, "UPDATE")  # after INVITE and PRACK
    assert update.call_id == received(invite.draft).call_id
    (answer,) = subject.reply(forwarded, 200, 102.1, body=HELD)
    assert isinstance(answer, Respond)
    assert (answer.key, response_in(answer).body) == ("up", HELD)
    assert response_in(answer).has("contact")
    assert subject.call.state is CallState.RINGING


def test_an_update_of_the_vendor_passes_and_its_answer_back() -> None:
    subject, invite = early()
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD, key="up"), Dial)
    update = received(forwarded.draft)
    assert (forwarded.leg, update.body, update.to_tag) == ("A", HOLD, "caller")
    assert (update.cseq, update.from_tag) == ((1, "UPDATE"), "tag1")
    assert update.call_id == "ingress@192.0.2.10"
    (answer,) = subject.reply(forwarded, 200, 102.1, body=HELD)
    assert isinstance(answer, Respond)
    assert (answer.key, answer.leg, response_in(answer).body) == ("up", "B1", HELD)


def test_an_update_with_media_in_between_and_the_answer_of_the_call_after_it() -> None:
    subject, invite = early(media_proxy=True)
    offer = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), OfferMedia)
    assert (offer.from_caller, offer.sdp, offer.attempt) == (True, HOLD, 1)
    forwarded = only(subject.media(offer.token, b"hold", 102.1), Dial)
    assert received(forwarded.draft).body == b"hold"
    answer = only(subject.reply(forwarded, 200, 102.2, body=HELD), AnswerMedia)
    assert (answer.from_caller, answer.provisional) == (False, True)
    (passed,) = subject.media(answer.token, b"held", 102.3)
    assert isinstance(passed, Respond)
    assert response_in(passed).body == b"held"
    # The vendor's 200 repeats what he first said: what was agreed later holds.
    last = only(subject.say(invite, 200, 103.0, body=ANSWER), AnswerMedia)
    assert (last.from_caller, last.sdp, last.provisional) == (False, HELD, False)
    assert kinds(subject.media(last.token, b"held", 103.1)) == ["Acknowledge", "Persist"]
    (ok,) = subject.durable(103.2)
    assert isinstance(ok, Respond)
    assert response_in(ok).body == b""


def test_the_call_after_an_update_counts_on_and_goes_where_it_said() -> None:
    subject, invite = early()
    moved = "sip:1000@192.0.2.10:5999"
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD, contact=moved), Dial)
    subject.reply(forwarded, 200, 102.1, body=HELD)
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.5, body=HOLD), Dial)
    assert forwarded.peer.port == 5999
    subject.reply(forwarded, 200, 102.6, body=HELD)
    subject.say(invite, 200, 103.0)
    subject.durable(103.1)
    subject.ack(103.2)
    bye = only(subject.callee_sends(invite, "BYE", 110.0), Dial)
    assert received(bye.draft).cseq == (2, "BYE")
    assert subject.record.end_reason == EndReason.NORMAL


def test_the_route_of_the_vendor_is_that_of_his_answer_not_of_his_update() -> None:
    subject, invite = early()
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
    subject.reply(forwarded, 200, 102.1, body=HELD)
    route = ["Record-Route: <sip:198.51.100.9;lr>"]
    ack = only(subject.say(invite, 200, 103.0, headers=route), Acknowledge)
    assert received(ack.draft).headers("route") == ["<sip:198.51.100.9;lr>"]


def test_several_updates_one_after_the_other() -> None:
    subject, invite = early()
    for number in range(3):
        forwarded = only(subject.caller_sends("UPDATE", 102.0 + number, body=HOLD), Dial)
        assert received(forwarded.draft).cseq.number == 3 + number
        assert responses(subject.reply(forwarded, 200, 102.1 + number, body=HELD)) == [200]
    assert kinds(subject.callee_sends(invite, "UPDATE", 106.0, body=HOLD)) == ["A UPDATE"]


def test_after_a_late_offer_was_answered_in_the_prack() -> None:
    subject, invite = started(body=b"")
    subject.say(invite, 183, 101.0, body=OFFER, headers=reliably(40, ALLOW))
    assert responses(subject.caller_sends("UPDATE", 101.2, body=HOLD)) == [491]
    assert responses(subject.callee_sends(invite, "UPDATE", 101.3, body=HOLD)) == [500]
    pracks(subject, 101.5, body=ANSWER)
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD), Dial)
    subject.reply(forwarded, 200, 102.1, body=HELD)
    assert kinds(subject.say(invite, 200, 103.0)) == ["Acknowledge", "Persist"]


def test_what_was_agreed_last_is_what_a_session_refresh_repeats() -> None:
    timer = SessionTimer(mode="request", expires_s=600, refresh="invite")
    near = CustomerSip(reliable=NEAR.reliable, session_timer=timer)
    far = VendorSip(reliable=FAR.reliable, session_timer=timer)
    subject, invite = early(customer=near, vendor=far)
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
    subject.reply(forwarded, 200, 102.1, body=HELD)
    subject.say(invite, 200, 105.0)
    subject.durable(105.0)
    subject.ack(105.0)
    refreshes = [c for c in subject.take(subject.call.on_timer(405.0)) if isinstance(c, Dial)]
    assert [(c.leg, received(c.draft).body) for c in refreshes] == [("A", HELD)]
    subject.reply(refreshes[0], 200, 405.1, body=HOLD)
    (refresh,) = subject.take(subject.call.on_timer(subject.call.deadline))
    assert isinstance(refresh, Dial)
    assert (refresh.leg, received(refresh.draft).body) == ("B1", HOLD)


def test_ringing_after_an_update_repeats_no_session() -> None:
    options = CustomerSip(reliable=NEAR.reliable, early_media=EarlyMedia(ringing="183"))
    for customer in (NEAR, options):
        subject, invite = early(customer=customer)
        subject.say(invite, 180, 101.6, body=ANSWER, headers=reliably(41))
        assert subject.say(invite, 180, 101.7, body=ANSWER, headers=reliably(42))[1:] == []
        forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
        subject.reply(forwarded, 200, 102.1, body=HELD)
        (_, waiting) = pracks(subject, 102.2)
        assert isinstance(waiting, Respond)
        assert response_in(waiting).body == b""
        pracks(subject, 102.3)
        (_, ringing) = subject.say(invite, 180, 103.0, body=ANSWER, headers=reliably(43))
        assert isinstance(ringing, Respond)
        assert response_in(ringing).body == b""


def test_a_vendor_may_ask_from_where_he_said_he_is() -> None:
    subject, invite = started()
    contact = ["Contact: <sip:2000@198.51.100.77:5060>", *reliably(40, ALLOW)]
    subject.say(invite, 183, 101.0, body=ANSWER, headers=contact, contact=False)
    pracks(subject, 101.5)
    ours = received(invite.draft)
    for host, asked in (("198.51.100.77", ["A UPDATE"]), ("203.0.113.66", ["A 481"])):
        update = wire_request(
            "UPDATE", to_tag=ours.from_tag, from_tag="callee", call_id=ours.call_id, body=HOLD
        )
        steps = subject.take(
            subject.call.on_request(update, "up", Peer("udp", host, 5060, 1), 102.0)
        )
        assert kinds(steps) == asked


# --- UPDATE that does not ----------------------------------------------------------------


def test_glare_both_ways() -> None:
    subject, invite = early()
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
    assert responses(subject.callee_sends(invite, "UPDATE", 102.1, body=HOLD)) == [491]
    again = subject.caller_sends("UPDATE", 102.2, body=HOLD)
    assert responses(again) == [500]
    assert response_in(only(again, Respond)).first("retry-after") == "1"
    assert responses(subject.reply(forwarded, 491, 102.3)) == [491]
    assert kinds(subject.callee_sends(invite, "UPDATE", 102.4, body=HOLD)) == ["A UPDATE"]


def test_an_offer_without_answer_is_in_the_way() -> None:
    subject, invite = started()
    refused = subject.caller_sends("UPDATE", 100.5, body=HOLD)
    assert responses(refused) == [500]
    assert response_in(only(refused, Respond)).first("retry-after") == "1"
    assert responses(subject.callee_sends(invite, "UPDATE", 100.5, body=HOLD)) == [491]
    subject.say(invite, 183, 101.0, body=ANSWER, headers=reliably(40, ALLOW))
    # The caller has yet to acknowledge the answer to his.
    assert responses(subject.caller_sends("UPDATE", 101.2, body=HOLD)) == [500]
    assert responses(subject.callee_sends(invite, "UPDATE", 101.2, body=HOLD)) == [500]
    pracks(subject, 101.5)
    assert kinds(subject.callee_sends(invite, "UPDATE", 101.6, body=HOLD)) == ["A UPDATE"]


@pytest.mark.parametrize(
    ("vendor", "allow_far", "reliable"),
    [
        (VendorSip(), ALLOW, True),
        (FAR, ALLOW, False),
        (FAR, "Allow: INVITE, PRACK", True),
        (FAR, "Subject: no Allow", True),
    ],
)
def test_a_vendor_who_cannot_is_504_to_the_caller(
    vendor: VendorSip, allow_far: str, *, reliable: bool
) -> None:
    subject, invite = started(vendor=vendor)
    headers = reliably(40, allow_far) if reliable else [allow_far]
    subject.say(invite, 183, 101.0, body=ANSWER, headers=headers)
    pracks(subject, 101.5)
    assert responses(subject.caller_sends("UPDATE", 102.0, body=HOLD)) == [504]
    assert subject.call.state is CallState.RINGING


@pytest.mark.parametrize(
    ("customer", "allow"),
    [(CustomerSip(), ALLOW), (NEAR, "Allow: INVITE, PRACK"), (NEAR, "Subject: no Allow")],
)
def test_a_caller_who_cannot_is_504_to_the_vendor(customer: CustomerSip, allow: str) -> None:
    subject, invite = started(customer=customer, allow=allow)
    subject.say(invite, 183, 101.0, body=ANSWER, headers=reliably(40, ALLOW))
    if customer is NEAR:
        pracks(subject, 101.5)
    assert responses(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD)) == [504]


@pytest.mark.parametrize("status", [405, 408, 481, 501])
def test_a_side_that_knows_no_update_is_504_to_the_other_and_the_call_goes_on(status: int) -> None:
    subject, invite = early()
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD), Dial)
    assert responses(subject.reply(forwarded, status, 102.1)) == [504]
    assert kinds(subject.say(invite, 200, 103.0, body=ANSWER)) == ["Acknowledge", "Persist"]


def test_an_update_nobody_answers_is_504() -> None:
    subject, _ = early()
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
    assert responses(subject.fail(forwarded.owner, 408, 134.0)) == [504]
    assert subject.fail(forwarded.owner, 408, 134.1) == []
    assert subject.call.state is CallState.RINGING


def test_a_refusal_passes_as_it_is() -> None:
    subject, _ = early()
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
    assert responses(subject.reply(forwarded, 488, 102.1)) == [488]
    assert kinds(subject.caller_sends("UPDATE", 103.0, body=HOLD)) == ["B1 UPDATE"]


@pytest.mark.parametrize(("error", "status"), [("codec_mismatch", 488), (None, 500)])
def test_an_offer_media_cannot_use_goes_no_further(error: str | None, status: int) -> None:
    subject, _ = early(media_proxy=True)
    offer = only(subject.caller_sends("UPDATE", 102.0, body=b"rubbish"), OfferMedia)
    if error:
        steps = subject.media(offer.token, b"", 102.1, error=error)
    else:
        steps = subject.take(subject.call.on_media(offer.token, None, 102.1))
    assert responses(steps) == [status]
    assert subject.call.state is CallState.RINGING


def test_an_answer_media_cannot_use_ends_the_call() -> None:
    subject, invite = early(media_proxy=True)
    offer = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), OfferMedia)
    forwarded = only(subject.media(offer.token, b"hold", 102.1), Dial)
    answer = only(subject.reply(forwarded, 200, 102.2, body=b"rubbish"), AnswerMedia)
    steps = subject.media(answer.token, b"", 102.3, error="codec_mismatch")
    assert kinds(steps)[:4] == ["A 488", "Cancel", "ForgetMedia", "A 488"]
    subject.say(invite, 487, 102.4)
    subject.take(subject.call.on_media_stats(None, 102.5))
    subject.assert_ended(EndReason.CODEC_MISMATCH, 488)


def test_an_old_or_repeated_number_is_500() -> None:
    subject, _ = early()
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
    subject.reply(forwarded, 200, 102.1, body=HELD)
    subject.caller_cseq -= 1
    assert responses(subject.caller_sends("UPDATE", 102.2, body=HOLD)) == [500]


def test_an_update_without_offer_is_answered_here() -> None:
    subject, invite = early()
    assert responses(subject.caller_sends("UPDATE", 102.0)) == [200]
    assert responses(subject.callee_sends(invite, "UPDATE", 102.0)) == [200]


# --- PRACK -------------------------------------------------------------------------------


def test_an_offer_in_the_prack_of_an_answer_is_488() -> None:
    subject, invite = started()
    subject.say(invite, 183, 101.0, body=ANSWER, headers=reliably(40, ALLOW))
    assert responses(pracks(subject, 101.5, body=HOLD)) == [488]
    assert kinds(subject.caller_sends("UPDATE", 102.0, body=HOLD)) == ["B1 UPDATE"]
