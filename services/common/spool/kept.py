"""State kept over a crash in the segments of a spool: pure bookkeeping of what lies where.

Every key has one record that counts, the last. Others, and notes that a key is gone, are dead
weight that goes with its segment. A segment that lasts because a few old keys live in it is
emptied by writing those again at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from services.common.spool.records import Kind, Record
from services.common.spool.segments import SEGMENT_BYTES

SPARE_SEGMENTS = 4
"""Segments of dead weight that are not worth the work of emptying one."""
CARRIED_AT_ONCE = 256
"""Records written again in one commit: half a megabyte, whose writing nobody notices."""


class Place(NamedTuple):
    """Where a record lies."""

    segment: int
    start: int
    end: int


class KeptBook:
    """Keys, the places of their records, and which segments those keep."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._keys: dict[int, dict[str, None]] = {}
        """Live keys by segment, in the order they were stored."""
        self.size_bytes = 0
        """Of the records that count."""

    def __len__(self) -> int:
        return len(self._places)

    def stored(self, key: str, place: Place) -> None:
        """The record of ``key`` that counts is now at ``place``."""
        self.gone(key)
        self._places[key] = place
        self._keys.setdefault(place.segment, {})[key] = None
        self.size_bytes += place.end - place.start

    def gone(self, key: str) -> None:
        """Nothing is kept under ``key`` any more."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self.size_bytes -= place.end - place.start
        keys = self._keys[place.segment]
        del keys[key]
        if not keys:
            del self._keys[place.segment]

    def written(self, frames: Mapping[str, tuple[bytes, bool]], segment: int, start: int) -> None:
        """Frames by key, and whether the key is gone, were written one after the other."""
        for key, (frame, is_gone) in frames.items():
            end = start + len(frame)
            if is_gone:
                self.gone(key)
            else:
                self.stored(key, Place(segment, start, end))
            start = end

    def carried(self, records: Iterable[tuple[str, Place]], segment: int, start: int) -> int:
        """Records were written again one after the other; returns where they end."""
        for key, (_, old_start, old_end) in records:
            end = start + old_end - old_start
            self.stored(key, Place(segment, start, end))
            start = end
        return start

    def is_needed(self, segment: int) -> bool:
        """Whether a segment holds a record that counts."""
        return segment in self._keys

    def burden(self, oldest: int, newest: int) -> list[tuple[str, Place]]:
        """Records of ``oldest`` to be written again, so that it can go; none while not worth it.

        The log then takes no more than twice what is alive in it, and the spare segments.
        """
        if oldest not in self._keys or oldest == newest:
            return []
        if (newest - oldest - SPARE_SEGMENTS) * SEGMENT_BYTES < 2 * self.size_bytes:
            return []
        keys = islice(self._keys[oldest], CARRIED_AT_ONCE)
        return [(key, self._places[key]) for key in keys]

    def recover(self, segments: Iterable[tuple[int, Iterable[Record]]]) -> dict[str, bytes]:
        """Take in what an earlier process left; returns the state by key."""
        last: dict[str, tuple[int, Record]] = {}
        for segment, records in segments:
            for record in records:
                if record.kind not in (Kind.KEPT, Kind.GONE):
                    continue
                known = last.get(record.subject)
                if known is None or _number(known[1]) <= _number(record):
                    last[record.subject] = segment, record
        alive = {key: at for key, at in last.items() if at[1].kind == Kind.KEPT}
        for key, (segment, record) in alive.items():
            self.stored(key, Place(segment, record.start, record.end))
        return {key: record.payload for key, (_, record) in alive.items()}


def _number(record: Record) -> tuple[int, int]:
    return record.epoch, record.seq
