"""Calls in the spool. Implements :class:`services.signaling.ports.Journal`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from services.common.logs import get_logger
from services.common.spool import Spool
from services.signaling.core.interrupted import Begun, Dialled, InterruptedCall
from services.signaling.core.snapshot import CallSnapshot, EndNote
from services.signaling.core.takeover import Left, LiveCall, shift_s

log = get_logger(__name__)

_END = "+"
"""Added to the id of a call, the key of how it ended."""
_ALIVE = "alive"
"""The key of nothing: written now and then, so that the folder tells when we last ran."""
BEAT_S = 10.0
"""Between two such writings, while there are calls."""


class Kept(msgspec.Struct, array_like=True, frozen=True, tag="answered"):
    """One snapshot on disk."""

    boot: str
    """Which start of the machine its instants belong to."""
    snapshot: CallSnapshot


_encode = msgspec.msgpack.Encoder().encode
_decode_call = msgspec.msgpack.Decoder(Kept | InterruptedCall).decode
_decode_end = msgspec.msgpack.Decoder(EndNote).decode


class SpooledCalls:
    """Keeps snapshots in the commits of the events."""

    def __init__(self, spool: Spool, *, boot: str, utc_now: Callable[[], dt.datetime]) -> None:
        self._spool = spool
        self._boot = boot
        self._utc_now = utc_now
        self._kept: set[str] = set()
        self._setting_up: dict[str, InterruptedCall] = {}
        self._beat_at = 0.0
        self.unreadable = 0
        """Snapshots of an earlier process that this version cannot read."""

    def keep(self, call_id: str, snapshot: CallSnapshot) -> None:
        """See :meth:`services.signaling.ports.Journal.keep`."""
        self._setting_up.pop(call_id, None)
        self._kept.add(call_id)
        self._spool.keep(call_id, partial(_encode, Kept(self._boot, snapshot)))

    def begin(self, call_id: str, begun: Begun) -> None:
        """See :meth:`services.signaling.ports.Journal.begin`."""
        self._setting_up[call_id] = state = InterruptedCall(begun)
        self._kept.add(call_id)
        self._spool.keep(call_id, partial(_encode, state), is_urgent=False)

    def dial(self, call_id: str, dialled: Dialled) -> None:
        """See :meth:`services.signaling.ports.Journal.dial`."""
        state = self._setting_up.get(call_id)
        if state is not None:
            state.dialled = dialled
            self._spool.keep(call_id, partial(_encode, state), is_urgent=False)

    def keep_end(self, call_id: str, note: EndNote) -> None:
        """See :meth:`services.signaling.ports.Journal.keep_end`."""
        self._kept.add(call_id + _END)
        self._spool.keep(call_id + _END, partial(_encode, note))

    def forget(self, call_id: str) -> None:
        """See :meth:`services.signaling.ports.Journal.forget`."""
        self._setting_up.pop(call_id, None)
        kept = self._kept
        for key in (call_id, call_id + _END):
            if key in kept:
                kept.discard(key)
                self._spool.forget(key)

    def beat(self, now: float) -> None:
        """Leave a sign of life; call it about every second while there are calls."""
        if now >= self._beat_at:
            self._beat_at = now + BEAT_S
            self._spool.keep(_ALIVE, b"")

    def rest(self) -> None:
        """There are no calls any more."""
        if self._beat_at:
            self._beat_at = 0.0
            self._spool.forget(_ALIVE)

    def take_over(self, now: float) -> Left:
        """See :meth:`services.signaling.ports.Journal.take_over`."""
        found, self._spool.left_behind = self._spool.left_behind, {}
        if found.pop(_ALIVE, None) is not None:
            self._spool.forget(_ALIVE)
        self._kept.update(found)
        left = Left([], [])
        for call_id in sorted({key.rstrip(_END) for key in found}):
            try:
                self._read(call_id, found, left, now)
            except msgspec.DecodeError as error:
                self.unreadable += 1
                self.forget(call_id)
                log.error(  # noqa: TRY400 - another version wrote it
                    "takeover.unreadable", call_id=call_id, error=str(error)
                )
        return left

    def _read(self, call_id: str, found: Mapping[str, bytes], left: Left, now: float) -> None:
        kept = found.get(call_id)
        if kept is None:  # what was beside it is all that a failing disk has left
            self.forget(call_id)
            return
        read = _decode_call(kept)
        if isinstance(read, InterruptedCall):
            left.interrupted.append(read)
            return
        end = found.get(call_id + _END)
        left.answered.append(self._live(read, None if end is None else _decode_end(end), now))

    def _live(self, read: Kept, note: EndNote | None, now: float) -> LiveCall:
        wall = self._utc_now()
        left_at = self._spool.left_at or wall
        lost_at = now - max(0.0, (wall - left_at).total_seconds())
        if read.boot == self._boot and read.boot:
            return LiveCall(read.snapshot, note, 0.0, lost_at)
        return LiveCall(read.snapshot, note, shift_s(read.snapshot, now, wall), lost_at)
