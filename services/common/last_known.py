"""The last configuration a service took, in a file: what it starts from while Postgres is away.

A file is one line that says what it is, what it holds, and a digest of both::

    tandem-configuration 1 signaling 5f2c7e0b 812 1764105375000000 7
    .......<32 bytes>

which are the layout of the file, the service, the shape of what is held, the revision, when it
was written (microseconds since 1970) and the length. A file that is cut short, altered in any
bit, of another service or of another shape is as good as none: it is refused, never guessed at.
"""

import asyncio
import datetime as dt
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from services.common.clock import UTC, utc_now
from services.common.errors import SwitchError
from services.common.logs import get_logger

log = get_logger(__name__)

LAST_KNOWN: Final = Path("last-known") / "configuration"
"""Where it is in the folder of a service; what goes beside it is in the same folder."""

_MAGIC: Final = "tandem-configuration"
_LAYOUT: Final = 1
_LONGEST_HEAD: Final = 300
_DIGEST_BYTES: Final = 32
_PIECE_BYTES: Final = 1024 * 1024
_SYNC_BYTES: Final = 4 * _PIECE_BYTES
"""So much at most waits to be written: others who sync the same disk wait for it too."""
_SHAPE_DIGITS: Final = 16
_MODE: Final = 0o600
"""Passwords of trunks are in it."""


class Unusable(SwitchError):
    """A file is not, or no longer, what would be written today."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class LastKnown:
    """A configuration as it was written down."""

    revision: int
    written_at: dt.datetime
    payload: bytes


def shape_of(*texts: str) -> str:
    """A name for the shape of a payload that follows from ``texts``: it changes with any."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:_SHAPE_DIGITS]


def seal(kind: str, shape: str, known: LastKnown) -> bytes:
    """The file of ``known``. ``kind`` and ``shape`` are words without blanks."""
    at_us = (known.written_at - _EPOCH) // _MICROSECOND
    words = (_MAGIC, _LAYOUT, kind, shape, known.revision, at_us, len(known.payload))
    text = " ".join(map(str, words)).encode("ascii") + b"\n" + known.payload
    return text + hashlib.sha256(text).digest()


def unseal(kind: str, shape: str, file: bytes) -> LastKnown:
    """What a file of this kind and shape holds.

    Raises:
        Unusable: it is another's, of another version, cut short or damaged.
    """
    head, newline, _ = file[:_LONGEST_HEAD].partition(b"\n")
    words = head.decode("ascii", "replace").split(" ")
    if not newline or words[0] != _MAGIC:
        raise Unusable("it is no configuration")
    if words[1:4] != [str(_LAYOUT), kind, shape]:
        raise Unusable("another version wrote it, or another service")
    text, digest = file[:-_DIGEST_BYTES], file[-_DIGEST_BYTES:]
    if len(text) <= len(head) or hashlib.sha256(text).digest() != digest:
        raise Unusable("it is damaged")
    revision, at_us, length = map(int, words[4:])  # as written: the digest says so
    payload = text[len(head) + 1 :]
    assert len(payload) == length
    return LastKnown(revision, _EPOCH + dt.timedelta(microseconds=at_us), payload)


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def replace_file(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Put a file of these pieces where there was another, or none, all of it or nothing.

    Readable by its owner alone. Blocks; large ones are synced as they are written.

    Raises:
        OSError: the disk is full, or the folder is not ours; the old file is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        unsynced = 0
        for piece in pieces:
            for part in _parts(piece):
                unsynced += _write(file, part)
                if unsynced >= _SYNC_BYTES:
                    os.fdatasync(file)
                    unsynced = 0
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parts(piece: bytes | memoryview) -> Iterable[memoryview]:
    view = memoryview(piece).cast("B")
    return (view[at : at + _PIECE_BYTES] for at in range(0, len(view), _PIECE_BYTES))


def _write(file: int, part: memoryview) -> int:
    rest = part
    while rest:
        rest = rest[os.write(file, rest) :]
    return len(part)


class Keeper(Protocol):
    """Turns a service's configuration into a payload and back; called in a thread."""

    shape: str
    """Of its payloads, see :func:`shape_of`."""

    def write(self) -> bytes:
        """The configuration taken last.

        Raises:
            OSError: what goes beside the file cannot be written.
        """

    def sweep(self) -> None:
        """The payload is in the file: what only the one before it needed may go."""

    def read(self, payload: bytes) -> Callable[[], None]:
        """Understand a payload; what is returned puts it into force, and is called on the loop.

        Raises:
            OSError: what goes beside the file is gone.
            Unusable: it makes no sense after all.
        """


@dataclass(frozen=True, slots=True)
class Found:
    """What a service can begin with."""

    revision: int
    confirmed_at: dt.datetime
    """When it was last known to be the newest."""
    put_into_force: Callable[[], None]
    """May raise anything."""

    def take(self) -> bool:
        """Put it into force; whether that went well."""
        try:
            self.put_into_force()
        except Exception:
            log.exception("config.unusable")
            return False
        return True


class LastKnownFile:
    """The file of one service. Its time of change says when it was last known to be the newest.

    ``kind`` names the service.
    """

    def __init__(self, path: Path, kind: str, keeper: Keeper) -> None:
        self._path = path
        self._kind = kind
        self._keeper = keeper
        self._has_failed = False
        self._kept: int | None = None

    async def keep(self, revision: int) -> None:
        """Write down what was taken last, or note that what is kept is still the newest.

        As well as the disk allows: what could not be kept is, the next time. Nothing ends for it.
        """
        try:
            if revision == self._kept:
                await asyncio.to_thread(os.utime, self._path)
            else:
                await asyncio.to_thread(self._write, revision)
        except OSError as error:
            if not self._has_failed:
                log.warning("config.not_kept", path=str(self._path), error=str(error))
            self._has_failed, self._kept = True, None
        except Exception:
            log.exception("config.not_kept", path=str(self._path))
            self._kept = None
        else:
            self._has_failed, self._kept = False, revision

    async def find(self) -> Found | None:
        """What was written down; ``None`` when there is nothing of use."""
        try:
            return await asyncio.to_thread(self._read)
        except FileNotFoundError as error:
            log.warning("config.none_kept", path=str(error.filename))
        except (OSError, Unusable) as error:
            log.warning("config.unusable", path=str(self._path), reason=str(error))
        except Exception:
            # Better to wait for Postgres than to end at every start until the file is removed.
            log.exception("config.unusable", path=str(self._path))
        return None

    def _write(self, revision: int) -> None:
        known = LastKnown(revision, utc_now(), self._keeper.write())
        replace_file(self._path, [seal(self._kind, self._keeper.shape, known)])
        self._keeper.sweep()

    def _read(self) -> Found:
        known = unseal(self._kind, self._keeper.shape, self._path.read_bytes())
        confirmed_at = dt.datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
        return Found(known.revision, confirmed_at, self._keeper.read(known.payload))
