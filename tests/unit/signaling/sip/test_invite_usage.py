from services.signaling.sip.actions import Action, DeliverResponse, NoAck, Send
from services.signaling.sip.invite_usage import UacAnswers, UasAnswer
from services.signaling.sip.transaction.timers import NEVER
from tests.support.sip_messages import ALICE, TCP, response


def started(peer: object = ALICE) -> UasAnswer:
    answer = UasAnswer(b"200", "k", ("c", "t", 1), TCP if peer is TCP else ALICE)
    answer.start(100.0)
    return answer


def test_an_unacknowledged_answer_is_repeated_up_to_t2_and_given_up_after_64_t1() -> None:
    for peer in (ALICE, TCP):  # a proxy on the way may not be on TCP
        answer = started(peer)
        seen: list[tuple[float, Action]] = []
        while (now := answer.deadline) != NEVER:
            seen += [(now - 100.0, action) for action in answer.on_timer(now)]
        sent = [at for at, action in seen if isinstance(action, Send)]
        assert sent == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        assert seen[-1] == (32.0, NoAck("k"))
        assert not answer.is_waiting


def test_an_ack_ends_it() -> None:
    answer = started()
    answer.stop()
    assert not answer.is_waiting
    assert answer.deadline == NEVER
    assert answer.on_timer(200.0) == []


def test_waking_early_does_nothing() -> None:
    assert started().on_timer(100.49) == []


def test_each_fork_is_delivered_once_and_acknowledged_as_often_as_it_answers() -> None:
    answers = UacAnswers()
    first, second = response(200, to_tag="1"), response(200, to_tag="2")
    assert answers.on_answer(first, "k") == [DeliverResponse(first, "k")]
    assert answers.on_answer(first, "k") == []
    answers.remember_ack("1", b"ACK", ALICE)
    assert answers.on_answer(first, "k") == [Send(b"ACK", ALICE)]
    assert answers.on_answer(second, "k") == [DeliverResponse(second, "k")]
    answers.remember_ack("unknown", b"ACK", ALICE)
    unknown = response(200, to_tag="unknown")
    assert answers.on_answer(unknown, "k") == [DeliverResponse(unknown, "k")]


def test_forks_are_bounded() -> None:
    answers = UacAnswers()
    delivered = [answers.on_answer(response(200, to_tag=f"t{n}"), "k") for n in range(100)]
    assert sum(map(len, delivered)) == UacAnswers.MOST_FORKS
