"""What a vendor's answers make: legs and forks (RFC 3261 section 13.2.2.4)."""

from __future__ import annotations

import pytest

from services.common.sip_options.reliable import Reliable
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.commands import Acknowledge, AnswerMedia, OfferMedia
from services.signaling.core.commands import Request as Dial
from tests.support.signaling.machine import ANSWER, Machine, kinds, only, received, wire_request
from tests.support.signaling.options import machine, reliably

ON = VendorSip(reliable=Reliable(mode="supported"))


def dialled(vendor: VendorSip = ON) -> tuple[Machine, Dial]:
    subject = machine(vendor=vendor)
    return subject, subject.dial()


def test_the_first_of_several_answers_wins_and_the_others_are_hung_up() -> None:
    subject, invite = dialled(VendorSip())
    subject.say(invite, 180, 101.0, tag="one")
    subject.say(invite, 180, 101.5, tag="two")
    assert kinds(subject.say(invite, 200, 102.0, body=ANSWER, tag="two"))[0] == "Acknowledge"
    late = subject.say(invite, 200, 102.1, body=ANSWER, tag="one")
    assert kinds(late) == ["Acknowledge", "B1 BYE"]
    assert received(only(late, Dial).draft).to_tag == "one"
    subject.durable(102.2)
    subject.ack(102.3)
    later = subject.say(invite, 200, 103.0, body=ANSWER, tag="three")
    assert kinds(later) == ["Acknowledge", "B1 BYE"]
    bye = only(subject.caller_sends("BYE", 110.0, to_tag="tag1-1"), Dial)
    assert received(bye.draft).to_tag == "two"


def test_the_bye_of_a_fork_that_was_acknowledged_counts_on_from_its_pracks() -> None:
    subject, invite = dialled()
    subject.say(invite, 180, 101.0, headers=reliably(40), tag="one")
    subject.say(invite, 200, 102.0, body=ANSWER, tag="two")
    late = subject.say(invite, 200, 102.1, body=ANSWER, tag="one")
    assert received(only(late, Dial).draft).cseq == (3, "BYE")
    assert received(only(late, Acknowledge).draft).cseq == (1, "ACK")


def proxied() -> tuple[Machine, Dial]:
    """Up to an INVITE whose responses media has to rewrite."""
    subject = machine(media_proxy=True)
    subject.start()
    subject.take(subject.call.on_plan(subject.plan, 100.0))
    offer = only(subject.take(subject.call.on_credit(subject.credit, 100.0)), OfferMedia)
    return subject, only(subject.media(offer.token, b"offer", 100.0), Dial)


@pytest.mark.parametrize("error", ["", "codec_mismatch"])
def test_a_fork_that_answers_while_another_s_answer_is_rewritten_is_hung_up(error: str) -> None:
    subject, invite = proxied()
    ask = only(subject.say(invite, 200, 102.0, body=ANSWER, tag="one"), AnswerMedia)
    assert subject.say(invite, 200, 102.1, body=ANSWER, tag="two") == []
    steps = subject.media(ask.token, b"" if error else b"answer", 102.2, error=error)
    hung_up = [received(c.draft).to_tag for c in steps if isinstance(c, Dial)]
    assert hung_up == (["one", "two"] if error else ["two"])
    assert kinds(steps).count("Acknowledge") == 2


def test_all_forks_that_answered_are_hung_up_when_the_caller_cancels() -> None:
    subject, invite = proxied()
    subject.say(invite, 200, 102.0, body=ANSWER, tag="one")
    subject.say(invite, 200, 102.1, body=ANSWER, tag="two")
    steps = subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 102.2))
    assert kinds(steps)[:5] == ["Acknowledge", "B1 BYE", "Acknowledge", "B1 BYE", "A 487"]
