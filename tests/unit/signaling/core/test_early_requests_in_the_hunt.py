"""UPDATE while a call is answered, cancelled, forked, or goes to another vendor."""

from __future__ import annotations

from services.common.causes import EndReason
from services.common.sip_options.early_media import EarlyMedia
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.commands import Acknowledge, AnswerMedia, OfferMedia, Respond
from services.signaling.core.commands import Request as Dial
from tests.support.signaling.early import ALLOW, HELD, HOLD, NEAR, early, responses
from tests.support.signaling.machine import ANSWER, kinds, only, received, wire_request
from tests.support.signaling.options import pracks, reliably

# --- and the answer of the call ----------------------------------------------------------


def test_the_200_waits_for_an_update_under_way() -> None:
    subject, invite = early()
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD), Dial)
    assert subject.say(invite, 200, 102.5, body=ANSWER) == []
    assert responses(subject.caller_sends("UPDATE", 102.6, body=HOLD)) == [491]
    steps = subject.reply(forwarded, 200, 103.0, body=HELD)
    assert kinds(steps) == ["B1 200", "Acknowledge", "Persist"]
    # Between the vendor's answer and what the caller hears of it nothing passes.
    assert responses(subject.caller_sends("UPDATE", 103.05, body=HOLD)) == [500]
    assert responses(subject.callee_sends(invite, "UPDATE", 103.05, body=HOLD)) == [491]
    assert responses(subject.durable(103.1)) == [200]
    subject.ack(103.2)
    subject.caller_sends("BYE", 112.5)
    assert subject.record.talk_ms == 10_000


def test_no_update_passes_while_the_200_is_rewritten() -> None:
    subject, invite = early(media_proxy=True)
    ask = only(subject.say(invite, 200, 102.0, body=ANSWER), AnswerMedia)
    assert responses(subject.caller_sends("UPDATE", 102.01, body=HOLD)) == [500]
    assert responses(subject.callee_sends(invite, "UPDATE", 102.01, body=HOLD)) == [491]
    assert kinds(subject.media(ask.token, b"answer", 102.02)) == ["Acknowledge", "Persist"]


def test_the_200_waits_no_longer_than_the_update_is_waited_for() -> None:
    subject, invite = early()
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD), Dial)
    subject.say(invite, 200, 102.5, body=ANSWER)
    steps = subject.fail(forwarded.owner, 408, 134.0)
    assert kinds(steps) == ["B1 504", "Acknowledge", "Persist"]


def test_a_cancel_while_the_200_waits() -> None:
    subject, invite = early()
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD), Dial)
    subject.say(invite, 200, 102.5, body=ANSWER)
    steps = subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 103.0))
    assert kinds(steps)[:4] == ["B1 487", "Acknowledge", "B1 BYE", "A 487"]
    subject.assert_ended(EndReason.CANCELLED, 487)
    assert subject.reply(forwarded, 200, 103.1, body=HELD) == []


def test_a_cancel_answers_what_is_under_way() -> None:
    subject, invite = early(media_proxy=True)
    offer = only(subject.caller_sends("UPDATE", 102.0, body=HOLD, key="up"), OfferMedia)
    steps = subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 102.1))
    assert kinds(steps)[:4] == ["A 487", "Cancel", "ForgetMedia", "A 487"]
    assert subject.media(offer.token, b"hold", 102.2) == []
    subject.say(invite, 487, 102.3)
    subject.take(subject.call.on_media_stats(None, 102.4))
    subject.assert_ended(EndReason.CANCELLED, 487)


# --- and the next vendor -----------------------------------------------------------------


def test_what_is_under_way_with_a_vendor_who_is_out_is_504() -> None:
    subject, invite = early(vendors=2)
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD, key="up"), Dial)
    steps = subject.say(invite, 503, 102.1)
    assert kinds(steps) == ["A 504", "B2 INVITE"]
    assert only(steps, Respond).key == "up"
    assert subject.reply(forwarded, 200, 102.2, body=HELD) == []
    assert responses(subject.caller_sends("UPDATE", 103.0, body=HOLD)) == [504]
    assert responses(subject.callee_sends(invite, "UPDATE", 103.0, body=HOLD)) == [481]


