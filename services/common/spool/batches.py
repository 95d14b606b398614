"""Which events travel together, and which segments are still needed: pure bookkeeping.

A batch is numbered when its first event is appended and closed a little later; from then on it
never changes. It is published once every event in it is durable.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.common.spool.records import Kind, Record

MOST_EVENTS = 512
MOST_BYTES = 256 * 1024
"""Payload of one batch; a single event may be larger. NATS takes 1 MiB in one message."""


@dataclass(slots=True)
class Span:
    """A stretch of one segment that holds (among others) the events of one batch."""

    segment: int
    start: int
    end: int


class Batch:
    """Events of one subject that are published as one message."""

    __slots__ = (
        "count",
        "epoch",
        "events",
        "is_closed",
        "is_offered",
        "opened_at",
        "seq",
        "size_bytes",
        "spans",
        "subject",
        "undecided",
    )

    def __init__(self, epoch: int, seq: int, subject: str, opened_at: float) -> None:
        self.epoch = epoch
        self.seq = seq
        self.subject = subject
        self.opened_at = opened_at
        self.is_closed = False
        self.is_offered = False
        """Whether it has been handed to the publisher."""
        self.events: list[bytes] | None = []
        """In order; ``None`` when they have to be read from disk."""
        self.size_bytes = 0
        """Of the events assigned to it."""
        self.count = 0
        """Durable events."""
        self.undecided = 0
        """Events assigned to it that are neither durable nor given up."""
        self.spans: list[Span] = []

    @property
    def key(self) -> tuple[int, int]:
        """Unique in one node's spool; batches sort by it in order of age."""
        return self.epoch, self.seq

    @property
    def is_complete(self) -> bool:
        """Whether its content can no longer change."""
        return self.is_closed and not self.undecided

    def store(self, segment: int, start: int, end: int) -> None:
        """Note where one more of its events lies."""
        self.count += 1
        last = self.spans[-1] if self.spans else None
        if last is not None and last.segment == segment:
            last.end = end
        else:
            self.spans.append(Span(segment, start, end))


class BatchBook:
    """All batches of a spool that are not acknowledged yet.

    Args:
        epoch: of this start of the process.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._next_seq = 0
        self._open: dict[str, Batch] = {}
        self._needed: dict[int, set[tuple[int, int]]] = {}
        """Segments, each with the batches that keep it."""
        self.backlog: dict[tuple[int, int], Batch] = {}
        """Every batch with a number and without an ack, the open ones too."""

    def assign(self, subject: str, size_bytes: int, now: float) -> Batch:
        """The batch that one more event belongs to; see :attr:`Batch.undecided`."""
        batch = self._open.get(subject)
        if batch is not None and batch.size_bytes + size_bytes > MOST_BYTES:
            self.close(batch)
            batch = None
        if batch is None:
            self._next_seq += 1
            batch = Batch(self._epoch, self._next_seq, subject, now)
            self._open[subject] = self.backlog[batch.key] = batch
        batch.undecided += 1
        batch.size_bytes += size_bytes
        if batch.undecided + batch.count >= MOST_EVENTS:
            self.close(batch)
        return batch

    def close(self, batch: Batch) -> None:
        """Let no further event into it."""
        batch.is_closed = True
        if self._open.get(batch.subject) is batch:
            del self._open[batch.subject]

    def close_older(self, opened_until: float) -> list[Batch]:
        """Close the batches opened at or before ``opened_until``, and return them."""
        due = [batch for batch in self._open.values() if batch.opened_at <= opened_until]
        for batch in due:
            self.close(batch)
        return due

    def oldest_open_at(self) -> float | None:
        """When the oldest batch that is still open was opened."""
        return min((batch.opened_at for batch in self._open.values()), default=None)

    def stored(self, batch: Batch, segment: int, start: int, end: int) -> None:
        """One of its events is durable."""
        batch.undecided -= 1
        batch.store(segment, start, end)
        self._needed.setdefault(segment, set()).add(batch.key)

    def given_up(self, batch: Batch, size_bytes: int) -> None:
        """One of its events will never be durable."""
        batch.undecided -= 1
        batch.size_bytes -= size_bytes

    def forget(self, batch: Batch) -> list[int]:
        """Drop an acknowledged or empty batch; returns the segments nobody needs any more."""
        self.backlog.pop(batch.key, None)
        freed: list[int] = []
        for segment in {span.segment for span in batch.spans}:
            keepers = self._needed[segment]
            keepers.discard(batch.key)
            if not keepers:
                del self._needed[segment]
                freed.append(segment)
        return freed

    def recover(self, segments: Iterable[tuple[int, Iterable[Record]]]) -> list[Batch]:
        """Take in what an earlier process left; returns its unacknowledged batches by age."""
        acked: set[tuple[int, int]] = set()
        found: dict[tuple[int, int], Batch] = {}
        for segment, records in segments:
            for record in records:
                key = (record.epoch, record.seq)
                if record.kind == Kind.ACKED:
                    acked.add(key)
                elif record.kind == Kind.EVENT:
                    batch = found.get(key)
                    if batch is None:
                        batch = found[key] = Batch(record.epoch, record.seq, record.subject, 0.0)
                        batch.is_closed = batch.is_offered = True
                        batch.events = None
                    batch.store(segment, record.start, record.end)
                    batch.size_bytes += len(record.payload)
        left = [found[key] for key in sorted(found.keys() - acked)]
        for batch in left:
            self.backlog[batch.key] = batch
            for span in batch.spans:
                self._needed.setdefault(span.segment, set()).add(batch.key)
        return left

    def is_needed(self, segment: int) -> bool:
        """Whether a segment holds an event without an ack."""
        return segment in self._needed
