from services.signaling.sip.actions import Action, DeliverResponse, Fail, Peer, Send
from services.signaling.sip.transaction.non_invite_client import NonInviteClientTransaction
from services.signaling.sip.transaction.states import State
from services.signaling.sip.transaction.timers import NEVER
from tests.support.sip_messages import BOB, TCP, response


def start(peer: Peer = BOB) -> NonInviteClientTransaction:
    transaction = NonInviteClientTransaction(b"BYE", "k", peer)
    assert transaction.start(0.0) == [Send(b"BYE", peer, "k")]
    return transaction


def run_out(transaction: NonInviteClientTransaction) -> list[tuple[float, Action]]:
    seen: list[tuple[float, Action]] = []
    while (now := transaction.deadline) != NEVER:
        seen += [(now, action) for action in transaction.on_timer(now)]
    return seen


def sent(seen: list[tuple[float, Action]]) -> list[float]:
    return [at for at, action in seen if isinstance(action, Send)]


def test_unanswered_request_is_retransmitted_by_timer_e_until_timer_f() -> None:
    seen = run_out(start())
    assert sent(seen) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert seen[-1] == (32.0, Fail("k", 408))


def test_a_reliable_transport_needs_no_retransmission() -> None:
    assert run_out(start(TCP)) == [(32.0, Fail("k", 408))]


def test_a_provisional_slows_timer_e_to_t2_and_does_not_stop_timer_f() -> None:
    transaction = start()
    trying = response(100, cseq="1 BYE")
    assert transaction.on_response(trying, 0.2) == [DeliverResponse(trying, "k")]
    seen = run_out(transaction)
    assert sent(seen) == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert seen[-1] == (32.0, Fail("k", 408))


def test_a_final_response_is_delivered_once_and_absorbed_until_timer_k() -> None:
    transaction = start()
    final = response(200, cseq="1 BYE")
    assert transaction.on_response(final, 1.0) == [DeliverResponse(final, "k")]
    assert transaction.on_response(final, 1.5) == []
    assert transaction.deadline == 6.0
    assert run_out(transaction) == []
    assert transaction.state is State.TERMINATED


def test_a_final_response_over_tcp_ends_at_once() -> None:
    transaction = start(TCP)
    transaction.on_response(response(481, cseq="1 BYE"), 1.0)
    assert transaction.state is State.TERMINATED


def test_a_transport_error_fails_what_waits_and_nothing_else() -> None:
    waiting = start()
    assert waiting.on_transport_error() == [Fail("k", 503)]
    answered = start()
    answered.on_response(response(200, cseq="1 BYE"), 1.0)
    assert answered.on_transport_error() == []


def test_waking_early_does_nothing() -> None:
    assert start().on_timer(0.49) == []
