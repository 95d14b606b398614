"""Calls in a file. Implements :class:`services.media.ports.Journal`.

The file is appended to and never synced: it is for the next process on this machine as it runs
now, and what is written outlives the writer. After a reboot it tells nothing of worth, as there
was no audio meanwhile, and it is not read.
"""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from services.common.logs import get_logger
from services.media.core.snapshot import VERSION, SessionState

log = get_logger(__name__)

_HEAD: Final = struct.Struct("<II")
"""Before each entry: its size in bytes, and its checksum."""
LEAST_COMPACTED: Final = 1 << 20
"""Bytes up to which the file may grow, however little of it is live."""
_GARBAGE: Final = 4
"""How often the live bytes may fit into the file before it is written anew."""
RETRY_S: Final = 5.0
"""Between attempts on a disk that is full or broken."""


class _Header(msgspec.Struct, array_like=True, frozen=True):
    version: int
    boot: str


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    call_id: str
    state: SessionState | None
    """``None`` when the call is over."""


_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(_Header).decode
_decode_entry = msgspec.msgpack.Decoder(_Entry).decode


class CallLog:
    """One file, of one process at a time; ``boot`` is which start of the machine this is."""

    def __init__(self, path: Path, *, boot: str, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._header = _Header(VERSION, boot)
        self._monotonic = monotonic
        self._kept: dict[str, bytes] = {}
        self._live_bytes = 0
        self._unwritten: list[bytes] = []
        self._is_open = False
        self._file: int | None = None
        self._size = 0
        self._retry_at = 0.0
        self.failures = 0
        """Attempts to write that failed: while they do, calls do not outlive this process."""

    def open(self) -> dict[str, SessionState]:
        """The calls that the process before this one has left; writes them down anew."""
        found: dict[str, SessionState] = {}
        for entry in self._read():
            if entry.state is None:
                found.pop(entry.call_id, None)
            else:
                found[entry.call_id] = entry.state
        self._is_open = True
        for call_id, state in found.items():
            self.keep(call_id, state)
        self._rewrite()
        return found

    def keep(self, call_id: str, state: SessionState) -> None:
        """See :meth:`services.media.ports.Journal.keep`."""
        frame = _framed(_encode(_Entry(call_id, state)))
        self._live_bytes += len(frame) - len(self._kept.get(call_id, b""))
        self._kept[call_id] = frame
        self._unwritten.append(frame)

    def forget(self, call_id: str) -> None:
        """See :meth:`services.media.ports.Journal.forget`."""
        self._live_bytes -= len(self._kept.pop(call_id, b""))
        self._unwritten.append(_framed(_encode(_Entry(call_id, None))))

    def flush(self) -> None:
        """See :meth:`services.media.ports.Journal.flush`."""
        if not self._is_open or (not self._unwritten and self._file is not None):
            return
        if self._file is None or self._size > max(LEAST_COMPACTED, _GARBAGE * self._live_bytes):
            self._rewrite()
            return
        data = b"".join(self._unwritten)
        self._unwritten.clear()
        try:
            _write(self._file, data)
        except OSError as error:
            self._fail(error)
        else:
            self._size += len(data)

    def close(self, *, is_over: bool) -> None:
        """Leave the file for the next process, or with ``is_over`` nothing."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if is_over and self._is_open:
            with suppress(OSError):
                self._path.unlink()

    def _read(self) -> list[_Entry]:
        """What can be read, up to the first entry that is damaged."""
        entries: list[_Entry] = []
        try:
            data = self._path.read_bytes()
            at = 0
            while at + _HEAD.size <= len(data):
                size, checksum = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                body = data[at : at + size]
                if len(body) < size or crc32(body) != checksum:
                    break
                if at == _HEAD.size:
                    header = _decode_header(body)
                    if header != self._header or not header.boot:
                        break
                else:
                    entries.append(_decode_entry(body))
                at += size
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            log.error("media.calls_unreadable", error=str(error))  # noqa: TRY400 - not our code
        return entries

    def _rewrite(self) -> None:
        """Put a file with the live calls alone in place of the old one."""
        now = self._monotonic()
        if now < self._retry_at:
            self._unwritten.clear()  # all of it is in what will be written
            return
        data = b"".join((_framed(_encode(self._header)), *self._kept.values()))
        fresh = self._path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        file = None
        try:
            file = os.open(fresh, flags, 0o600)
            _write(file, data)
            fresh.replace(self._path)
        except OSError as error:
            if file is not None:
                os.close(file)
            self._fail(error)
            return
        if self._file is not None:
            os.close(self._file)
        self._unwritten.clear()
        self._file, self._size, self._retry_at = file, len(data), 0.0

    def _fail(self, error: OSError) -> None:
        """The file may end in half an entry: nothing is added to it any more."""
        if not self._retry_at:
            log.error("media.calls_unwritable", path=str(self._path), error=str(error))
        self.failures += 1
        self._retry_at = self._monotonic() + RETRY_S
        self._unwritten.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _framed(body: bytes) -> bytes:
    return _HEAD.pack(len(body), crc32(body)) + body


def _write(file: int, data: bytes) -> None:
    written = os.write(file, data)
    if written < len(data):
        raise OSError(f"{written} of {len(data)} bytes written")
