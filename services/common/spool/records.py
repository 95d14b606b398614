"""The bytes of a segment file: framed, checksummed records, readable after any crash.

Pure. A record is::

    magic (2) | body size (4) | CRC-32 of the body (4) | body
    body: kind (1) | epoch (4) | seq (8) | subject size (1) | subject | payload

All numbers are big-endian. An event names the batch it belongs to, so the batches of a process
that was killed are put together again exactly as they were.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

# 0xF5 and 0xFA occur in no UTF-8 text, hence in no event: what looks like the start of a record
# is one, also when the search for the next begins inside a damaged one. (Kept state is binary:
# there the checksum has to tell.)
MAGIC = b"\xf5\xfa"
_FRAME = struct.Struct(">2sII")
_BODY = struct.Struct(">BIQB")
LARGEST_BODY = 16 * 1024 * 1024
"""Bytes; a larger size in a frame is damage."""


class Kind(IntEnum):
    """What a record says."""

    EVENT = 1
    """One event of the batch ``epoch``/``seq``."""
    ACKED = 2
    """The whole batch ``epoch``/``seq`` is stored elsewhere: forget it."""
    KEPT = 3
    """What is kept under the key that stands in place of the subject; the highest number wins."""
    GONE = 4
    """Nothing is kept under this key any more."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, and where in its segment it lies."""

    kind: int
    epoch: int
    seq: int
    subject: str
    payload: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a stretch of a segment holds."""

    records: Sequence[Record]
    damaged_bytes: int
    """Unreadable bytes with a good record after them: storage has failed."""
    torn_bytes: int
    """Unreadable bytes at the very end: a write that a crash cut short."""


def encode_event(epoch: int, seq: int, subject: bytes, payload: bytes) -> bytes:
    """One event, ready to be appended; ``subject`` is ASCII of at most 255 bytes."""
    return _framed(_BODY.pack(Kind.EVENT, epoch, seq, len(subject)) + subject + payload)


def encode_acked(epoch: int, seq: int) -> bytes:
    """The note that a batch is no longer needed."""
    return _framed(_BODY.pack(Kind.ACKED, epoch, seq, 0))


def encode_kept(epoch: int, seq: int, key: bytes, state: bytes) -> bytes:
    """State to be found after a crash; ``key`` is ASCII of at most 255 bytes."""
    return _framed(_BODY.pack(Kind.KEPT, epoch, seq, len(key)) + key + state)


def encode_gone(epoch: int, seq: int, key: bytes) -> bytes:
    """The note that the state under ``key`` is no longer needed."""
    return _framed(_BODY.pack(Kind.GONE, epoch, seq, len(key)) + key)


def _framed(body: bytes) -> bytes:
    return _FRAME.pack(MAGIC, len(body), zlib.crc32(body)) + body


def scan(data: bytes, *, offset: int = 0) -> Scan:
    """Every good record of ``data``, which begins ``offset`` bytes into its segment."""
    records: list[Record] = []
    damaged = 0
    at = bad_from = 0
    while (at := data.find(MAGIC, at)) >= 0:
        record = _record_at(data, at, offset)
        if record is None:
            at += 1
            continue
        damaged += at - bad_from
        records.append(record)
        at = bad_from = record.end - offset
    return Scan(records, damaged, len(data) - bad_from)


def _record_at(data: bytes, at: int, offset: int) -> Record | None:
    start = at + _FRAME.size
    if start > len(data):
        return None
    _, size, checksum = _FRAME.unpack_from(data, at)
    end = start + size
    if not _BODY.size <= size <= LARGEST_BODY or end > len(data):
        return None
    body = data[start:end]
    if zlib.crc32(body) != checksum:
        return None
    kind, epoch, seq, subject_size = _BODY.unpack_from(body)
    payload_at = _BODY.size + subject_size
    subject = body[_BODY.size : payload_at].decode("ascii", "replace")
    return Record(kind, epoch, seq, subject, body[payload_at:], offset + at, offset + end)


def join_batch(node: str, epoch: int, seq: int, events: Sequence[bytes]) -> bytes:
    """The message of a batch, as :mod:`services.common.events` describes it.

    ``events`` are JSON already, and ``node`` has no character that JSON would escape.
    """
    head = f'{{"node":"{node}","epoch":{epoch},"seq":{seq},"events":['
    return b"".join((head.encode("ascii"), b",".join(events), b"]}"))
