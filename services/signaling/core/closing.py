"""What a call gives back when it ends, to those who answer for it until then."""

from __future__ import annotations

from services.signaling.core.commands import Command, KeepEnd, ReleaseCredit, ReleaseMedia
from services.signaling.core.record import CallRecord
from services.signaling.core.snapshot import end_note


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
