"""Reliable provisional responses in the transaction layer."""

import msgspec

from services.signaling.sip.actions import Action, DeliverRequest, NoPrack, Peer, Send
from services.signaling.sip.build import response_to
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response, parse
from services.signaling.sip.validate import Capabilities
from tests.support.sip_messages import ALICE, INVITE, edited

METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "PRACK")


def sent(actions: list[Action]) -> list[int]:
    messages = [parse(action.data) for action in actions if isinstance(action, Send)]
    return [message.status for message in messages if isinstance(message, Response)]


def ringing(rseq: int = 7) -> tuple[TransactionLayer, str]:
    """A layer whose INVITE was rung for reliably at 1.0."""
    layer = TransactionLayer(
        sent_by="192.0.2.10:5060", ids=lambda: "id", capabilities=Capabilities(methods=METHODS)
    )
    (arrival,) = [a for a in layer.on_message(INVITE, ALICE, 0.0) if isinstance(a, DeliverRequest)]
    reply = response_to(
        arrival.request, 180, to_tag="ours", headers=["Require: 100rel", f"RSeq: {rseq}"]
    )
    assert sent(layer.respond(arrival.key, msgspec.structs.replace(reply, rseq=rseq), 1.0)) == [
        180
    ]
    return layer, arrival.key


def prack(rack: str = "7 1 INVITE", to_tag: str = "ours", branch: bytes = b"p1") -> bytes:
    return edited(
        (b"INVITE sip", b"PRACK sip"),
        (b"1 INVITE", b"2 PRACK"),
        (b"z9hG4bK-524287-1---a1b2c3", b"z9hG4bK" + branch),
        (b"To: <sip:14155550123@192.0.2.10>", b"To: <sip:x@y>;tag=" + to_tag.encode()),
        (b"User-Agent: Acme SBC 7.1\r\n", f"RAck: {rack}\r\n".encode()),
        (b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n", b"\r\n"),
    )


def run_out(layer: TransactionLayer, until: float) -> list[tuple[float, Action]]:
    seen: list[tuple[float, Action]] = []
    while (now := layer.deadline) is not None and now <= until:
        seen += [(now, action) for action in layer.on_timer(now)]
    return seen


def test_it_is_repeated_and_given_up() -> None:
    layer, key = ringing()
    seen = run_out(layer, 40.0)
    assert [at for at, action in seen if isinstance(action, Send)] == [
        1.5, 2.5, 4.5, 8.5, 16.5, 32.5,
    ]  # fmt: skip
    assert [(at, action) for at, action in seen if isinstance(action, NoPrack)] == [
        (33.0, NoPrack(key))
    ]


def test_a_prack_is_delivered_and_stops_it_once() -> None:
    layer, key = ringing()
    (arrival,) = layer.on_message(prack(), ALICE, 1.2)
    assert isinstance(arrival, DeliverRequest)
    assert run_out(layer, 40.0) == []
    assert layer.on_message(prack(), ALICE, 1.3) == []  # its repetition waits for the answer
    assert sent(layer.on_message(prack(branch=b"p2"), ALICE, 1.4)) == [481]
    assert sent(layer.respond(key, response_to(arrival.request, 200), 2.0)) == [200]


def test_a_prack_that_fits_nothing_is_481() -> None:
    layer, _ = ringing()
    for number, (rack, tag) in enumerate(
        [
            ("8 1 INVITE", "ours"),
            ("7 2 INVITE", "ours"),
            ("7 1 UPDATE", "ours"),
            ("7 1 INVITE", "other"),
            ("rubbish", "ours"),
            ("", "ours"),
        ]
    ):
        message = prack(rack, tag, branch=b"x%d" % number)
        assert sent(layer.on_message(message, ALICE, 1.2)) == [481]
    assert [at for at, a in run_out(layer, 2.0) if isinstance(a, Send)] == [1.5]


def test_a_final_response_ends_the_repetition_but_not_the_wait_for_the_prack() -> None:
    layer, key = ringing()
    (invite,) = [
        a for a in TransactionLayer(sent_by="x:1", ids=lambda: "i").on_message(INVITE, ALICE, 0.0)
        if isinstance(a, DeliverRequest)
    ]  # fmt: skip
    layer.respond(key, response_to(invite.request, 486, to_tag="ours"), 1.2)
    assert not [a for _, a in run_out(layer, 4.0) if isinstance(a, Send) and b" 180 " in a.data]
    (arrival,) = layer.on_message(prack(), ALICE, 4.1)
    assert isinstance(arrival, DeliverRequest)


def test_nothing_is_left_of_it() -> None:
    layer, key = ringing()
    source = Peer("udp", "198.51.100.7", 5060)
    (invite,) = [
        a for a in TransactionLayer(sent_by="x:1", ids=lambda: "i").on_message(INVITE, source, 0.0)
        if isinstance(a, DeliverRequest)
    ]  # fmt: skip
    layer.respond(key, response_to(invite.request, 486, to_tag="ours"), 1.2)
    run_out(layer, 100.0)
    assert layer.transaction_count == 0
    assert layer._provisionals == {}


def test_prack_is_never_shed() -> None:
    layer, _ = ringing()
    layer._max_transactions = 0
    assert isinstance(layer.on_message(prack(), ALICE, 1.2)[0], DeliverRequest)
