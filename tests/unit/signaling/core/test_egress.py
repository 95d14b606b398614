"""What follows a response to an egress INVITE; challenges are in test_logins."""

from __future__ import annotations

from services.signaling.core.commands import Acknowledge
from services.signaling.core.commands import Request as Dial
from services.signaling.core.egress import hang_up_answer
from services.signaling.core.hunting import Attempt
from tests.support.signaling.machine import Machine, answer_to


def test_a_2xx_nobody_wants_is_acknowledged_and_hung_up() -> None:
    call = Machine()
    invite = call.dial()
    assert isinstance(invite.owner, Attempt)
    fork = answer_to(invite.draft, 200, tag="other")
    ack, bye = hang_up_answer(call.context, invite.owner, fork)
    assert isinstance(ack, Acknowledge)
    assert isinstance(bye, Dial)
    assert (ack.to_tag, ack.draft.cseq) == ("other", 1)
    assert (bye.draft.method, bye.draft.cseq) == ("BYE", 2)
