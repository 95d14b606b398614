import pytest

from services.signaling.sip.actions import Action, DeliverResponse, Fail, Peer, Send
from services.signaling.sip.message import parse
from services.signaling.sip.transaction.invite_client import InviteClientTransaction
from services.signaling.sip.transaction.states import State
from services.signaling.sip.transaction.timers import NEVER, TimerValues
from tests.support.sip_messages import BOB, TCP, invite_draft, response

VIA = "Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK0"
WIRE = invite_draft().wire(VIA)


def start(peer: Peer = BOB) -> InviteClientTransaction:
    transaction = InviteClientTransaction(WIRE, "k", peer)
    assert transaction.start(0.0) == [Send(WIRE, peer, "k")]
    return transaction


def run_out(transaction: InviteClientTransaction) -> list[tuple[float, Action]]:
    seen: list[tuple[float, Action]] = []
    while (now := transaction.deadline) != NEVER:
        seen += [(now, action) for action in transaction.on_timer(now)]
    return seen


def test_unanswered_invite_is_retransmitted_with_doubling_interval_until_timer_b() -> None:
    seen = run_out(start())
    sent = [at for at, action in seen if isinstance(action, Send)]
    assert sent == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert seen[-1] == (32.0, Fail("k", 408))


def test_a_reliable_transport_needs_no_retransmission() -> None:
    assert run_out(start(TCP)) == [(32.0, Fail("k", 408))]


def test_timers_are_injectable() -> None:
    transaction = InviteClientTransaction(WIRE, "k", TCP, TimerValues(t1=0.0625))
    transaction.start(0.0)
    assert run_out(transaction) == [(4.0, Fail("k", 408))]


def test_a_phone_may_ring_for_ever() -> None:
    transaction = start()
    ringing = response(180)
    assert transaction.on_response(ringing, 0.4) == [DeliverResponse(ringing, "k")]
    assert (transaction.state, transaction.deadline) == (State.PROCEEDING, NEVER)
    assert transaction.on_response(ringing, 300.0) == [DeliverResponse(ringing, "k")]


@pytest.mark.parametrize("status", [300, 404, 486, 503, 603])
def test_a_refusal_is_acknowledged_each_time_and_delivered_once(status: int) -> None:
    transaction = start()
    refusal = response(status)
    acknowledge, deliver = transaction.on_response(refusal, 1.0)
    assert isinstance(acknowledge, Send)
    ack = parse(acknowledge.data)
    assert (ack.cseq, ack.to_tag, ack.via.branch) == ((1, "ACK"), "theirs", "z9hG4bK0")
    assert deliver == DeliverResponse(refusal, "k")
    assert transaction.on_response(refusal, 2.0) == [acknowledge]
    assert transaction.on_response(response(180), 2.5) == []
    assert transaction.on_response(response(200), 2.5) == []
    assert transaction.deadline == 33.0  # timer D
    assert run_out(transaction) == []
    assert transaction.state is State.TERMINATED


def test_a_refusal_over_tcp_ends_at_once() -> None:
    transaction = start(TCP)
    transaction.on_response(response(486), 1.0)
    assert transaction.state is State.TERMINATED
    assert transaction.on_response(response(486), 1.0) == []


def test_an_answer_is_delivered_once_and_absorbed_until_timer_m() -> None:
    transaction = start()
    answer = response(200)
    assert transaction.on_response(answer, 1.0) == [DeliverResponse(answer, "k")]
    assert transaction.on_response(answer, 1.5) == []
    transaction.remember_ack("theirs", b"ACK", BOB)
    assert transaction.on_response(answer, 2.5) == [Send(b"ACK", BOB)]
    assert transaction.on_response(response(180), 3.0) == []
    assert transaction.on_response(response(486), 3.0) == []
    assert transaction.deadline == 33.0  # timer M
    assert run_out(transaction) == []
    assert transaction.state is State.TERMINATED


def test_a_cancel_is_held_back_until_something_is_known_to_listen() -> None:
    transaction = start()
    assert transaction.cancel(0.1, ["Reason: SIP;cause=200"]) is None
    assert transaction.cancel_headers == ("Reason: SIP;cause=200",)
    assert run_out(transaction)[-1] == (32.0, Fail("k", 408))


def test_a_cancel_is_sent_once_and_bounds_the_wait() -> None:
    transaction = start()
    transaction.on_response(response(180), 1.0)
    data = transaction.cancel(2.0, [])
    assert data is not None
    cancel = parse(data)
    assert (cancel.cseq, cancel.via.branch, cancel.to_tag) == ((1, "CANCEL"), "z9hG4bK0", "")
    assert transaction.cancel(3.0, []) is None
    assert transaction.on_response(response(183), 3.0)
    assert run_out(transaction) == [(34.0, Fail("k", 408))]


@pytest.mark.parametrize("status", [200, 486])
def test_too_late_to_cancel(status: int) -> None:
    transaction = start()
    transaction.on_response(response(status), 1.0)
    assert transaction.cancel(2.0, []) is None


def test_a_cancelled_invite_may_still_be_answered() -> None:
    transaction = start()
    transaction.on_response(response(180), 1.0)
    transaction.cancel(2.0, [])
    answer = response(200)
    assert transaction.on_response(answer, 2.1) == [DeliverResponse(answer, "k")]


def test_a_transport_error_fails_what_waits_and_nothing_else() -> None:
    waiting = start()
    assert waiting.on_transport_error() == [Fail("k", 503)]
    assert waiting.state is State.TERMINATED
    assert waiting.on_transport_error() == []
    answered = start()
    answered.on_response(response(200), 1.0)
    assert answered.on_transport_error() == []
    assert answered.state is State.ACCEPTED


def test_an_invite_only_we_can_read_is_acknowledged_all_the_same() -> None:
    draft = invite_draft()
    draft.lines += ["Min-SE: 90", "Min-SE: 90", *("X: " + "x" * 9000 for _ in range(300))]
    transaction = InviteClientTransaction(draft.wire(VIA), "k", BOB)
    transaction.start(0.0)
    acknowledge = transaction.on_response(response(486), 1.0)[0]
    assert isinstance(acknowledge, Send)
    assert parse(acknowledge.data).call_id == "call-1"


def test_waking_early_does_nothing() -> None:
    assert start().on_timer(0.49) == []
