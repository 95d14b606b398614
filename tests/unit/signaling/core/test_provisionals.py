"""Reliable provisional responses to the caller, and the PRACKs of the vendor: RFC 3262 per leg."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.commands import Command, Respond
from services.signaling.core.provisionals import MOST_WAITING, Provisional, Provisionals
from services.signaling.core.values import CallState
from services.signaling.sip.message import Response
from tests.support.signaling.machine import (
    ANSWER,
    OFFER,
    STRANGER,
    Machine,
    kinds,
    only,
    response_in,
    wire_request,
)
from tests.support.signaling.options import machine

ON = CustomerSip(reliable=Reliable(mode="supported"))
FIRST = 1 + int(0.5 * (2**31 - 2))


def call(*headers: str, customer: CustomerSip = ON, body: bytes = OFFER) -> Machine:
    lines = headers or ("Supported: 100rel",)
    return machine(customer=customer, invite=wire_request("INVITE", body=body, headers=lines))


def passed(commands: list[Command]) -> Response:
    return response_in(only(commands, Respond))


def state(subject: Machine) -> CallState:
    return subject.call.state


def prack(subject: Machine, rseq: int, now: float, *, body: bytes = b"") -> list[Command]:
    headers = [f"RAck: {rseq} 1 INVITE"]
    return subject.caller_sends("PRACK", now, headers=headers, body=body)


@pytest.mark.parametrize("header", ["Supported: 100rel", "Require: 100rel"])
def test_ringing_is_reliable_for_who_supports_or_requires_it(header: str) -> None:
    subject = call(header)
    invite = subject.dial()
    ringing = passed(list(subject.say(invite, 180, 101.0)[:1]))
    assert (ringing.first("require"), ringing.first("rseq")) == ("100rel", str(FIRST))
    reply = next(c for c in subject.history if isinstance(c, Respond)).reply
    assert reply.rseq == FIRST
    assert kinds(prack(subject, FIRST, 101.1)) == ["A 200"]


def test_nobody_is_forced_to_be_reliable() -> None:
    for subject in (call("Supported: timer"), call(customer=CustomerSip())):
        ringing = passed(list(subject.say(subject.dial(), 180, 101.0)[:1]))
        assert not ringing.has("rseq")
        assert not ringing.has("require")


def test_one_at_a_time_in_order_and_numbered() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 180, 101.0)
    assert kinds(subject.say(invite, 183, 102.0, body=ANSWER)) == []
    assert kinds(subject.say(invite, 180, 103.0)) == []
    steps = prack(subject, FIRST, 104.0)
    assert kinds(steps) == ["A 200", "A 183"]
    assert passed(steps[1:]).first("rseq") == str(FIRST + 1)
    assert passed(steps[1:]).body == ANSWER
    steps = prack(subject, FIRST + 1, 105.0)
    assert passed(steps[1:]).first("rseq") == str(FIRST + 2)


def test_forks_are_numbered_each_for_itself() -> None:
    subject = call()
    invite = subject.dial()
    one = passed(list(subject.say(invite, 180, 101.0, tag="one")[:1]))
    prack(subject, FIRST, 101.1)
    two = passed(list(subject.say(invite, 180, 102.0, tag="two")))
    assert one.to_tag != two.to_tag
    assert one.first("rseq") == two.first("rseq") == str(FIRST)


def test_the_answer_waits_for_the_prack_of_early_media() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 183, 101.0, body=ANSWER)
    subject.say(invite, 200, 102.0, body=ANSWER)
    assert kinds(subject.durable(102.1)) == []
    assert state(subject) is CallState.ANSWERING
    assert kinds(prack(subject, FIRST, 103.0)) == ["A 200", "A 200"]
    assert state(subject) is CallState.ANSWERED
    subject.ack(103.1)
    subject.caller_sends("BYE", 110.0)
    assert subject.record.talk_ms == 8_000


def test_the_answer_does_not_wait_for_the_prack_of_plain_ringing() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 180, 101.0)
    subject.say(invite, 200, 102.0, body=ANSWER)
    assert kinds(subject.durable(102.1)) == ["A 200"]
    late = prack(subject, FIRST, 102.2)
    assert kinds(late) == ["A 200"]
    assert state(subject) is CallState.ANSWERED


def test_what_still_waited_when_the_answer_came_is_not_sent() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 183, 101.0, body=ANSWER)
    subject.say(invite, 180, 101.5)
    subject.say(invite, 200, 102.0, body=ANSWER)
    subject.durable(102.1)
    assert kinds(prack(subject, FIRST, 103.0)) == ["A 200", "A 200"]


def test_no_prack_while_it_rings() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 180, 101.0)
    steps = subject.take(subject.call.hang_up(EndReason.NO_PRACK, 133.0))
    assert kinds(steps) == ["Cancel", "A 504", "ReleaseCredit"]
    subject.say(invite, 487, 133.1)
    subject.assert_ended(EndReason.NO_PRACK, 504)


def test_no_prack_for_early_media_takes_the_answer_back() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 183, 101.0, body=ANSWER)
    subject.say(invite, 200, 102.0, body=ANSWER)
    subject.durable(102.1)
    steps = subject.take(subject.call.hang_up(EndReason.NO_PRACK, 133.0))
    assert kinds(steps)[:2] == ["B1 BYE", "A 504"]
    assert subject.assert_ended(EndReason.NO_PRACK, 504).talk_ms == 0


def test_a_cancel_while_the_answer_waits() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 183, 101.0, body=ANSWER)
    subject.say(invite, 200, 102.0, body=ANSWER)
    subject.durable(102.1)
    steps = subject.take(subject.call.on_cancel(wire_request("CANCEL"), "invite", 103.0))
    assert kinds(steps)[:2] == ["B1 BYE", "A 487"]
    subject.assert_ended(EndReason.CANCELLED, 487)


def test_an_offer_in_a_prack_goes_no_further_and_the_ringing_counts_as_acknowledged() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 183, 101.0, body=ANSWER)
    subject.say(invite, 180, 101.5)
    assert kinds(prack(subject, FIRST, 102.0, body=OFFER)) == [
        "A 488", "A 180",
    ]  # fmt: skip


def test_a_prack_from_elsewhere_is_481() -> None:
    subject = call()
    invite = subject.dial()
    subject.say(invite, 183, 101.0, body=ANSWER)
    steps = subject.caller_sends("PRACK", 101.1, source=STRANGER)
    assert kinds(steps) == ["A 481"]


def test_a_late_offer_is_rung_for_unreliably_unless_it_insists() -> None:
    subject = call(body=b"")
    assert not passed(list(subject.say(subject.dial(), 180, 101.0)[:1])).has("rseq")
    subject = call("Require: 100rel", body=b"")
    assert passed(list(subject.say(subject.dial(), 180, 101.0)[:1])).has("rseq")


def test_the_queue_is_bounded() -> None:
    provisionals = Provisionals(1)
    one = Provisional(180, "t", b"", ())
    assert provisionals.give(one) is one
    provisionals.number("t")
    for status in range(200):
        assert provisionals.give(one._replace(status=status)) is None
    assert len(provisionals._waiting) == MOST_WAITING


def test_a_prack_for_something_else_releases_nothing() -> None:
    provisionals = Provisionals(5)
    one = Provisional(183, "t", b"sdp", ())
    provisionals.give(one)
    assert provisionals.number("t") == 5
    provisionals.give(one)
    for rack in ("6 1 INVITE", "rubbish"):
        assert provisionals.on_prack(wire_request("PRACK", headers=[f"RAck: {rack}"])) is None
    assert provisionals.holds_answer
    assert provisionals.on_prack(wire_request("PRACK", headers=["RAck: 5 1 INVITE"])) is one


def test_what_a_prack_acknowledged_and_where_a_session_was_agreed_on() -> None:
    provisionals = Provisionals(5)
    provisionals.give(Provisional(180, "a", b"", ()))
    provisionals.number("a")
    provisionals.give(Provisional(183, "b", b"sdp", ()))
    provisionals.on_prack(wire_request("PRACK", headers=["RAck: 5 1 INVITE"]))
    assert (provisionals.acknowledged, provisionals.agreed) == ("", set())
    provisionals.number("b")
    provisionals.on_prack(wire_request("PRACK", headers=["RAck: 5 1 INVITE"]))
    assert (provisionals.acknowledged, provisionals.agreed) == ("b", {"b"})
    provisionals.on_prack(wire_request("PRACK", headers=["RAck: 5 1 INVITE"]))
    assert (provisionals.acknowledged, provisionals.agreed) == ("", {"b"})
