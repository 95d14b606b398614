"""What a call gives back when it ends."""

from __future__ import annotations

import datetime as dt

from services.signaling.core.closing import given_back
from services.signaling.core.commands import KeepEnd, ReleaseCredit, ReleaseMedia
from services.signaling.core.record import CallRecord


def record(*, answered_at: float | None = None) -> CallRecord:
    made = CallRecord("cal_1", "n1", 100.0, dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    made.reservation_id, made.answered_at = "lea_1/5/1", answered_at
    return made


def test_an_unanswered_call_gives_its_credit_back_and_its_ports() -> None:
    assert given_back(record(), has_media=False) == [ReleaseCredit("lea_1/5/1")]
    assert given_back(record(), has_media=True) == [ReleaseCredit("lea_1/5/1"), ReleaseMedia()]


def test_the_end_of_an_answered_call_is_kept_while_media_has_the_last_word() -> None:
    assert given_back(record(answered_at=105.0), has_media=False) == []
    release, kept = given_back(record(answered_at=105.0), has_media=True)
    assert isinstance(release, ReleaseMedia)
    assert isinstance(kept, KeepEnd)
