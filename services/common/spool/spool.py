"""Events on their way to JetStream: durable on local disk first, then published in batches.

Appends of a few milliseconds are written and synced together (group commit), in a thread. What
is durable is gathered per subject for some tens of milliseconds and published as one message;
its acknowledgement releases the disk space. With the bus away everything waits on disk.

After a crash, what was durable is published again, in the same batches with the same ids.

Beside events a spool keeps state by key (:meth:`Spool.keep`): written in the same commits, never
published, and handed to the process that opens the folder after a crash.
"""

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

from services.common.clock import utc_now
from services.common.errors import Unavailable
from services.common.events import message_id
from services.common.logs import get_logger
from services.common.spool.batches import Batch, BatchBook
from services.common.spool.kept import KeptBook, Place
from services.common.spool.records import (
    encode_acked,
    encode_event,
    encode_gone,
    encode_kept,
    join_batch,
)
from services.common.spool.segments import Segments
from services.common.spool.thread import DiskThread, Outcome

log = get_logger(__name__)

Publish: TypeAlias = Callable[[str, bytes, str], Awaitable[None]]
"""``(subject, payload, message id)``: returns when stored, raises :class:`Unavailable`."""
OnDurable: TypeAlias = Callable[[bool], None]
State: TypeAlias = bytes | Callable[[], bytes]
"""What is kept, or what makes it when it is written: much is replaced before that."""

COMMIT_SPACING_S = 0.025
"""From the start of one commit to the next at the least; the first after a pause is at once.

A commit costs some 0.4 ms of CPU, half of it in the kernel, however little it writes: closer
together they would be the dearest part of a call at moderate rates. Nobody hears 25 ms between
the called party lifting the receiver and the caller learning of it."""
UNHURRIED_COMMIT_S = 0.025
"""How long events that nobody waits for may stay in memory."""
GATHER_S = 0.1
"""How long a batch takes in events: a message on the bus costs as much as 20 events in it."""
GATHER_BEHIND_S = 1.0
"""The same while the bus does not keep up: fewer, larger batches to hold and to send."""
IN_FLIGHT = 8
"""Batches published at once."""
MOST_HELD_BYTES = 32 * 1024 * 1024
"""Of unpublished events kept in memory; beyond it they are read back from disk."""
MOST_STRANDED_BYTES = 64 * 1024 * 1024
"""Of events that wait in memory for a failed disk; beyond it they are lost, and counted."""
_RETRY_DISK_S = 1.0
_RETRY_BUS_S = (0.1, 2.0)


class _Entry(NamedTuple):
    """An event between append and commit."""

    batch: Batch
    frame: bytes
    payload: bytes
    on_durable: OnDurable | None


class _Write(NamedTuple):
    """What one commit writes, in this order: what is carried, events, state, acks."""

    carried: list[tuple[str, Place]]
    entries: list[_Entry]
    keeping: dict[str, State | None]
    """State by key; ``None`` for a key that is gone."""
    kept: dict[str, tuple[bytes, bool]]
    """The same as frames, and whether the key is gone."""


