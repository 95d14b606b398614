"""An answered call as plain values: what a process needs that takes it over after a crash.

Instants are those of the process that took the snapshot: see :func:`.takeover.restore`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from services.signaling.core.legs import Leg, LegState
from services.signaling.core.record import AttemptRecord, CallRecord
from services.signaling.core.talk_time import TalkTime
from services.signaling.core.values import Candidate

if TYPE_CHECKING:
    from services.signaling.core.hunting import Answered

# Whatever a record has is kept, also what is added to it one day.
_RECORD = tuple(
    name
    for name in CallRecord.__slots__
    if name not in {"attempts", "media_callee", "media_caller"}
)
_ATTEMPT = tuple(name for name in AttemptRecord.__slots__ if name != "candidate")
_END = (
    "cause_source", "end_reason", "end_side", "ended_at", "q850_in", "q850_out", "reason_header",
)  # fmt: skip
_record_values = attrgetter(*_RECORD)
_attempt_values = attrgetter(*_ATTEMPT)
_end_values = attrgetter(*_END)

Facts = dict[str, object]
"""Fields of a record by name, so that a later version can read what it still knows."""


class AttemptState(msgspec.Struct, array_like=True, frozen=True):
    """One attempt of the record."""

    candidate: Candidate
    facts: Facts


class VendorInvite(msgspec.Struct, array_like=True, frozen=True):
    """The INVITE that drew the vendor's 2xx."""

    key: str
    cseq: int
    is_late: bool
    """Whether the 2xx brought the offer: the caller's ACK then brings the answer."""


def dialled_by(answered: Answered) -> VendorInvite:
    """The INVITE that was answered."""
    attempt = answered.attempt
    assert attempt.draft is not None
    return VendorInvite(attempt.key, attempt.draft.cseq, answered.is_offer)


class CallSnapshot(msgspec.Struct, array_like=True, frozen=True):
    """An answered call."""

    record: Facts
    attempts: list[AttemptState]
    caller: LegState
    callee: LegState
    invite_key: str
    """The caller's INVITE transaction."""
    paid_ms: int | None
    """``None`` when talk time has not to be covered."""
    max_call_s: float
    has_media: bool
    answer: bytes = b""
    """The 200 to repeat until the caller's ACK; empty once it cannot be needed."""
    vendor: VendorInvite | None = None
    """``None`` likewise."""


class EndNote(msgspec.Struct, array_like=True, frozen=True):
    """How a call ended whose record waits for the last word of media or a vendor."""

    facts: Facts


def record_facts(record: CallRecord) -> tuple[Facts, list[AttemptState]]:
    """The record and its attempts."""
    attempts = [
        AttemptState(attempt.candidate, dict(zip(_ATTEMPT, _attempt_values(attempt), strict=True)))
        for attempt in record.attempts
    ]
    return dict(zip(_RECORD, _record_values(record), strict=True)), attempts


def taken_of(
    record: CallRecord,
    caller: Leg,
    callee: Leg,
    talk: TalkTime,
    invite_key: str,
    *,
    has_media: bool,
    answered: Answered | None,
    answer: bytes,
) -> CallSnapshot:
    """The snapshot of a call; with ``answered`` that of the moment of its answer."""
    facts, attempts = record_facts(record)
    return CallSnapshot(
        facts,
        attempts,
        caller.snapshot(),
        callee.snapshot(),
        invite_key,
        talk.paid_ms if talk.is_paid else None,
        talk.max_call_s,
        has_media,
        answer,
        None if answered is None else dialled_by(answered),
    )


def end_note(record: CallRecord) -> EndNote:
    """The end, as far as it is known when it happens."""
    return EndNote(dict(zip(_END, _end_values(record), strict=True)))
