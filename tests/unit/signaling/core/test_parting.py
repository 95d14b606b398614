"""Legs of vendors that answered a call nobody wants any more."""

from __future__ import annotations

from services.common.causes import EndReason
from services.signaling.core.hunting import Answered, Attempt
from services.signaling.core.parting import hang_up_answer, leg_of, let_go
from services.signaling.sip.message import Response
from tests.support.signaling.machine import ANSWER, Machine, answer_to, kinds


def answered() -> tuple[Machine, Attempt, Response]:
    machine = Machine()
    invite = machine.dial()
    assert isinstance(invite.owner, Attempt)
    return machine, invite.owner, answer_to(invite.draft, 200, body=ANSWER)


def test_a_2xx_nobody_wants_is_acknowledged_and_hung_up() -> None:
    machine, attempt, response = answered()
    assert kinds(hang_up_answer(machine.context, attempt, response)) == ["Acknowledge", "B1 BYE"]


def test_an_answer_the_caller_will_not_hear_of_gives_its_place_back() -> None:
    machine, attempt, response = answered()
    assert attempt.draft is not None
    leg = leg_of(attempt, attempt.draft, response)
    taken = Answered(attempt, response, leg, ANSWER, is_offer=False)
    commands = let_go(machine.context, taken, EndReason.CANCELLED, 105.0)
    assert kinds(commands) == ["B1 BYE"]
    assert (attempt.record.end_reason, attempt.record.ended_at) == (EndReason.CANCELLED, 105.0)
    assert machine.context.vendor_limits.calls("vtr_1") == 0


def test_one_that_waits_for_our_ack_gets_it_and_one_that_hung_up_no_bye() -> None:
    machine, attempt, response = answered()
    assert attempt.draft is not None
    leg = leg_of(attempt, attempt.draft, response)
    leg.is_over = True
    taken = Answered(attempt, response, leg, ANSWER, is_offer=True)
    commands = let_go(machine.context, taken, EndReason.CANCELLED, 105.0)
    assert kinds(commands) == ["Acknowledge"]
