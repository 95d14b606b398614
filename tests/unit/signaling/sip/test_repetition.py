"""What responses that wait for ACK or PRACK share; their intervals are tested with each."""

from __future__ import annotations

import pytest

from services.signaling.sip.actions import NoAck, NoPrack, Send
from services.signaling.sip.invite_usage import UasAnswer
from services.signaling.sip.reliable import UasProvisional
from services.signaling.sip.repetition import Repetition
from services.signaling.sip.transaction.timers import NEVER, TimerValues
from tests.support.sip_messages import ALICE

KINDS = [
    UasAnswer(b"data", "k", ("c", "t", 1), ALICE, TimerValues(t1=1.0, t2=1.5)),
    UasProvisional(b"data", "k", ("c", "t", 1, 7), ALICE, TimerValues(t1=1.0, t2=1.5)),
]


@pytest.mark.parametrize("subject", KINDS, ids=lambda subject: type(subject).__name__)
def test_a_whole_life(subject: Repetition[object]) -> None:
    assert (subject.deadline, subject.is_waiting) == (NEVER, False)
    subject.start(10.0)
    assert (subject.deadline, subject.expires_at, subject.is_waiting) == (11.0, 74.0, True)
    assert subject.on_timer(10.999) == []
    assert subject.on_timer(11.0) == [Send(b"data", ALICE)]
    assert subject.deadline == (12.5 if subject.has_ceiling else 13.0)
    # Woken late, it says what it has come to and does not make up for what it missed.
    assert subject.on_timer(74.0) == [subject.loss("k")]
    assert (subject.deadline, subject.is_waiting) == (NEVER, False)
    assert subject.on_timer(200.0) == []


def test_what_the_user_is_told() -> None:
    assert (UasAnswer.loss, UasProvisional.loss) == (NoAck, NoPrack)


def test_what_was_acknowledged_is_never_sent_again() -> None:
    subject = UasProvisional(b"data", "k", ("c", "t", 1, 7), ALICE)
    subject.start(10.0)
    subject.stop()
    assert (subject.deadline, subject.is_waiting) == (NEVER, False)
    assert subject.on_timer(10.5) == []


def test_no_dictionary_is_made_for_each() -> None:
    assert not hasattr(KINDS[0], "__dict__")
