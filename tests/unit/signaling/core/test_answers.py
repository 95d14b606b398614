"""What a vendor's answers make: legs and forks (RFC 3261 section 13.2.2.4)."""

from __future__ import annotations

from services.common.sip_options.reliable import Reliable
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.commands import Acknowledge
from services.signaling.core.commands import Request as Dial
from tests.support.signaling.machine import ANSWER, Machine, kinds, only, received
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
