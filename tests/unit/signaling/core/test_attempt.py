"""What is known of one egress INVITE at first; its course is tested with the hunt."""

from __future__ import annotations

from services.signaling.core.attempt import Attempt, State
from services.signaling.core.record import AttemptRecord
from services.signaling.sip.actions import Peer
from services.signaling.sip.transaction.timers import NEVER
from tests.support.signaling.machine import candidate


def test_a_new_attempt_waits_for_nothing_and_nobody() -> None:
    peer = Peer("udp", "198.51.100.1", 5060, 1)
    attempt = Attempt(2, candidate(), AttemptRecord(candidate(), 100.0), peer)
    assert (attempt.name, attempt.state, attempt.deadline) == ("B2", State.OFFERING, NEVER)
    assert (attempt.started_at, attempt.answered_at) == (100.0, 100.0)
    assert (attempt.draft, attempt.dialogs, attempt.token) == (None, None, 0)
