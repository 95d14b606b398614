"""What to do with a POST that carries an ``Idempotency-Key``."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from enum import StrEnum

KEPT = dt.timedelta(hours=24)
"""How long an answer is replayed."""

# The first request holds its claim this long. Past it the process that answered has died or
# hangs; what it may have done is unique by name or by payment id, so doing it again is safe.
CLAIM = dt.timedelta(minutes=2)

LONGEST_KEY = 255


class Decision(StrEnum):
    """The ways out."""

    PROCEED = "proceed"
    """Answer it, then keep the answer."""
    REPLAY = "replay"
    """Send the kept answer again."""
    MISMATCH = "mismatch"
    """Same key, different request."""
    BUSY = "busy"
    """The first one is still being answered."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of an earlier request with the same key."""

    request_hash: bytes
    status: int | None
    """``None`` while it is being answered."""
    headers: tuple[tuple[str, str], ...]
    body: bytes
    created_at: dt.datetime


def fingerprint(method: str, target: str, body: bytes) -> bytes:
    """What makes two requests the same: method, path with query, body."""
    return hashlib.sha256(b"\n".join((method.encode(), target.encode(), body))).digest()


def decide(earlier: Kept | None, request_hash: bytes, now: dt.datetime) -> Decision:
    """What to do with a request, given what is kept under its key."""
    if earlier is None or earlier.created_at + KEPT <= now:
        return Decision.PROCEED
    if earlier.request_hash != request_hash:
        return Decision.MISMATCH
    if earlier.status is not None:
        return Decision.REPLAY
    return Decision.BUSY if now < earlier.created_at + CLAIM else Decision.PROCEED


def worth_keeping(status: int) -> bool:
    """Whether an answer settles the matter: a failure of ours, or of permission, does not."""
    return status < 500 and status not in (401, 403, 408, 429)
