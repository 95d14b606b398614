"""The caller hears of an answer once it is durable, and not at all when it cannot be."""

from __future__ import annotations

from services.common.causes import EndReason
from services.signaling.core.commands import Persist, Respond
from tests.support.signaling.machine import ANSWER, Machine, kinds, only


def test_the_200_that_is_sent_is_the_one_that_was_made_durable() -> None:
    machine = Machine()
    invite = machine.dial()
    persist = only(machine.say(invite, 200, 105.0, body=ANSWER), Persist)
    reply = only(machine.durable(105.0), Respond).reply
    assert reply.data == persist.snapshot.answer
    assert persist.snapshot.caller.dialog["local_tag"] == reply.to_tag


def test_an_answer_that_cannot_be_written_is_put_down() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.say(invite, 200, 105.0, body=ANSWER)
    steps = machine.durable(105.0, durable=False)
    assert kinds(steps) == ["B1 BYE", "A 503", "ReleaseCredit", "CallEnded", "Finished"]
    record = machine.record
    assert (record.end_reason, record.answered_at) == (EndReason.SPOOL_UNAVAILABLE, None)
    assert record.sip_code_out == 503
