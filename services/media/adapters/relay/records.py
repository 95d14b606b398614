"""What every endpoint has learned and counted, in memory that outlives its worker.

One file mapped by all workers, with a place for every pair of ports there is: whoever opens the
endpoint that was there last goes on with its figures and the sources it had latched to. Written
where the kernel keeps it, so ``kill -9`` of every process of ours loses none of it.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from services.common.logs import get_logger
from services.media.core.latch import Address
from services.media.core.reception import Counted

log = get_logger(__name__)

VERSION: Final = 1
"""Of the layout below; part of the file's name."""
_FIGURES: Final = struct.Struct("<8q")
"""Those of :class:`Counted`, and the refused packets."""
_SOURCES: Final = struct.Struct("<46sH46sH")
"""Of RTP and of RTCP: the host as text, and the port; all zero while there is none."""
_ID: Final = struct.Struct("<Q")
_SOURCES_AT: Final = _ID.size
_FIGURES_AT: Final = _SOURCES_AT + _SOURCES.size
_SIZE: Final = _FIGURES_AT + _FIGURES.size
_PAIRS: Final = 1 << 15
"""Of ports, in one address family."""
_NO_SOURCE: Final[Address] = ("", 0)


class Kept(NamedTuple):
    """What an endpoint had come to."""

    rtp: Address | None
    rtcp: Address | None
    counted: Counted
    refused: int


class Record:
    """The place of one endpoint."""

    __slots__ = ("_at", "_memory")

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory = memory
        self._at = at

    def take(self, endpoint_id: int) -> Kept | None:
        """Own the place; what the same endpoint had come to in a worker before this one."""
        memory, at = self._memory, self._at
        (owner,) = _ID.unpack_from(memory, at)
        if owner == endpoint_id:
            return self.read()
        memory[at : at + _SIZE] = bytes(_SIZE)
        _ID.pack_into(memory, at, endpoint_id)
        return None

    def read(self) -> Kept:
        """What is written there."""
        memory, at = self._memory, self._at
        rtp_host, rtp_port, rtcp_host, rtcp_port = _SOURCES.unpack_from(memory, at + _SOURCES_AT)
        *figures, refused = _FIGURES.unpack_from(memory, at + _FIGURES_AT)
        return Kept(
            _address(rtp_host, rtp_port),
            _address(rtcp_host, rtcp_port),
            Counted(*figures) if figures[0] else Counted(),
            refused,
        )

    def latch(self, rtp: Address | None, rtcp: Address | None) -> None:
        """Remember the sources that packets are taken from."""
        (rtp_host, rtp_port), (rtcp_host, rtcp_port) = rtp or _NO_SOURCE, rtcp or _NO_SOURCE
        _SOURCES.pack_into(
            self._memory,
            self._at + _SOURCES_AT,
            rtp_host.encode(),
            rtp_port,
            rtcp_host.encode(),
            rtcp_port,
        )

    def count(self, counted: Counted, refused: int) -> None:
        """Remember the figures so far."""
        _FIGURES.pack_into(self._memory, self._at + _FIGURES_AT, *counted, refused)

    def leave(self) -> None:
        """The endpoint is closed."""
        _ID.pack_into(self._memory, self._at, 0)


class Records:
    """All places; in memory of this process alone when there is no file."""

    def __init__(self, descriptor: int) -> None:
        size = 2 * _PAIRS * _SIZE
        self._memory = mmap.mmap(descriptor, size)

    def of(self, port: int, *, is_v6: bool) -> Record:
        """The place of a pair of ports; ``port`` is the even one."""
        pair = (port >> 1) + (_PAIRS if is_v6 else 0)
        return Record(self._memory, pair * _SIZE)


def open_file(folder: Path) -> int:
    """The descriptor of the file, or -1 where the disk has no room for it.

    All of it is allocated at once: a page that the disk has no room for later would kill whoever
    writes to it.
    """
    path = folder / f"endpoints.{VERSION}"
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(descriptor, 0, 2 * _PAIRS * _SIZE)
    except OSError as error:
        log.error("media.records_unavailable", path=str(path), error=str(error))  # noqa: TRY400
        if descriptor >= 0:
            os.close(descriptor)
        return -1
    return descriptor


def _address(host: bytes, port: int) -> Address | None:
    text = host.rstrip(b"\0").decode("ascii", "replace")
    return (text, port) if text else None
