"""re-INVITE, UPDATE, INFO and MESSAGE inside an answered call."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Cancel,
    OfferMedia,
    Respond,
)
from services.signaling.core.commands import Request as Dial
from services.signaling.core.exchanges import MOST_AT_ONCE
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

HOLD = OFFER + b"a=sendonly\r\n"


def proxied() -> tuple[Machine, Dial]:
    """An answered call whose media we relay."""
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.0)), OfferMedia)
    invite = only(machine.media(offer.token, b"x", 100.1), Dial)
    answer = only(machine.say(invite, 200, 105.0, body=ANSWER), AnswerMedia)
    machine.media(answer.token, b"y", 105.0)
    machine.durable(105.0)
    machine.ack(105.1)
    return machine, invite


def test_hold_from_the_caller_with_media_in_between() -> None:
    machine, _ = proxied()
    offer = only(machine.caller_sends("INVITE", 110.0, body=HOLD, key="re"), OfferMedia)
    assert (offer.from_caller, offer.sdp, offer.attempt) == (True, HOLD, 1)
    forwarded = only(machine.media(offer.token, b"hold", 110.1), Dial)
    assert received(forwarded.draft).body == b"hold"
    assert received(forwarded.draft).cseq == (2, "INVITE")
    steps = machine.reply(forwarded, 200, 110.2, body=ANSWER)
    assert kinds(steps) == ["Acknowledge", "AnswerMedia"]
    assert received(only(steps, Acknowledge).draft).cseq == (2, "ACK")
    passed = only(machine.media(only(steps, AnswerMedia).token, b"held", 110.3), Respond)
    assert (passed.key, response_in(passed).status, response_in(passed).body) == (
        "re", 200, b"held",
    )  # fmt: skip
    assert response_in(passed).first("contact") == "<sip:203.0.113.1:5060>"
    assert machine.ack(110.4, key="re") == []
    assert "B1 INVITE" not in kinds(machine.caller_sends("INVITE", 111.0, body=OFFER, key="re2"))
    assert machine.call.state is CallState.ANSWERED


def test_hold_from_the_callee_without_media_in_between() -> None:
    machine = Machine()
    invite = machine.answer()
    forwarded = only(machine.callee_sends(invite, "INVITE", 110.0, body=HOLD, key="re"), Dial)
    assert (forwarded.leg, received(forwarded.draft).body) == ("A", HOLD)
    assert received(forwarded.draft).cseq == (1, "INVITE")
    steps = machine.reply(forwarded, 200, 110.1, body=OFFER)
    assert kinds(steps) == ["Acknowledge", "B1 200"]


def test_reinvite_without_sdp_carries_its_answer_in_the_ack() -> None:
    machine, _ = proxied()
    forwarded = only(machine.caller_sends("INVITE", 110.0, key="re"), Dial)
    assert received(forwarded.draft).body == b""
    asked = only(machine.reply(forwarded, 200, 110.1, body=ANSWER), OfferMedia)
    assert not asked.from_caller
    assert kinds(machine.media(asked.token, b"offer", 110.2)) == ["A 200"]
    answer = only(machine.ack(110.3, key="re", body=OFFER), AnswerMedia)
    assert answer.from_caller
    ack = only(machine.media(answer.token, b"answer", 110.4), Acknowledge)
    assert received(ack.draft).body == b"answer"


def test_a_refused_reinvite_leaves_the_call_as_it_was() -> None:
    machine, _ = proxied()
    offer = only(machine.caller_sends("INVITE", 110.0, body=HOLD, key="re"), OfferMedia)
    forwarded = only(machine.media(offer.token, b"hold", 110.1), Dial)
    assert kinds(machine.reply(forwarded, 488, 110.2)) == ["A 488"]
    assert machine.call.state is CallState.ANSWERED
    again = machine.caller_sends("INVITE", 111.0, body=OFFER, key="re2")
    assert kinds(again) == ["OfferMedia"]


def test_unusable_sdp_of_a_reinvite_is_488_and_goes_no_further() -> None:
    machine, _ = proxied()
    offer = only(machine.caller_sends("INVITE", 110.0, body=b"rubbish", key="re"), OfferMedia)
    steps = machine.media(offer.token, b"", 110.1, error="codec_mismatch")
    assert kinds(steps) == ["A 488"]
    assert machine.call.state is CallState.ANSWERED


def test_media_away_during_a_reinvite_is_500_and_the_call_goes_on() -> None:
    machine, _ = proxied()
    offer = only(machine.caller_sends("INVITE", 110.0, body=HOLD), OfferMedia)
    assert kinds(machine.take(machine.call.on_media(offer.token, None, 110.1))) == ["A 500"]
    assert machine.call.state is CallState.ANSWERED


def test_an_answer_that_cannot_be_rewritten_ends_the_call() -> None:
    machine, _ = proxied()
    offer = only(machine.caller_sends("INVITE", 110.0, body=HOLD), OfferMedia)
    forwarded = only(machine.media(offer.token, b"hold", 110.1), Dial)
    asked = only(machine.reply(forwarded, 200, 110.2, body=b"rubbish"), AnswerMedia)
    steps = machine.media(asked.token, b"", 110.3, error="codec_mismatch")
    assert kinds(steps)[:3] == ["A 488", "A BYE", "B1 BYE"]


def test_glare_both_ways() -> None:
    machine = Machine()
    invite = machine.answer()
    machine.caller_sends("INVITE", 110.0, body=HOLD, key="re")
    assert kinds(machine.callee_sends(invite, "INVITE", 110.1, body=HOLD)) == ["B1 491"]
    assert kinds(machine.callee_sends(invite, "UPDATE", 110.1, body=HOLD)) == ["B1 491"]
    again = machine.caller_sends("INVITE", 110.2, body=OFFER)
    assert response_in(only(again, Respond)).status == 500
    assert response_in(only(again, Respond)).first("retry-after") == "1"


def test_glare_of_the_other_side_passes_as_491() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD), Dial)
    assert kinds(machine.reply(forwarded, 491, 110.1)) == ["A 491"]


def test_a_reinvite_before_the_caller_acknowledged_is_glare() -> None:
    machine = Machine()
    invite = machine.answer(ack=False)
    assert kinds(machine.callee_sends(invite, "INVITE", 105.1, body=HOLD)) == ["B1 491"]
    machine.ack(105.2)
    assert kinds(machine.callee_sends(invite, "INVITE", 105.3, body=HOLD)) == ["A INVITE"]


def test_update_passes_and_needs_no_ack() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("UPDATE", 110.0, body=HOLD), Dial)
    assert forwarded.draft.method == "UPDATE"
    assert kinds(machine.reply(forwarded, 200, 110.1, body=ANSWER)) == ["A 200"]
    assert kinds(machine.caller_sends("INVITE", 111.0, body=OFFER)) == ["B1 INVITE"]


def test_update_without_sdp_leaves_media_alone() -> None:
    machine, _ = proxied()
    forwarded = only(machine.caller_sends("UPDATE", 110.0), Dial)
    assert kinds(machine.reply(forwarded, 200, 110.1)) == ["A 200"]


@pytest.mark.parametrize("method", ["INFO", "MESSAGE"])
def test_info_and_message_pass_with_body_and_answer(method: str) -> None:
    machine = Machine()
    invite = machine.answer()
    steps = machine.callee_sends(
        invite, method, 110.0, headers=["Info-Package: dtmf", "X-Internal: 1"], body=b"Signal=5"
    )
    forwarded = only(steps, Dial)
    message = received(forwarded.draft)
    assert (forwarded.leg, message.method, message.body) == ("A", method, b"Signal=5")
    assert message.first("info-package") == "dtmf"
    assert not message.has("x-internal")
    assert message.max_forwards == 69
    assert kinds(machine.reply(forwarded, 415, 110.1)) == ["B1 415"]
    assert machine.call.state is CallState.ANSWERED


def test_info_passes_beside_a_reinvite() -> None:
    machine = Machine()
    machine.answer()
    machine.caller_sends("INVITE", 110.0, body=HOLD)
    assert kinds(machine.caller_sends("INFO", 110.1, body=b"x")) == ["B1 INFO"]


def test_a_flood_of_info_is_bounded() -> None:
    machine = Machine()
    machine.answer()
    for _ in range(MOST_AT_ONCE):
        machine.caller_sends("INFO", 110.0)
    assert kinds(machine.caller_sends("INFO", 110.0)) == ["A 500"]


def test_info_nobody_answers() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INFO", 110.0), Dial)
    assert kinds(machine.fail(forwarded.owner, 408, 142.0)) == ["A 408"]
    assert machine.call.state is CallState.ANSWERED


def test_max_forwards_of_zero_goes_no_further() -> None:
    machine = Machine()
    machine.answer()
    assert kinds(machine.caller_sends("INFO", 110.0, max_forwards="0")) == ["A 483"]


@pytest.mark.parametrize("status", [408, 481])
def test_a_side_that_knows_the_dialog_no_more_ends_the_call(status: int) -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD), Dial)
    steps = machine.reply(forwarded, status, 111.0)
    assert kinds(steps)[:2] == [f"A {status}", "A BYE"]
    assert "B1 BYE" not in kinds(steps)
    assert machine.record.end_side == "callee"


def test_a_reinvite_nobody_answers_ends_the_call() -> None:
    machine = Machine()
    invite = machine.answer()
    forwarded = only(machine.callee_sends(invite, "INVITE", 110.0, body=HOLD), Dial)
    assert kinds(machine.fail(forwarded.owner, 408, 142.0))[:2] == ["B1 408", "B1 BYE"]
    assert (machine.record.end_reason, machine.record.end_side) == ("rejected", "caller")


def test_a_challenge_to_a_reinvite_does_not_pass() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD), Dial)
    assert kinds(machine.reply(forwarded, 407, 110.1)) == ["A 488"]


def test_a_cancelled_reinvite() -> None:
    machine, _ = proxied()
    cancel = wire_request("CANCEL")
    offer = only(machine.caller_sends("INVITE", 110.0, body=HOLD, key="re"), OfferMedia)
    assert kinds(machine.take(machine.call.on_cancel(cancel, "re", 110.1))) == ["A 487"]
    assert machine.media(offer.token, b"late", 110.2) == []
    offer = only(machine.caller_sends("INVITE", 111.0, body=HOLD, key="re2"), OfferMedia)
    forwarded = only(machine.media(offer.token, b"hold", 111.1), Dial)
    assert only(machine.take(machine.call.on_cancel(cancel, "re2", 111.2)), Cancel).key == (
        forwarded.owner.key
    )
    assert kinds(machine.reply(forwarded, 487, 111.3)) == ["A 487"]
    assert machine.call.on_cancel(cancel, "other", 111.4) == []


# --- late offer -------------------------------------------------------------------------


def late_offer(*, media_proxy: bool) -> tuple[Machine, Dial]:
    machine = Machine(candidate(media_proxy=media_proxy), invite=wire_request("INVITE"))
    invite = machine.dial()
    steps = machine.say(invite, 200, 105.0, body=ANSWER)
    if media_proxy:
        steps = machine.media(only(steps, OfferMedia).token, b"offer", 105.0)
    assert "Acknowledge" not in kinds(steps)
    assert response_in(only(machine.durable(105.1), Respond)).body == (
        b"offer" if media_proxy else ANSWER
    )
    return machine, invite


def test_late_offer_with_media_in_between() -> None:
    machine, invite = late_offer(media_proxy=True)
    answer = only(machine.ack(105.2, body=OFFER), AnswerMedia)
    ack = only(machine.media(answer.token, b"answer", 105.3), Acknowledge)
    assert (ack.key, received(ack.draft).body) == (invite.owner.key, b"answer")
    assert received(ack.draft).cseq == (1, "ACK")


def test_late_offer_without_media_in_between() -> None:
    machine, _ = late_offer(media_proxy=False)
    ack = only(machine.ack(105.2, body=OFFER), Acknowledge)
    assert received(ack.draft).body == OFFER


def test_late_offer_without_an_answer_in_the_ack_ends_the_call() -> None:
    machine, _ = late_offer(media_proxy=True)
    steps = kinds(machine.ack(105.2))
    assert steps[:3] == ["Acknowledge", "A BYE", "B1 BYE"]
    machine.take(machine.call.on_media_stats(None, 105.3))
    assert machine.record.end_reason == EndReason.CODEC_MISMATCH


def test_late_offer_whose_answer_is_unusable_ends_the_call() -> None:
    machine, _ = late_offer(media_proxy=True)
    answer = only(machine.ack(105.2, body=b"rubbish"), AnswerMedia)
    steps = kinds(machine.media(answer.token, b"", 105.3, error="codec_mismatch"))
    assert steps[:3] == ["Acknowledge", "A BYE", "B1 BYE"]


def test_a_late_offer_nobody_acknowledges_is_acknowledged_before_the_bye() -> None:
    machine, _ = late_offer(media_proxy=False)
    steps = kinds(machine.take(machine.call.on_no_ack("invite", 137.1)))
    assert steps[:3] == ["Acknowledge", "A BYE", "B1 BYE"]


@pytest.mark.parametrize("media_proxy", [False, True])
def test_a_bye_that_overtakes_the_ack_of_a_late_offer_ends_the_call(media_proxy: bool) -> None:
    machine, _ = late_offer(media_proxy=media_proxy)
    steps = kinds(machine.caller_sends("BYE", 105.2))
    assert steps[:3] == ["A 200", "Acknowledge", "B1 BYE"]
    assert machine.ack(105.2, body=OFFER) == []
    machine.take(machine.call.on_media_stats(None, 105.3))
    assert machine.record.end_reason == EndReason.NORMAL


def test_a_bye_that_overtakes_the_ack_ends_the_call() -> None:
    machine = Machine()
    machine.answer(ack=False)
    assert kinds(machine.caller_sends("BYE", 105.2))[:2] == ["A 200", "B1 BYE"]
    assert machine.ack(105.2) == []
    assert machine.record.end_reason == EndReason.NORMAL


def test_the_end_answers_what_is_under_way() -> None:
    machine = Machine()
    invite = machine.answer()
    machine.caller_sends("INVITE", 110.0, body=HOLD, key="re")
    machine.caller_sends("INFO", 110.0, key="info")
    steps = machine.callee_sends(invite, "BYE", 110.1)
    assert kinds(steps)[:5] == ["B1 200", "Cancel", "A 487", "A 487", "A BYE"]


# --- a re-INVITE that draws no final response (RFC 3261 section 16.6, timer C) ------------


def on_timer(machine: Machine, now: float) -> list[str]:
    return kinds(machine.take(machine.call.on_timer(now)))


def test_a_reinvite_that_only_draws_100_is_cancelled_to_the_instant() -> None:
    machine, _ = proxied()
    offer = only(machine.caller_sends("INVITE", 110.0, body=HOLD, key="re"), OfferMedia)
    forwarded = only(machine.media(offer.token, b"hold", 110.5), Dial)
    machine.reply(forwarded, 100, 111.0)
    assert machine.call.deadline == 290.5
    assert on_timer(machine, 290.499) == []
    cancel = only(machine.take(machine.call.on_timer(290.5)), Cancel)
    assert (cancel.key, cancel.leg) == (forwarded.owner.key, "B1")
    assert on_timer(machine, 300.0) == []
    # Its transaction is still there: another offer has to wait for its end.
    assert kinds(machine.caller_sends("UPDATE", 300.0, body=HOLD)) == ["A 500"]
    (refused,) = machine.reply(forwarded, 487, 300.5)
    assert isinstance(refused, Respond)
    assert (refused.key, refused.reply.status) == ("re", 408)
    assert machine.call.state is CallState.ANSWERED
    assert kinds(machine.caller_sends("INVITE", 301.0, body=HOLD, key="re2")) == ["OfferMedia"]


def test_what_rings_may_take_as_long_again() -> None:
    machine = Machine()
    invite = machine.answer()
    forwarded = only(machine.callee_sends(invite, "INVITE", 110.0, body=HOLD), Dial)
    machine.reply(forwarded, 180, 250.0)
    assert machine.call.deadline == 430.0
    machine.reply(forwarded, 100, 300.0)
    assert on_timer(machine, 429.9) == []
    assert on_timer(machine, 430.0) == ["Cancel"]
    machine.reply(forwarded, 180, 430.1)
    assert on_timer(machine, 700.0) == []
    assert kinds(machine.reply(forwarded, 487, 700.1)) == ["B1 408"]


def test_an_answer_that_crosses_our_cancel_passes() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD), Dial)
    assert on_timer(machine, 290.0) == ["Cancel"]
    assert kinds(machine.reply(forwarded, 200, 290.1, body=ANSWER)) == ["Acknowledge", "A 200"]


def test_another_refusal_than_that_of_our_cancel_passes_as_it_is() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD), Dial)
    assert on_timer(machine, 290.0) == ["Cancel"]
    assert kinds(machine.reply(forwarded, 488, 290.1)) == ["A 488"]


def test_who_answers_not_even_our_cancel_is_gone() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD), Dial)
    assert on_timer(machine, 290.0) == ["Cancel"]
    assert kinds(machine.fail(forwarded.owner, 408, 322.0))[:2] == ["A 408", "A BYE"]


def test_a_reinvite_cancelled_by_who_sent_it_is_cancelled_once_and_487() -> None:
    machine = Machine()
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD, key="re"), Dial)
    cancel = wire_request("CANCEL")
    assert kinds(machine.take(machine.call.on_cancel(cancel, "re", 200.0))) == ["Cancel"]
    assert on_timer(machine, 290.0) == []
    assert kinds(machine.reply(forwarded, 487, 290.1)) == ["A 487"]


def test_the_limit_is_a_setting_and_ends_with_the_answer() -> None:
    machine = Machine()
    machine.context.reinvite_s = 10.0
    machine.answer()
    forwarded = only(machine.caller_sends("INVITE", 110.0, body=HOLD), Dial)
    assert machine.call.deadline == 120.0
    assert kinds(machine.reply(forwarded, 200, 119.0, body=ANSWER))[-1] == "A 200"
    assert on_timer(machine, 120.0) == []
    assert on_timer(machine, 200.0) == []


@pytest.mark.parametrize("method", ["UPDATE", "INFO"])
def test_what_has_a_timer_of_its_own_has_no_other(method: str) -> None:
    machine = Machine()
    machine.answer()
    before = machine.call.deadline
    machine.caller_sends(method, 110.0, body=HOLD)
    assert machine.call.deadline == before
