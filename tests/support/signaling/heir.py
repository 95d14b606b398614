"""A call machine that takes over where another died."""

from __future__ import annotations

import copy

import msgspec

from services.signaling.core.commands import Keep, KeepEnd, Persist
from services.signaling.core.snapshot import CallSnapshot, EndNote
from services.signaling.core.takeover import LiveCall, Restored, restore
from tests.support.signaling.machine import Machine, context


def left_by(machine: Machine, *, shift_s: float = 0.0) -> LiveCall:
    """What is on disk when the process of ``machine`` is killed now."""
    snapshots = [each.snapshot for each in machine.history if isinstance(each, (Keep, Persist))]
    notes = [each.note for each in machine.history if isinstance(each, KeepEnd)]
    snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(snapshots[-1]), type=CallSnapshot)
    if not notes:
        return LiveCall(snapshot, None, shift_s)
    note = msgspec.msgpack.decode(msgspec.msgpack.encode(notes[-1]), type=EndNote)
    return LiveCall(snapshot, note, shift_s)


def take_over(
    machine: Machine, now: float, *, shift_s: float = 0.0, lost_at: float | None = None
) -> tuple[Machine, Restored]:
    """The machine of the process that comes after, and what it makes of the call."""
    heir = copy.copy(machine)
    heir.context, heir.history, heir.ended_events = context(), [], []
    left = left_by(machine, shift_s=shift_s)._replace(lost_at=lost_at)
    restored = restore(heir.context, left, now)
    heir.call = restored.call
    heir.take(restored.commands)
    return heir, restored