def test_an_update_of_a_vendor_who_is_out_is_answered_before_the_next_is_called() -> None:
    subject, invite = early(vendors=2)
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD, key="up"), Dial)
    assert kinds(subject.say(invite, 503, 102.1)) == ["B1 504", "B2 INVITE"]
    assert subject.reply(forwarded, 200, 102.2, body=HELD) == []


def test_update_with_the_next_vendor() -> None:
    subject, invite = early(vendors=2)
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD), Dial)
    subject.reply(forwarded, 200, 102.1, body=HELD)
    second = only(subject.say(invite, 503, 102.2), Dial)
    subject.say(second, 183, 103.0, body=ANSWER, headers=reliably(7, ALLOW))
    assert responses(subject.callee_sends(second, "UPDATE", 103.1, body=HOLD)) == [500]
    pracks(subject, 103.2, to_tag="tag1-1")
    forwarded = only(subject.caller_sends("UPDATE", 104.0, body=HOLD, to_tag="tag1-1"), Dial)
    assert (forwarded.leg, received(forwarded.draft).cseq.number) == ("B2", 3)
    subject.reply(forwarded, 200, 104.1, body=HELD)
    forwarded = only(subject.callee_sends(second, "UPDATE", 104.5, body=HOLD), Dial)
    assert (forwarded.leg, received(forwarded.draft).from_tag) == ("A", "tag1-1")
    subject.reply(forwarded, 200, 104.6, body=HELD)
    assert kinds(subject.say(second, 200, 105.0)) == ["Acknowledge", "Persist"]


def test_the_last_vendor_s_refusal_answers_what_is_under_way_first() -> None:
    subject, invite = early()
    subject.caller_sends("UPDATE", 102.0, body=HOLD, key="up")
    steps = subject.say(invite, 486, 102.1)
    assert kinds(steps)[:2] == ["A 487", "A 486"]
    subject.assert_ended(EndReason.BUSY, 486)


def test_forks_update_each_in_their_dialog_and_one_at_a_time() -> None:
    subject, invite = early()
    subject.say(invite, 183, 101.6, body=ANSWER, headers=reliably(7, ALLOW), tag="two")
    pracks(subject, 101.7, to_tag="tag1-1")
    forwarded = only(subject.caller_sends("UPDATE", 102.0, body=HOLD, to_tag="tag1-1"), Dial)
    assert received(forwarded.draft).to_tag == "two"
    assert responses(subject.callee_sends(invite, "UPDATE", 102.1, body=HOLD)) == [491]
    # The first one answers meanwhile, and wins.
    steps = subject.say(invite, 200, 102.2, body=ANSWER)
    assert kinds(steps) == ["A 504", "Acknowledge", "Persist"]
    assert subject.reply(forwarded, 200, 102.3, body=HELD) == []


def test_one_dialog_for_all_forks_is_that_of_the_first() -> None:
    one = CustomerSip(reliable=NEAR.reliable, early_media=EarlyMedia(forks="one"))
    subject, invite = early(customer=one)
    subject.say(invite, 183, 101.6, body=ANSWER, headers=reliably(7, ALLOW), tag="two")
    assert responses(subject.callee_sends(invite, "UPDATE", 102.1, body=HOLD, tag="two")) == [504]
    forwarded = only(subject.caller_sends("UPDATE", 102.2, body=HOLD), Dial)
    assert received(forwarded.draft).to_tag == "callee"


def test_a_party_that_names_no_dialog_of_the_call() -> None:
    subject, invite = early()
    assert responses(subject.caller_sends("UPDATE", 102.0, body=HOLD, to_tag="tag1-9")) == [500]
    assert responses(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD, tag="x")) == [491]


def test_every_fork_that_answered_while_the_first_had_to_wait_is_hung_up() -> None:
    subject, invite = early()
    forwarded = only(subject.callee_sends(invite, "UPDATE", 102.0, body=HOLD), Dial)
    assert subject.say(invite, 200, 102.1, body=ANSWER) == []
    assert subject.say(invite, 200, 102.2, body=ANSWER, tag="two") == []
    steps = subject.reply(forwarded, 200, 102.3, body=HELD)
    assert kinds(steps) == ["B1 200", "Acknowledge", "Acknowledge", "B1 BYE", "Persist"]
    acked = [received(c.draft).to_tag for c in steps if isinstance(c, Acknowledge)]
    assert acked == ["callee", "two"]
