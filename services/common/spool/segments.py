"""Segment files of one spool folder: blocking calls, made from the spool's own thread."""

import datetime as dt
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.common.clock import UTC
from services.common.spool.batches import Batch
from services.common.spool.records import Kind, Record, Scan, scan

SEGMENT_BYTES = 8 * 1024 * 1024
"""A segment that has grown to this is followed by another."""

_SUFFIX = ".seg"


class FolderInUse(OSError):
    """Another process writes to this spool."""


class Segments:
    """The files ``<number>.seg`` of a folder; one process at a time.

    Raises:
        FolderInUse: when constructed while another process holds the folder.
        OSError: from every method; the disk has failed or is full.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._folder = folder
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise FolderInUse(f"{folder} is in use by another process") from error
        self._damaged: set[int] = set()
        self._last = max(self.numbers(), default=0)
        self._file: int | None = None
        self._size = 0

    def numbers(self) -> list[int]:
        """The segments there are, oldest first."""
        return sorted(
            int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit()
        )

    def last_written_at(self) -> dt.datetime | None:
        """When the newest segment was last written to."""
        numbers = self.numbers()
        if not numbers:
            return None
        return dt.datetime.fromtimestamp(self._path(numbers[-1]).stat().st_mtime, UTC)

    def next_epoch(self, at_least: int) -> int:
        """A number greater than at every earlier start, durable before it is returned."""
        path = self._folder / "epoch"
        try:
            last = int(path.read_text())
        except (FileNotFoundError, ValueError):
            last = 0
        epoch = max(last + 1, at_least)
        fresh = path.with_suffix(".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            os.write(file, str(epoch).encode())
            os.fsync(file)
        finally:
            os.close(file)
        fresh.replace(path)
        self._sync_folder()
        return epoch

    def scan_all(self) -> Iterator[tuple[int, Scan]]:
        """Read every segment, oldest first."""
        for number in self.numbers():
            found = scan(self._path(number).read_bytes())
            if found.damaged_bytes:
                self._damaged.add(number)
            yield number, found

    def append(self, data: bytes) -> tuple[int, int]:
        """Make ``data`` durable; returns its segment and offset.

        After a failure nothing of it is kept, and the next call begins a new segment: what the
        page cache holds of a file whose sync has failed is anybody's guess.
        """
        if self._file is None or self._size >= SEGMENT_BYTES:
            self._begin()
        file, start = self._file, self._size
        assert file is not None
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            os.fdatasync(file)
        except OSError:
            self._abandon(file, start)
            raise
        self._size = start + len(data)
        return self._last, start

    def read(self, batch: Batch) -> list[bytes]:
        """The payloads of ``batch``, in order; fewer than it counts if storage has failed."""
        return [
            record.payload
            for span in batch.spans
            for record in self._read(span.segment, span.start, span.end)
            if record.kind == Kind.EVENT and (record.epoch, record.seq) == batch.key
        ]

    def frames(self, places: Sequence[tuple[int, int, int]]) -> bytes | None:
        """The records at ``(segment, start, end)``, to be written again; ``None`` if they fail."""
        parts: list[bytes] = []
        number, file = 0, -1
        try:
            for segment, start, end in places:
                if segment != number:
                    if file >= 0:
                        os.close(file)
                    number, file = segment, -1
                    file = os.open(self._path(segment), os.O_RDONLY | os.O_CLOEXEC)
                parts.append(os.pread(file, end - start, start))
        except OSError:
            return None
        finally:
            if file >= 0:
                os.close(file)
        is_whole = all(
            len(part) == end - start for part, (_, start, end) in zip(parts, places, strict=True)
        )
        return b"".join(parts) if is_whole else None

    def drop(self, numbers: Sequence[int]) -> None:
        """Delete segments; one with damage is set aside as ``.damaged`` instead."""
        for number in numbers:
            path = self._path(number)
            if number in self._damaged:
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        os.close(self._lock)

    def _read(self, number: int, start: int, end: int) -> Sequence[Record]:
        try:
            file = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return ()
        try:
            return scan(os.pread(file, end - start, start), offset=start).records
        finally:
            os.close(file)

    def _begin(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._last += 1
        self._file = os.open(self._path(self._last), flags, 0o640)
        self._size = 0
        self._sync_folder()

    def _abandon(self, file: int, keep: int) -> None:
        try:
            os.ftruncate(file, keep)
        except OSError:
            # Then the record stays, and comes back as a repetition after a restart.
            pass
        finally:
            self._file = None
            os.close(file)

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}{_SUFFIX}"
