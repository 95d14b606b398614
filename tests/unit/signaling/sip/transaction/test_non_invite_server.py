from services.signaling.sip.actions import Send
from services.signaling.sip.build import Reply
from services.signaling.sip.transaction.non_invite_server import NonInviteServerTransaction
from services.signaling.sip.transaction.states import State
from services.signaling.sip.transaction.timers import NEVER
from tests.support.sip_messages import ALICE, TCP

PROGRESS, FINAL = Reply(100, b"100", ""), Reply(200, b"200", "t")


def test_while_trying_there_is_nothing_to_repeat() -> None:
    transaction = NonInviteServerTransaction("k", ALICE)
    assert transaction.on_request() == []
    assert transaction.respond(PROGRESS, 0.0) == [Send(b"100", ALICE)]
    assert transaction.on_request() == [Send(b"100", ALICE)]
    assert transaction.deadline == NEVER


def test_the_final_response_is_repeated_on_request_until_timer_j() -> None:
    transaction = NonInviteServerTransaction("k", ALICE)
    assert transaction.respond(FINAL, 1.0) == [Send(b"200", ALICE)]
    assert transaction.on_request() == [Send(b"200", ALICE)]
    assert transaction.respond(FINAL, 2.0) == []
    assert transaction.deadline == 33.0
    assert transaction.on_timer(32.9) == []
    assert transaction.deadline == 33.0
    assert transaction.on_timer(33.0) == []
    assert transaction.state is State.TERMINATED
    assert transaction.on_request() == []


def test_over_tcp_it_ends_at_once() -> None:
    transaction = NonInviteServerTransaction("k", TCP)
    assert transaction.respond(FINAL, 1.0) == [Send(b"200", TCP)]
    assert transaction.state is State.TERMINATED
