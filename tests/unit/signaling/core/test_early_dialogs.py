"""A vendor's reliable responses and their PRACK: RFC 3262 section 4, and offers in them."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.early_media import EarlyMedia
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Command,
    ForgetMedia,
    OfferMedia,
    Respond,
)
from services.signaling.core.commands import Request as Dial
from services.signaling.core.values import CallState
from tests.support.signaling.machine import (
    ANSWER,
    OFFER,
    Machine,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)
from tests.support.signaling.options import machine, pracks, reliably

ON = VendorSip(reliable=Reliable(mode="supported"))
NEAR = CustomerSip(reliable=Reliable(mode="supported"))
PLAIN = CustomerSip()


def dialled(vendor: VendorSip = ON) -> tuple[Machine, Dial]:
    subject = machine(vendor=vendor)
    return subject, subject.dial()


def late(
    *headers: str,
    customer: CustomerSip = NEAR,
    vendor: VendorSip = ON,
    media_proxy: bool = False,
    vendors: int = 1,
) -> tuple[Machine, Dial]:
    """A call without offer, up to its INVITE to the vendor."""
    invite = wire_request("INVITE", headers=headers or ("Supported: 100rel",))
    subject = machine(
        customer=customer, vendor=vendor, invite=invite, media_proxy=media_proxy, vendors=vendors
    )
    return subject, subject.dial()


def answering(commands: list[Command]) -> Dial:
    """The PRACK to the vendor."""
    prack = next(c for c in commands if isinstance(c, Dial))
    assert prack.draft.method == "PRACK"
    return prack


def test_what_is_offered_to_the_vendor() -> None:
    _, invite = dialled()
    assert received(invite.draft).headers("supported") == ["100rel"]
    _, invite = dialled(VendorSip(reliable=Reliable(mode="required")))
    assert received(invite.draft).headers("require") == ["100rel"]
    _, invite = dialled(VendorSip())
    assert not received(invite.draft).has("supported")


def test_reliable_ringing_is_acknowledged_at_once_and_passed_on() -> None:
    subject, invite = dialled()
    steps = subject.say(invite, 180, 101.0, headers=reliably(40))
    assert kinds(steps) == ["B1 PRACK", "A 180", "CallRinging"]
    prack = received(only(steps, Dial).draft)
    assert prack.first("rack") == "40 1 INVITE"
    assert (prack.cseq, prack.to_tag, prack.body) == ((2, "PRACK"), "callee", b"")
    assert not any("100rel" in str(c) for c in steps[1:])


def test_repeated_reliable_ringing_is_absorbed_and_gaps_wait() -> None:
    subject, invite = dialled()
    subject.say(invite, 180, 101.0, headers=reliably(40))
    assert kinds(subject.say(invite, 180, 101.5, headers=reliably(40))) == []
    assert kinds(subject.say(invite, 183, 102.0, headers=reliably(42), body=ANSWER)) == []
    steps = subject.say(invite, 183, 103.0, headers=reliably(41), body=ANSWER)
    assert kinds(steps) == ["B1 PRACK", "A 183"]
    assert received(only(steps, Dial).draft).cseq == (3, "PRACK")


def test_two_to_tags_are_two_early_dialogs() -> None:
    subject, invite = dialled()
    one = subject.say(invite, 180, 101.0, headers=reliably(40), tag="one")
    two = subject.say(invite, 180, 102.0, headers=reliably(7), tag="two")
    assert [received(only(s, Dial).draft).to_tag for s in (one, two)] == ["one", "two"]
    assert [received(only(s, Dial).draft).cseq.number for s in (one, two)] == [2, 2]


def test_requests_after_the_answer_count_on_from_the_pracks() -> None:
    subject, invite = dialled()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=ANSWER)
    steps = subject.say(invite, 200, 102.0)
    ack = received(only(steps, Acknowledge).draft)
    assert ack.cseq == (1, "ACK")
    subject.durable(102.1)
    subject.ack(102.2)
    bye = received(only(subject.caller_sends("BYE", 110.0), Dial).draft)
    assert bye.cseq == (3, "BYE")


def test_a_prack_nobody_answers_changes_nothing() -> None:
    subject, invite = dialled()
    prack = only(subject.say(invite, 180, 101.0, headers=reliably(40)), Dial)
    assert subject.fail(prack.owner, 408, 133.0) == []
    prack = only(subject.say(invite, 180, 134.0, headers=reliably(41)), Dial)
    assert subject.reply(prack, 481, 134.1) == []
    assert "A 200" in kinds([*subject.say(invite, 200, 140.0, body=ANSWER), *subject.durable(140)])


def test_what_nobody_asked_for_is_not_acknowledged() -> None:
    subject, invite = dialled(VendorSip())
    assert kinds(subject.say(invite, 180, 101.0, headers=reliably(40)))[0] == "A 180"


# --- an offer in a reliable response to an INVITE without one -----------------------------


@pytest.mark.parametrize(
    ("headers", "customer", "is_asked"),
    [
        (("Supported: 100rel",), NEAR, True),
        (("Require: 100rel",), NEAR, True),
        (("Supported: timer",), NEAR, False),
        (("Supported: 100rel",), PLAIN, False),
    ],
)
def test_a_vendor_may_offer_early_to_who_can_answer_early(
    headers: tuple[str, ...], customer: CustomerSip, *, is_asked: bool
) -> None:
    _, invite = late(*headers, customer=customer)
    assert received(invite.draft).headers("supported") == (["100rel"] if is_asked else [])


@pytest.mark.parametrize(
    "early_media", [EarlyMedia(ringing="180_without_sdp"), EarlyMedia(forks="one")]
)
def test_who_is_not_given_all_early_media_is_given_no_early_offer(early_media: EarlyMedia) -> None:
    customer = CustomerSip(reliable=Reliable(mode="supported"), early_media=early_media)
    _, invite = late(customer=customer)
    assert not received(invite.draft).has("supported")


def test_the_offer_goes_to_the_caller_and_his_answer_to_the_vendor() -> None:
    subject, invite = late()
    ringing = subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    assert kinds(ringing) == ["A 183", "CallRinging"]
    passed = response_in(only(ringing, Respond))
    assert (passed.body, passed.first("require")) == (OFFER, "100rel")
    assert subject.say(invite, 183, 101.5, headers=reliably(40), body=OFFER) == []
    steps = pracks(subject, 102.0, body=ANSWER)
    assert kinds(steps) == ["A 200", "B1 PRACK"]
    prack = received(answering(steps).draft)
    assert (prack.body, prack.content_type) == (ANSWER, "application/sdp")
    assert (prack.first("rack"), prack.cseq) == ("40 1 INVITE", (2, "PRACK"))
    answered = subject.say(invite, 200, 103.0)
    assert kinds(answered) == ["Acknowledge", "Persist"]
    assert received(only(answered, Acknowledge).draft).body == b""
    (ok,) = subject.durable(103.1)
    assert isinstance(ok, Respond)
    assert response_in(ok).body == b""
    assert kinds(subject.ack(103.2)) == []
    assert kinds(subject.caller_sends("INVITE", 104.0, body=OFFER)) == ["B1 INVITE"]


def test_the_offer_with_media_in_between() -> None:
    subject, invite = late(media_proxy=True)
    offer = only(subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER), OfferMedia)
    assert (offer.from_caller, offer.sdp, offer.attempt) == (False, OFFER, 1)
    passed = subject.media(offer.token, b"for a", 101.1)
    assert response_in(only(passed, Respond)).body == b"for a"
    steps = pracks(subject, 102.0, body=ANSWER)
    assert kinds(steps) == ["A 200", "AnswerMedia"]
    answer = only(steps, AnswerMedia)
    assert (answer.from_caller, answer.sdp, answer.provisional) == (True, ANSWER, True)
    prack = answering(subject.media(answer.token, b"for b", 102.1))
    assert received(prack.draft).body == b"for b"
    # Media learns that it was answered; SDP in the 200 has nothing to say any more.
    last = only(subject.say(invite, 200, 103.0, body=OFFER), AnswerMedia)
    assert (last.from_caller, last.sdp, last.provisional) == (True, ANSWER, False)
    assert kinds(subject.media(last.token, b"for b", 103.1)) == ["Acknowledge", "Persist"]
    (ok,) = subject.durable(103.2)
    assert isinstance(ok, Respond)
    assert response_in(ok).body == b""


def test_ringing_before_the_offer_is_unreliable_and_after_it_too() -> None:
    subject, invite = late()
    ringing = subject.say(invite, 180, 100.5)
    assert not response_in(only(ringing, Respond)).has("rseq")
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    pracks(subject, 102.0, body=ANSWER)
    ringing = subject.say(invite, 180, 103.0, headers=reliably(41), body=OFFER)
    assert kinds(ringing) == ["B1 PRACK", "A 180"]
    passed = response_in(next(c for c in ringing if isinstance(c, Respond)))
    assert (passed.has("rseq"), passed.body) == (False, b"")


def test_a_second_reliable_response_has_to_wait_for_the_answer() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    assert subject.say(invite, 180, 101.1, headers=reliably(41)) == []
    pracks(subject, 102.0, body=ANSWER)
    assert kinds(subject.say(invite, 180, 102.1, headers=reliably(41))) == ["B1 PRACK", "A 180"]


def test_a_prack_without_the_answer_ends_the_call() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    steps = pracks(subject, 102.0)
    assert kinds(steps) == ["A 400", "Cancel", "A 488", "ReleaseCredit"]
    subject.say(invite, 487, 102.1)
    subject.assert_ended(EndReason.CODEC_MISMATCH, 488)


def test_an_answer_that_is_no_sdp_is_none() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    steps = pracks(subject, 102.0, body=b"x", content_type="text/plain")
    assert kinds(steps)[:2] == ["A 400", "Cancel"]


def test_an_answer_media_cannot_use_ends_the_call() -> None:
    subject, invite = late(media_proxy=True)
    offer = only(subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER), OfferMedia)
    subject.media(offer.token, b"for a", 101.1)
    answer = only(pracks(subject, 102.0, body=b"rubbish"), AnswerMedia)
    steps = subject.media(answer.token, b"", 102.1, error="codec_mismatch")
    assert kinds(steps)[:3] == ["Cancel", "ForgetMedia", "A 488"]


def test_an_offer_media_cannot_use_ends_the_call() -> None:
    subject, invite = late(media_proxy=True)
    offer = only(
        subject.say(invite, 183, 101.0, headers=reliably(40), body=b"rubbish"), OfferMedia
    )
    steps = subject.media(offer.token, b"", 101.1, error="codec_mismatch")
    assert kinds(steps)[:3] == ["Cancel", "ForgetMedia", "A 488"]


def test_no_prack_for_an_offer() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    steps = subject.take(subject.call.hang_up(EndReason.NO_PRACK, 133.0))
    assert kinds(steps)[:2] == ["Cancel", "A 504"]
    subject.say(invite, 487, 133.1)
    subject.assert_ended(EndReason.NO_PRACK, 504)


def test_a_vendor_who_answers_before_he_has_the_answer_to_his_offer_waits_for_it() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    assert subject.say(invite, 200, 101.5, body=OFFER) == []
    steps = pracks(subject, 102.0, body=ANSWER)
    assert kinds(steps) == ["A 200", "B1 PRACK", "Acknowledge", "Persist"]
    assert subject.call.state is CallState.ANSWERING
    assert kinds(subject.durable(102.1)) == ["A 200"]
    subject.ack(102.2)
    subject.caller_sends("BYE", 111.5)
    assert subject.record.talk_ms == 10_000  # from the vendor's answer


def test_a_vendor_who_answers_too_soon_is_hung_up_when_the_caller_cancels() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    subject.say(invite, 200, 101.5, body=OFFER)
    steps = subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 102.0))
    assert kinds(steps)[:3] == ["Acknowledge", "B1 BYE", "A 487"]
    subject.assert_ended(EndReason.CANCELLED, 487)


def test_a_cancel_while_the_offer_is_with_the_caller() -> None:
    subject, invite = late(media_proxy=True)
    offer = only(subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER), OfferMedia)
    subject.media(offer.token, b"for a", 101.1)
    steps = subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 102.0))
    assert kinds(steps)[:3] == ["Cancel", "ForgetMedia", "A 487"]
    assert kinds(pracks(subject, 102.1, body=ANSWER)) == ["A 200"]


def test_a_cancel_while_the_answer_is_rewritten() -> None:
    subject, invite = late(media_proxy=True)
    offer = only(subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER), OfferMedia)
    subject.media(offer.token, b"for a", 101.1)
    answer = only(pracks(subject, 102.0, body=ANSWER), AnswerMedia)
    subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 102.1))
    assert subject.media(answer.token, b"for b", 102.2) == []


def test_the_next_vendor_after_an_offer_that_was_passed_on() -> None:
    subject, invite = late(media_proxy=True, vendors=2)
    offer = only(subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER), OfferMedia)
    first = response_in(only(subject.media(offer.token, b"one", 101.1), Respond))
    steps = subject.say(invite, 503, 102.0)
    assert kinds(steps) == ["ForgetMedia", "B2 INVITE"]
    assert only(steps, ForgetMedia).attempt == 1
    second = only(steps, Dial)
    offer = only(subject.say(second, 183, 103.0, headers=reliably(7), body=OFFER), OfferMedia)
    assert offer.attempt == 2
    # The caller still owes the PRACK of the first offer: one at a time.
    assert subject.media(offer.token, b"two", 103.1) == []
    steps = pracks(subject, 104.0, body=ANSWER, to_tag=first.to_tag)
    assert kinds(steps) == ["A 200", "A 183"]
    passed = response_in(next(c for c in steps[1:] if isinstance(c, Respond)))
    assert passed.body == b"two"
    assert passed.to_tag != first.to_tag
    answer = only(pracks(subject, 105.0, body=ANSWER, to_tag=passed.to_tag), AnswerMedia)
    prack = answering(subject.media(answer.token, b"for b2", 105.1))
    assert (prack.leg, received(prack.draft).first("rack")) == ("B2", "7 1 INVITE")


def test_a_prack_without_answer_to_a_vendor_who_is_out_harms_nobody() -> None:
    subject, invite = late(vendors=2)
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    subject.say(invite, 503, 102.0)
    assert kinds(pracks(subject, 103.0)) == ["A 200"]
    assert subject.call.state is CallState.RINGING


def test_the_next_vendor_after_an_offer_that_was_answered() -> None:
    subject, invite = late(vendors=2)
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    pracks(subject, 101.5, body=ANSWER)
    second = only(subject.say(invite, 503, 102.0), Dial)
    steps = subject.say(second, 200, 103.0, body=OFFER)
    assert kinds(steps) == ["Persist"]  # whose offer the ACK will answer
    (ok,) = subject.durable(103.1)
    assert isinstance(ok, Respond)
    assert response_in(ok).body == OFFER
    ack = wire_request("ACK", to_tag=response_in(ok).to_tag, body=ANSWER)
    steps = subject.take(subject.call.on_ack(ack, "invite", 103.2))
    assert received(only(steps, Acknowledge).draft).body == ANSWER


@pytest.mark.parametrize("in_200", [b"", OFFER + b"a=x\r\n"])
def test_an_offer_that_nobody_asked_for_is_held_for_the_answer(in_200: bytes) -> None:
    subject, invite = late("Supported: timer")
    ringing = subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    assert kinds(ringing) == ["A 183"]  # and no PRACK, which would need an answer
    assert response_in(only(ringing, Respond)).body == b""
    assert kinds(subject.say(invite, 200, 102.0, body=in_200)) == ["Persist"]
    (ok,) = subject.durable(102.1)
    assert isinstance(ok, Respond)
    assert response_in(ok).body == (in_200 or OFFER)
    ack = only(subject.ack(102.2, body=ANSWER), Acknowledge)
    assert received(ack.draft).body == ANSWER


def test_an_offer_in_an_unreliable_response_is_none() -> None:
    subject, invite = late()
    assert response_in(only(subject.say(invite, 183, 101.0, body=OFFER)[:1], Respond)).body == b""
    assert kinds(subject.say(invite, 200, 102.0)) == ["Acknowledge", "Persist"]


def test_the_offer_of_a_second_fork_waits_for_its_200() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER, tag="one")
    held = subject.say(invite, 183, 101.1, headers=reliably(7), body=b"v=2", tag="two")
    assert response_in(only(held, Respond)).body == b""
    assert subject.say(invite, 180, 101.2, headers=reliably(8), tag="two") == []
    assert kinds(subject.say(invite, 200, 102.0, tag="two")) == ["Persist"]
    assert subject.durable(102.1) == []  # until the caller has acknowledged the first offer
    steps = pracks(subject, 102.2, body=ANSWER)
    assert kinds(steps) == ["A 200", "A 200"]
    ok = next(c for c in steps if isinstance(c, Respond) and c.key == "invite")
    assert response_in(ok).body == b"v=2"


def test_a_session_is_refreshed_with_what_was_agreed_early() -> None:
    subject, invite = late()
    subject.say(invite, 183, 101.0, headers=reliably(40), body=OFFER)
    pracks(subject, 102.0, body=ANSWER)
    subject.say(invite, 200, 103.0)
    conversation = subject.call._pickup.conversation  # type: ignore[union-attr]
    assert (conversation.caller.session, conversation.callee.session) == (OFFER, ANSWER)
