"""Transfers that fail after the transferee has moved: he is brought back."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Cancel,
    Command,
    OfferMedia,
)
from services.signaling.core.commands import Request as Dial
from services.signaling.core.restoring import MOST_GLARES
from tests.support.signaling.machine import (
    ANSWER,
    CALLER,
    OFFER,
    Machine,
    kinds,
    only,
    received,
)
from tests.unit.signaling.core.test_transfer import SDP_C, refer, started, status_of

HELD = OFFER.replace(b"s=", b"a=sendonly\r\ns=")


def invites(commands: list[Command]) -> list[Dial]:
    return [c for c in commands if isinstance(c, Dial) and c.draft.method == "INVITE"]


def moved_in_vain() -> tuple[Machine, Dial, Dial]:
    """A transferee who took the target's offer and answered nothing: his way back is asked."""
    subject, vendor, target = started()
    (again,) = invites(subject.reply(target, 200, 112.0, body=SDP_C))
    (back,) = invites(subject.reply(again, 200, 112.2))
    return subject, vendor, back


def moved_with_media() -> tuple[Machine, Dial, OfferMedia]:
    """The same, his answer being of no use to media."""
    subject, vendor, target = started(media_proxy=True)
    offer = only(subject.reply(target, 200, 112.0, body=SDP_C), OfferMedia)
    (again,) = invites(subject.media(offer.token, b"for b", 112.1))
    ask = only(subject.reply(again, 200, 112.2, body=ANSWER), AnswerMedia)
    steps = subject.media(ask.token, b"", 112.3, error="codec_mismatch")
    assert status_of(steps) == "488 terminated"
    return subject, vendor, only(steps, OfferMedia)


def is_as_before(subject: Machine, vendor: Dial) -> bool:
    """Whether transferor and transferee can talk about their session again."""
    steps = subject.callee_sends(vendor, "INVITE", 130.0, body=OFFER)
    return kinds(steps) in (["A INVITE"], ["OfferMedia"])


def test_he_is_offered_what_he_had_and_the_call_goes_on() -> None:
    subject, vendor, back = moved_in_vain()
    assert (back.leg, received(back.draft).body) == ("B1", OFFER)
    steps = subject.reply(back, 200, 112.4, body=ANSWER)
    assert kinds(steps) == ["Acknowledge"]
    assert received(only(steps, Acknowledge).draft).cseq.number == back.draft.cseq
    assert is_as_before(subject, vendor)
    assert not subject.ended_events


def test_media_writes_anew_what_the_transferor_said() -> None:
    subject, vendor, offer = moved_with_media()
    assert (offer.from_caller, offer.sdp, offer.source_host) == (True, OFFER, CALLER.host)
    (back,) = invites(subject.media(offer.token, b"as before", 112.4))
    assert back.draft.body == b"as before"
    steps = subject.reply(back, 200, 112.5, body=ANSWER)
    assert kinds(steps) == ["Acknowledge", "AnswerMedia"]
    ask = only(steps, AnswerMedia)
    assert (ask.from_caller, ask.sdp, ask.provisional) == (False, ANSWER, False)
    assert subject.media(ask.token, b"known to a", 112.6) == []
    assert is_as_before(subject, vendor)


def test_it_is_the_session_of_the_last_agreement_not_of_the_first() -> None:
    subject, _, target = started(media_proxy=True)
    hold = only(subject.caller_sends("INVITE", 111.0, body=HELD, key="re"), OfferMedia)
    (passed,) = invites(subject.media(hold.token, b"held", 111.1))
    ask = only(subject.reply(passed, 200, 111.2, body=ANSWER), AnswerMedia)
    subject.media(ask.token, b"held too", 111.3)
    subject.ack(111.4, key="re")
    refused = only(subject.caller_sends("INVITE", 111.5, body=OFFER, key="no"), OfferMedia)
    (passed,) = invites(subject.media(refused.token, b"other", 111.6))
    subject.reply(passed, 488, 111.7)
    offer = only(subject.reply(target, 200, 112.0, body=SDP_C), OfferMedia)
    (again,) = invites(subject.media(offer.token, b"for b", 112.1))
    ask = only(subject.reply(again, 200, 112.2, body=ANSWER), AnswerMedia)
    steps = subject.media(ask.token, b"", 112.3, error="codec_mismatch")
    assert only(steps, OfferMedia).sdp == HELD


def test_without_media_s_words_he_gets_those_he_was_sent_last() -> None:
    subject, vendor, offer = moved_with_media()
    (back,) = invites(subject.take(subject.call.on_media(offer.token, None, 112.4)))
    assert back.draft.body == b"x"  # the INVITE's, as media wrote it
    assert kinds(subject.reply(back, 200, 112.5, body=ANSWER)) == ["Acknowledge"]
    assert is_as_before(subject, vendor)


