"""What a vendor's responses make: PRACKs, early dialogs, forks (RFC 3262 section 4, 3261 13)."""

from __future__ import annotations

from services.common.sip_options.reliable import Reliable
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.commands import Acknowledge
from services.signaling.core.commands import Request as Dial
from tests.support.signaling.machine import ANSWER, Machine, kinds, only, received, wire_request
from tests.support.signaling.options import machine

ON = VendorSip(reliable=Reliable(mode="supported"))


def reliably(rseq: int) -> list[str]:
    return ["Require: 100rel", f"RSeq: {rseq}"]


def dialled(vendor: VendorSip = ON) -> tuple[Machine, Dial]:
    subject = machine(vendor=vendor)
    return subject, subject.dial()


def test_what_is_offered_to_the_vendor() -> None:
    _, invite = dialled()
    assert received(invite.draft).headers("supported") == ["100rel"]
    _, invite = dialled(VendorSip(reliable=Reliable(mode="required")))
    assert received(invite.draft).headers("require") == ["100rel"]
    _, invite = dialled(VendorSip())
    assert not received(invite.draft).has("supported")


def test_a_late_offer_is_never_rung_for_reliably() -> None:
    subject = machine(vendor=ON, invite=wire_request("INVITE"))
    assert not received(subject.dial().draft).has("supported")


def test_reliable_ringing_is_acknowledged_at_once_and_passed_on() -> None:
    subject, invite = dialled()
    steps = subject.say(invite, 180, 101.0, headers=reliably(40))
    assert kinds(steps) == ["B1 PRACK", "A 180", "CallRinging"]
    prack = received(only(steps, Dial).draft)
    assert prack.first("rack") == "40 1 INVITE"
    assert (prack.cseq, prack.to_tag) == ((2, "PRACK"), "callee")
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


# --- forks (RFC 3261 section 13.2.2.4) ---------------------------------------------------


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