class Spool:
    """One process's spool. Call :meth:`open`, then keep :meth:`run` running; all on one loop.

    Args:
        folder: of this process alone; created when missing.
        node: its name, the first part of every message id.
        publish: usually :meth:`services.common.bus.Bus.publish`.
    """

    def __init__(self, folder: Path, node: str, publish: Publish) -> None:
        self._folder = folder
        self._node = node
        self._publish = publish
        self._waiting: list[_Entry] = []
        self._acks: list[bytes] = []
        self._keeping: dict[str, State | None] = {}
        self._kept_seq = 0
        self._kept = KeptBook()
        self._numbers: deque[int] = deque()
        self._is_open = False
        self._is_committing = False
        self._segment = 0
        self._commit_at: asyncio.Handle | None = None
        self._commit_due = 0.0
        self._committed_at = 0.0
        self._close_at: asyncio.TimerHandle | None = None
        self._ready: deque[Batch] = deque()
        self._in_flight: set[tuple[int, int]] = set()
        self._bus_takes = asyncio.Event()
        self._bus_takes.set()
        self._work = asyncio.Event()
        self._settled = asyncio.Event()
        self._held_bytes = 0
        self._stranded_bytes = 0
        self.healthy = False
        """Whether the last commit reached the disk. While not, appends fail fast."""
        self.appended = 0
        self.commits = 0
        self.published_batches = 0
        self.published_events = 0
        self.retries = 0
        self.lost = 0
        """Events dropped because the disk had failed for too long."""
        self.left_behind: dict[str, bytes] = {}
        """State an earlier process kept, as :meth:`open` found it; whoever takes it over clears
        this, keeps what it goes on with and forgets the rest."""

    async def open(self) -> None:
        """Take hold of the folder and read what an earlier process left in it.

        Raises:
            FolderInUse: another process has it.
            OSError: the disk does not work.
        """
        self._loop = asyncio.get_running_loop()
        self._thread = DiskThread(self._loop)
        try:
            self._segments = await self._thread.call(partial(Segments, self._folder))
        except OSError:
            self._thread.stop()
            raise
        # Not below the time in seconds: were the folder lost, ids in use must not come back.
        now_s = int(utc_now().timestamp())
        self._left_at = await self._thread.call(self._segments.last_written_at)
        epoch = await self._thread.call(partial(self._segments.next_epoch, now_s))
        self._epoch = epoch
        self._book = BatchBook(epoch)
        found = await self._thread.call(lambda: list(self._segments.scan_all()))
        self._ready.extend(self._book.recover((n, one.records) for n, one in found))
        self.left_behind = self._kept.recover((n, one.records) for n, one in found)
        self._numbers.extend(n for n, _ in found)
        self._tidy()
        self._log_recovery(sum(one.damaged_bytes for _, one in found))
        self.healthy = self._is_open = True
        self._work.set()

    @property
    def epoch(self) -> int:
        """The number of this start."""
        return self._epoch

    @property
    def backlog(self) -> int:
        """Batches that are not acknowledged, whether published or not."""
        return len(self._book.backlog)

    def append(self, subject: str, event_json: bytes, on_durable: OnDurable | None = None) -> None:
        """Take one event; never blocks.

        With ``on_durable`` the event is committed as soon as possible, and the callback is called
        from the loop with ``True`` once it is on disk, or with ``False``: then it was not written
        and will never be published. Without, the event is kept until the disk takes it.
        """
        if on_durable is not None and not self.healthy:
            self._loop.call_soon(on_durable, False)
            return
        now = self._loop.time()
        batch = self._book.assign(subject, len(event_json), now)
        frame = encode_event(self._epoch, batch.seq, subject.encode("ascii"), event_json)
        self._waiting.append(_Entry(batch, frame, event_json, on_durable))
        self.appended += 1
        if not self.healthy:
            self._strand()
        elif not self._is_committing:
            soonest = self._committed_at + COMMIT_SPACING_S
            wish = now if on_durable is not None else now + UNHURRIED_COMMIT_S
            self._commit_by(max(soonest, wish))
        if self._close_at is None:
            self._arm_closing()

    def keep(self, key: str, state: State, *, is_urgent: bool = True) -> None:
        """Keep ``state`` under ``key`` until :meth:`forget`, in place of what was kept before.

        Never blocks. It is on disk no later than any event appended afterwards; without
        ``is_urgent`` it waits for one.
        """
        self._keeping[key] = state
        if is_urgent and self.healthy and not self._is_committing:
            wish = self._loop.time() + UNHURRIED_COMMIT_S
            self._commit_by(max(self._committed_at + COMMIT_SPACING_S, wish))

    def forget(self, key: str) -> None:
        """Keep nothing under ``key`` any more; written with the next commit, whenever that is."""
        self._keeping[key] = None

    @property
    def left_at(self) -> dt.datetime | None:
        """When an earlier process last wrote here."""
        return self._left_at

    async def run(self) -> None:
        """Publish until cancelled."""
        window = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._work.wait()
                if not self._ready:
                    self._work.clear()
                    continue
                await window.acquire()
                batch = self._ready.popleft()
                self._in_flight.add(batch.key)
                tasks.create_task(self._deliver(batch, window))

    async def close(self, *, timeout_s: float = 5.0) -> None:
        """Commit what is in memory, publish what can be within ``timeout_s``, let go.

        Nothing may be appended any more. :meth:`run` has to be running still.
        """
        if not self._is_open:
            return
        self._is_open = False
        for batch in self._book.close_older(float("inf")):
            self._offer(batch)
        self._commit_by(self._loop.time())
        try:
            async with asyncio.timeout(timeout_s):
                while self._waiting or self._keeping or self._is_committing or self._book.backlog:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            log.info("spool.left", batches=self.backlog, uncommitted=len(self._waiting))
        self._disarm()
        await self._thread.call(self._finish)
        self._thread.stop()

    # -- committing --------------------------------------------------------------------------

    def _commit_by(self, at: float) -> None:
        if self._commit_at is not None:
            if self._commit_due <= at:
                return
            self._commit_at.cancel()
        self._commit_due = at
        self._commit_at = self._loop.call_at(at, self._commit)

    def _commit(self) -> None:
        self._commit_at = None
        if self._is_committing:
            return
        entries, self._waiting = self._waiting, []
        acks, self._acks = self._acks, []
        keeping, self._keeping = self._keeping, {}
        if not self.healthy and not acks:
            acks = [encode_acked(self._epoch, 0)]  # something to try the disk with
        if not entries and not acks and not keeping:
            return
        self._is_committing = True
        self._committed_at = self._loop.time()
        kept = {key: self._frame_of(key, state) for key, state in keeping.items()}
        write = _Write(self._burden(), entries, keeping, kept)
        frames = [entry.frame for entry in entries]
        frames += [frame for frame, _ in kept.values()]
        work = partial(self._append, write.carried, b"".join(frames + acks))
        self._thread.submit(work, partial(self._on_committed, write))

    def _frame_of(self, key: str, state: State | None) -> tuple[bytes, bool]:
        self._kept_seq += 1
        if state is None:
            return encode_gone(self._epoch, self._kept_seq, key.encode("ascii")), True
        data = state() if callable(state) else state
        return encode_kept(self._epoch, self._kept_seq, key.encode("ascii"), data), False

    def _burden(self) -> list[tuple[str, Place]]:
        oldest = self._numbers[0] if self._numbers else 0
        if not oldest or self._book.is_needed(oldest):
            return []
        return self._kept.burden(oldest, self._segment)

    def _append(self, carried: list[tuple[str, Place]], data: bytes) -> tuple[int, int, bool]:
        """In the thread: segment, offset, and whether ``carried`` stands before ``data``."""
        again = self._segments.frames([place for _, place in carried]) if carried else None
        return (*self._segments.append(data if again is None else again + data), again is not None)

    def _on_committed(self, write: _Write, written: Outcome[tuple[int, int, bool]]) -> None:
        self._is_committing = False
        self._settled.set()
        entries = write.entries
        try:
            segment, at, has_carried = written.get()
        except OSError as error:
            self._keeping = {**write.keeping, **self._keeping}
            self._on_disk_failed(entries, error)
            return
        self._on_disk_works()
        self.commits += 1
        if segment != self._segment:
            self._segment = segment
            self._numbers.append(segment)
        if has_carried:
            at = self._kept.carried(write.carried, segment, at)
        for batch, frame, payload, _ in entries:
            end = at + len(frame)
            self._book.stored(batch, segment, at, end)
            self._hold(batch, payload)
            at = end
        self._kept.written(write.kept, segment, at)
        for entry in entries:
            if entry.on_durable is not None:
                self._loop.call_soon(entry.on_durable, True)
            if entry.batch.is_complete:
                self._offer(entry.batch)
        self._tidy()
        if self._waiting or self._keeping:
            is_urgent = any(entry.on_durable is not None for entry in self._waiting)
            spacing_s = COMMIT_SPACING_S if is_urgent else UNHURRIED_COMMIT_S
            self._commit_by(self._committed_at + spacing_s)

    def _hold(self, batch: Batch, payload: bytes) -> None:
        if batch.events is None:
            return
        self._held_bytes += len(payload)
        batch.events.append(payload)
        if self._held_bytes > MOST_HELD_BYTES:
            self._let_go(batch)

    def _let_go(self, batch: Batch) -> None:
        if batch.events is not None:
            self._held_bytes -= sum(map(len, batch.events))
            batch.events = None

    def _on_disk_failed(self, entries: list[_Entry], error: OSError) -> None:
        was_healthy, self.healthy = self.healthy, False
        kept = [entry for entry in entries if entry.on_durable is None]
        refused = [entry for entry in entries + self._waiting if entry.on_durable is not None]
        self._waiting = kept + [entry for entry in self._waiting if entry.on_durable is None]
        self._stranded_bytes = sum(len(entry.frame) for entry in self._waiting)
        for entry in refused:
            self._book.given_up(entry.batch, len(entry.payload))
            self._offer(entry.batch)
        for entry in refused:
            if entry.on_durable is not None:
                self._loop.call_soon(entry.on_durable, False)
        self._commit_by(self._loop.time() + _RETRY_DISK_S)
        if was_healthy:  # told last: where the disk is full, the log may be as well
            log.error("spool.disk_failed", folder=str(self._folder), error=str(error))

    def _on_disk_works(self) -> None:
        if not self.healthy:
            log.warning("spool.disk_works", folder=str(self._folder), lost=self.lost)
        self.healthy = True
        self._stranded_bytes = 0

    def _strand(self) -> None:
        self._stranded_bytes += len(self._waiting[-1].frame)
        if self._stranded_bytes > MOST_STRANDED_BYTES:
            entry = self._waiting.pop()
            self._stranded_bytes -= len(entry.frame)
            self._book.given_up(entry.batch, len(entry.payload))
            self.lost += 1

    # -- publishing --------------------------------------------------------------------------

    def _arm_closing(self) -> None:
        opened_at = self._book.oldest_open_at()
        if opened_at is not None:
            self._close_at = self._loop.call_at(opened_at + self._gather_s(), self._close_due)

    def _gather_s(self) -> float:
        return GATHER_S if len(self._ready) <= IN_FLIGHT else GATHER_BEHIND_S

    def _close_due(self) -> None:
        self._close_at = None
        # The loop's clock ticks in milliseconds: half a tick makes "due" unambiguous.
        for batch in self._book.close_older(self._loop.time() - self._gather_s() + 0.0005):
            self._offer(batch)
        self._arm_closing()

    def _offer(self, batch: Batch) -> None:
        if not batch.is_complete or batch.is_offered:
            return
        batch.is_offered = True
        if not batch.count:
            self._book.forget(batch)
            return
        self._ready.append(batch)
        self._work.set()

    async def _deliver(self, batch: Batch, window: asyncio.Semaphore) -> None:
        try:
            events = batch.events
            if events is None:
                events = await self._read(batch)
            if len(events) < batch.count:
                log.error("spool.unreadable", batch=batch.key, lost=batch.count - len(events))
                self.lost += batch.count - len(events)
            payload = join_batch(self._node, batch.epoch, batch.seq, events)
            await self._publish_until_stored(batch, payload)
            self._on_stored(batch)
        finally:
            self._in_flight.discard(batch.key)
            window.release()

    async def _read(self, batch: Batch) -> list[bytes]:
        while True:
            try:
                return await self._thread.call(partial(self._segments.read, batch))
            except OSError as error:
                log.error("spool.read_failed", error=str(error))  # noqa: TRY400 - the disk's
                await asyncio.sleep(_RETRY_DISK_S)

    async def _publish_until_stored(self, batch: Batch, payload: bytes) -> None:
        pause_s, longest_s = _RETRY_BUS_S
        msg_id = message_id(self._node, batch.epoch, batch.seq)
        while True:
            # While the bus refuses, only the oldest batch knocks: the others follow in order.
            if not self._bus_takes.is_set() and batch.key != min(self._in_flight):
                await self._bus_takes.wait()
            try:
                await self._publish(batch.subject, payload, msg_id)
            except Unavailable:
                self.retries += 1
                self._bus_takes.clear()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, longest_s)
            else:
                self._bus_takes.set()
                return

    def _on_stored(self, batch: Batch) -> None:
        self.published_batches += 1
        self.published_events += batch.count
        self._let_go(batch)
        # Written with the next commit, whenever that is: without it, a restart repeats the batch.
        self._acks.append(encode_acked(batch.epoch, batch.seq))
        self._book.forget(batch)
        self._tidy()
        self._settled.set()

    # -- the folder --------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Delete segments nobody needs, the oldest first.

        Never one from the middle: its notes say what of the older ones does not count any more.
        """
        numbers, free = self._numbers, []
        while numbers and numbers[0] != self._segment and not self._is_needed(numbers[0]):
            free.append(numbers.popleft())
        if free:
            self._thread.submit(partial(self._segments.drop, free), self._on_dropped)

    def _is_needed(self, segment: int) -> bool:
        return self._book.is_needed(segment) or self._kept.is_needed(segment)

    def _on_dropped(self, dropped: Outcome[None]) -> None:
        try:
            dropped.get()
        except OSError as error:
            log.warning("spool.not_tidied", error=str(error))

    def _finish(self) -> None:
        numbers = self._segments.numbers()
        oldest = next((n for n in numbers if self._is_needed(n)), None)
        try:
            if self._acks and self._book.backlog:
                self._segments.append(b"".join(self._acks))
            self._segments.drop([n for n in numbers if oldest is None or n < oldest])
        except OSError as error:
            log.warning("spool.not_tidied", error=str(error))
        self._segments.close()

    def _disarm(self) -> None:
        for timer in (self._commit_at, self._close_at):
            if timer is not None:
                timer.cancel()
        self._commit_at = self._close_at = None

    def _log_recovery(self, damaged_bytes: int) -> None:
        if damaged_bytes:
            log.error("spool.damaged", folder=str(self._folder), damaged_bytes=damaged_bytes)
        if self._ready:
            events = sum(batch.count for batch in self._ready)
            log.info("spool.recovered", batches=len(self._ready), events=events)