@pytest.mark.parametrize(
    ("status", "reason", "side"),
    [
        (488, EndReason.CODEC_MISMATCH, "server"),
        (481, EndReason.REJECTED, "callee"),
    ],
)
def test_who_will_not_come_back_is_hung_up(status: int, reason: EndReason, side: str) -> None:
    subject, _, back = moved_in_vain()
    steps = subject.reply(back, status, 112.4)
    assert "A BYE" in kinds(steps)
    assert ("B1 BYE" in kinds(steps)) is (status == 488)
    assert "A NOTIFY" not in kinds(steps)  # he was told already
    assert (subject.record.end_reason, subject.record.end_side) == (reason, side)


def test_who_rings_for_ever_is_not_waited_for() -> None:
    subject, _, back = moved_in_vain()
    assert subject.reply(back, 180, 112.3) == []
    due = subject.call.deadline
    (cancel,) = subject.take(subject.call.on_timer(due))
    assert isinstance(cancel, Cancel)
    assert cancel.key == back.owner.key
    subject.reply(back, 487, due + 0.1)
    assert subject.record.end_reason == EndReason.CODEC_MISMATCH


def test_who_says_nothing_is_gone() -> None:
    subject, _, back = moved_in_vain()
    assert "A BYE" in kinds(subject.fail(back.owner, 408, 144.0))
    assert subject.record.end_reason == EndReason.REJECTED


def test_an_answer_that_is_of_no_use_again_ends_the_call() -> None:
    subject, _, back = moved_in_vain()
    assert kinds(subject.reply(back, 200, 112.4))[:1] == ["Acknowledge"]
    assert subject.record.end_reason == EndReason.CODEC_MISMATCH
    subject, _, offer = moved_with_media()
    (back,) = invites(subject.media(offer.token, b"as before", 112.4))
    ask = only(subject.reply(back, 200, 112.5, body=ANSWER), AnswerMedia)
    subject.take(subject.call.on_media(ask.token, None, 112.6))
    assert subject.call.record.end_reason == EndReason.MEDIA_UNAVAILABLE


def test_he_asks_for_something_himself_first() -> None:
    subject, vendor, back = moved_in_vain()
    assert subject.reply(back, 491, 112.4) == []
    assert subject.call.deadline == pytest.approx(112.4 + 2.1 + 1.9 * 0.5)
    # Who is being brought back is told to wait.
    assert kinds(subject.callee_sends(vendor, "INVITE", 113.0, body=OFFER)) == ["B1 491"]
    assert kinds(refer(subject, now=113.5)) == ["A 491"]
    (again,) = invites(subject.take(subject.call.on_timer(116.0)))
    assert again.draft.cseq == back.draft.cseq + 1
    assert kinds(subject.reply(again, 200, 116.1, body=ANSWER)) == ["Acknowledge"]
    assert kinds(refer(subject, now=117.0))[0] == "A 202"


def test_glare_does_not_go_on_for_ever() -> None:
    subject, _, back = moved_in_vain()
    now = 112.4
    for _ in range(MOST_GLARES):
        assert subject.reply(back, 491, now) == []
        now = subject.call.deadline
        (back,) = invites(subject.take(subject.call.on_timer(now)))
    subject.reply(back, 491, now)
    assert subject.record.end_reason == EndReason.CODEC_MISMATCH


def test_the_transferor_hangs_up_while_he_is_brought_back() -> None:
    subject, _, back = moved_in_vain()
    assert kinds(subject.caller_sends("BYE", 112.3)) == ["A 200"]
    steps = subject.reply(back, 200, 112.4, body=ANSWER)
    assert kinds(steps)[:2] == ["Acknowledge", "B1 BYE"]
    assert subject.record.end_side == "caller"


def test_nobody_is_brought_back_to_who_has_hung_up() -> None:
    subject, _, target = started()
    (again,) = invites(subject.reply(target, 200, 112.0, body=SDP_C))
    subject.caller_sends("BYE", 112.1)
    steps = subject.reply(again, 200, 112.2)
    assert invites(steps) == []
    assert "B1 BYE" in kinds(steps)


def test_the_transferee_hangs_up_and_answers_late() -> None:
    subject, vendor, back = moved_in_vain()
    steps = subject.callee_sends(vendor, "BYE", 112.3)
    assert kinds(steps)[:3] == ["B1 200", "Cancel", "A BYE"]
    assert kinds(subject.reply(back, 200, 112.4, body=ANSWER)) == ["Acknowledge"]
    assert subject.fail(back.owner, 408, 144.0) == []


def test_what_was_said_outlives_the_process() -> None:
    subject, _, _ = started()
    caller = subject.call._conversation.snapshot().caller  # type: ignore[union-attr]
    assert caller.said == OFFER
