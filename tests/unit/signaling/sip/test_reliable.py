from services.signaling.sip.actions import Action, NoPrack, Send
from services.signaling.sip.message import Response
from services.signaling.sip.reliable import UacProvisionals, UasProvisional, is_reliable, rseq_of
from services.signaling.sip.transaction.timers import NEVER
from tests.support.sip_messages import ALICE, TCP, response

NAME = ("c", "t", 1, 7)


def test_an_unacknowledged_provisional_is_repeated_with_doubling_interval_for_64_t1() -> None:
    for peer in (ALICE, TCP):  # a proxy on the way may not be on TCP
        provisional = UasProvisional(b"180", "k", NAME, peer)
        provisional.start(100.0)
        seen: list[tuple[float, Action]] = []
        while (now := provisional.deadline) != NEVER:
            seen += [(now - 100.0, action) for action in provisional.on_timer(now)]
        sent = [at for at, action in seen if isinstance(action, Send)]
        assert sent == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
        assert seen[-1] == (32.0, NoPrack("k"))


def test_a_prack_ends_it() -> None:
    provisional = UasProvisional(b"180", "k", NAME, ALICE)
    provisional.start(100.0)
    provisional.stop()
    assert provisional.deadline == NEVER
    assert provisional.on_timer(200.0) == []


def test_waking_early_does_nothing() -> None:
    provisional = UasProvisional(b"180", "k", NAME, ALICE)
    provisional.start(100.0)
    assert provisional.on_timer(100.4) == []


def ringing(rseq: str, to_tag: str = "theirs", require: str = "100rel") -> Response:
    return response(180, to_tag=to_tag, extra=f"Require: {require}\r\nRSeq: {rseq}\r\n")


def test_reliable_responses_are_taken_in_order_and_once() -> None:
    provisionals = UacProvisionals()
    order = ["100", "100", "102", "101", "102", "101", "103"]
    taken = [provisionals.is_next(ringing(rseq)) for rseq in order]
    assert taken == [True, False, False, True, True, False, True]


def test_two_to_tags_are_two_early_dialogs() -> None:
    provisionals = UacProvisionals()
    taken = [
        provisionals.is_next(ringing(rseq, tag))
        for rseq, tag in [("5", "one"), ("900", "two"), ("6", "one"), ("901", "two"), ("7", "two")]
    ]
    assert taken == [True, True, True, True, False]


def test_forks_are_bounded() -> None:
    provisionals = UacProvisionals()
    taken = [provisionals.is_next(ringing("1", f"t{n}")) for n in range(50)]
    assert sum(taken) == UacProvisionals.MOST_FORKS


def test_what_is_no_reliable_response() -> None:
    provisionals = UacProvisionals()
    for rseq in ("0", "x", "-1", "4294967296", ""):
        assert not provisionals.is_next(ringing(rseq))
    assert not provisionals.is_next(ringing("1", ""))
    assert not is_reliable(response(180, extra="RSeq: 1\r\n"))
    assert not is_reliable(response(180, extra="Require: 100rel\r\n"))
    assert not is_reliable(response(200, extra="Require: 100rel\r\nRSeq: 1\r\n"))
    assert not is_reliable(response(100, extra="Require: 100rel\r\nRSeq: 1\r\n"))
    assert is_reliable(response(183, extra="Require: 100REL\r\nRSeq: 1\r\n"))
    assert rseq_of(response(180)) == 0
