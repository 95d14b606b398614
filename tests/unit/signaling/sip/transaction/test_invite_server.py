from services.signaling.sip.actions import Action, Peer, Send
from services.signaling.sip.build import Reply
from services.signaling.sip.transaction.invite_server import InviteServerTransaction
from services.signaling.sip.transaction.states import State
from services.signaling.sip.transaction.timers import NEVER
from tests.support.sip_messages import ALICE, TCP

TRYING, RINGING = Reply(100, b"100", ""), Reply(180, b"180", "t")
BUSY, ANSWER = Reply(486, b"486", "t"), Reply(200, b"200", "t")


def start(peer: Peer = ALICE) -> InviteServerTransaction:
    return InviteServerTransaction("k", peer, peer)


def run_out(transaction: InviteServerTransaction) -> list[tuple[float, Action]]:
    seen: list[tuple[float, Action]] = []
    while (now := transaction.deadline) != NEVER:
        seen += [(now, action) for action in transaction.on_timer(now)]
    return seen


def test_a_retransmitted_invite_draws_the_last_provisional() -> None:
    transaction = start()
    assert transaction.on_request() == []
    assert transaction.respond(TRYING, 0.0) == [Send(b"100", ALICE)]
    assert transaction.on_request() == [Send(b"100", ALICE)]
    assert transaction.respond(RINGING, 1.0) == [Send(b"180", ALICE)]
    assert transaction.on_request() == [Send(b"180", ALICE)]
    assert transaction.deadline == NEVER


def test_an_unacknowledged_refusal_is_repeated_by_timer_g_until_timer_h() -> None:
    transaction = start()
    assert transaction.respond(BUSY, 0.0) == [Send(b"486", ALICE)]
    assert transaction.on_request() == [Send(b"486", ALICE)]
    seen = run_out(transaction)
    assert [at for at, _ in seen] == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert {action for _, action in seen} == {Send(b"486", ALICE)}
    assert transaction.state is State.TERMINATED


def test_a_refusal_over_tcp_is_not_repeated() -> None:
    transaction = start(TCP)
    transaction.respond(BUSY, 0.0)
    assert transaction.deadline == 32.0  # timer H
    assert run_out(transaction) == []


def test_an_ack_is_followed_by_silence_for_timer_i() -> None:
    transaction = start()
    transaction.respond(BUSY, 0.0)
    transaction.on_ack(0.3)
    assert (transaction.state, transaction.deadline) == (State.CONFIRMED, 5.3)
    transaction.on_ack(0.4)
    assert transaction.on_request() == []
    assert run_out(transaction) == []
    assert transaction.state is State.TERMINATED


def test_an_ack_over_tcp_ends_at_once() -> None:
    transaction = start(TCP)
    transaction.respond(BUSY, 0.0)
    transaction.on_ack(0.3)
    assert transaction.state is State.TERMINATED


def test_after_an_answer_retransmissions_are_absorbed_until_timer_l() -> None:
    transaction = start()
    assert transaction.respond(ANSWER, 1.0) == [Send(b"200", ALICE)]
    assert transaction.on_request() == []
    transaction.on_ack(1.1)
    assert transaction.deadline == 33.0
    assert run_out(transaction) == []
    assert transaction.state is State.TERMINATED


def test_only_the_first_final_response_counts() -> None:
    for first in (ANSWER, BUSY):
        transaction = start()
        transaction.respond(first, 1.0)
        for late in (RINGING, ANSWER, BUSY):
            assert transaction.respond(late, 2.0) == []


def test_our_tag_is_remembered_for_the_cancel() -> None:
    transaction = start()
    transaction.respond(TRYING, 0.0)
    assert transaction.to_tag == ""
    transaction.respond(RINGING, 0.1)
    assert transaction.to_tag == "t"


def test_an_early_ack_and_an_early_wake_do_nothing() -> None:
    transaction = start()
    transaction.on_ack(0.0)
    assert transaction.state is State.PROCEEDING
    transaction.respond(BUSY, 0.0)
    assert transaction.on_timer(0.49) == []
