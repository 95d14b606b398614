"""How a call ends, and what it gives back to those who answer for it until then."""

from __future__ import annotations

from typing import NamedTuple

from services.common.causes import EndReason
from services.signaling.core.commands import Command, KeepEnd, Owner, ReleaseCredit, ReleaseMedia
from services.signaling.core.legs import Leg
from services.signaling.core.record import CallRecord
from services.signaling.core.snapshot import end_note
from services.signaling.sip.message import Request as Received


class Over(NamedTuple):
    """The conversation has ended, at the instant ``at``."""

    reason: EndReason
    side: str
    """``caller``, ``callee`` or ``server``."""
    at: float
    bye: Received | None = None
    silent: str = ""
    """``caller`` or ``callee`` when that one was not heard any more, as was noticed at
    :attr:`noticed_at`."""
    noticed_at: float = 0.0


class Bye(Owner):
    """A BYE that may have to be sent again with credentials."""

    __slots__ = ("leg",)

    def __init__(self, leg: Leg) -> None:
        super().__init__()
        self.leg = leg


def given_back(record: CallRecord, *, has_media: bool) -> list[Command]:
    """Credit of a call that was not answered, and media; how an answered one ended is kept.

    What the call cost settles the credit of an answered one.
    """
    commands: list[Command] = []
    if record.answered_at is None and record.reservation_id:
        commands.append(ReleaseCredit(record.reservation_id))
    if has_media:
        commands.append(ReleaseMedia())
        if record.answered_at is not None:
            commands.append(KeepEnd(end_note(record)))
    return commands
