"""Transactions of a process that died, in the layer of the next."""

from services.signaling.sip.actions import DeliverAck, NoAck, Peer, Send, Terminated
from services.signaling.sip.build import response_to
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response
from services.signaling.sip.resume import resume_answer, resume_invite
from tests.support.sip_messages import ALICE, BOB, INVITE, TCP, edited, invite_draft
from tests.unit.signaling.sip.test_layer import (
    answer_to,
    delivered,
    layer,
    run_out,
    server,
    statuses,
)


def answered(source: Peer = ALICE) -> tuple[str, bytes]:
    """Key and 200 of an INVITE that a process answered before it died."""
    arrival = delivered(server().on_message(INVITE, source, 0.0))
    return arrival.key, response_to(arrival.request, 200, to_tag="us").data


def ack() -> bytes:
    return edited(
        (b"INVITE sip", b"ACK sip"),
        (b"1 INVITE", b"1 ACK"),
        (b"---a1b2c3", b"ack"),
        (b"192.0.2.10>", b"192.0.2.10>;tag=us"),
    )


def resumed(now: float = 10.0, source: Peer = ALICE) -> tuple[TransactionLayer, str, bytes]:
    subject = server()
    key, data = answered(source)
    assert resume_answer(subject, key, data, source, answered_at=5.0, now=now)
    return subject, key, data


def test_the_answer_is_repeated_at_once_and_until_its_ack() -> None:
    subject, key, data = resumed()
    seen = [subject.on_timer(now) for now in (10.0, 10.5, 11.5)]
    assert seen == [[Send(data, ALICE)], [], [Send(data, ALICE)]]
    (delivery,) = subject.on_message(ack(), ALICE, 11.6)
    assert isinstance(delivery, DeliverAck)
    assert delivery.key == key
    assert subject.on_message(ack(), ALICE, 11.7) == []
    assert [action for _, action in run_out(subject)] == [Terminated(key)]


def test_its_time_ends_when_it_would_have_ended() -> None:
    subject, key, _ = resumed()
    ends = [(at, each) for at, each in run_out(subject) if not isinstance(each, Send)]
    assert {at for at, _ in ends} == {37.0}
    assert {each for _, each in ends} == {NoAck(key), Terminated(key)}
    assert subject.transaction_count == 0


def test_a_repeated_invite_is_absorbed_over_any_path() -> None:
    subject, _, _ = resumed()
    assert subject.on_message(INVITE, ALICE, 11.0) == []
    other = subject.on_message(edited((b"---a1b2c3", b"other")), ALICE, 11.0)
    assert statuses(other) == [482]


def test_what_is_too_old_is_left_alone() -> None:
    subject = server()
    key, data = answered()
    assert not resume_answer(subject, key, data, ALICE, answered_at=5.0, now=37.0)
    resume_invite(subject, "z9hG4bKold INVITE", "them", BOB, None, answered_at=5.0, now=37.0)
    assert (subject.deadline, subject.transaction_count) == (None, 0)


def test_the_answer_goes_where_its_request_wanted_it() -> None:
    behind_nat = Peer("udp", "203.0.113.9", 61_000)
    for source in (behind_nat, TCP):
        subject, _, data = resumed(source=source)
        assert subject.on_timer(10.0) == [Send(data, source)]


def test_a_vendor_whose_ack_is_still_to_come_waits_for_it() -> None:
    key, actions = layer().send_request(invite_draft(), BOB, 0.0)
    ok = answer_to(actions, 200, tag="them")
    second = layer()
    resume_invite(second, key, "them", BOB, None, answered_at=5.0, now=10.0)
    assert second.on_message(ok, BOB, 10.1) == []
    draft = invite_draft()
    draft.method = "ACK"
    sent = second.send_ack(key, "them", draft, BOB)
    again = second.on_message(ok, BOB, 10.2)
    assert [each.data for each in again if isinstance(each, Send)] == [
        each.data for each in sent if isinstance(each, Send)
    ]


def test_a_vendor_that_repeats_his_answer_gets_the_ack_again() -> None:
    first = layer()
    key, actions = first.send_request(invite_draft(), BOB, 0.0)
    ok = answer_to(actions, 200, tag="them")
    fork = answer_to(actions, 200, tag="fork")
    draft = invite_draft()
    draft.method = "ACK"
    second = layer()
    resume_invite(second, key, "them", BOB, (draft, BOB), answered_at=5.0, now=10.0)
    for now in (10.1, 10.2):
        (again,) = second.on_message(ok, BOB, now)
        assert isinstance(again, Send)
        assert again.data.startswith(b"ACK sip")
    (stray,) = second.on_message(fork, BOB, 10.3)
    assert not isinstance(stray, Send)
    assert isinstance(stray.response, Response)  # type: ignore[union-attr]  # delivered
    assert [action for _, action in run_out(second)] == [Terminated(key)]
