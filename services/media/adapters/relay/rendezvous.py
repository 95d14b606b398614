"""Where a worker and the control processes of its life find one another.

A worker listens on a socket in the folder of its service. When its control process dies, it
relays on, and the next control process connects, and takes back duplicates of all its sockets.
"""

import os
import select
import signal
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from services.common.logs import get_logger
from services.media.adapters.relay.messages import (
    LARGEST_MESSAGE,
    OPENS_PER_MESSAGE,
    PROTOCOL,
    SOCKET_BUFFER,
    Orders,
    encoder,
    notes_decoder,
)

log = get_logger(__name__)

Pair = tuple[socket.socket, socket.socket]
"""RTP and RTCP."""

_PREFIX: Final = "relay-"
_ANSWER_S: Final = 2.0
"""How long a worker may take for an answer; a stuck one is ended."""
_END_S: Final = 2.0
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Found:
    """A worker that an earlier control process has left."""

    control: socket.socket
    pid: int
    pidfd: int
    sockets: dict[int, Pair]
    """Duplicates of what it relays between, by endpoint id."""


def name_of(index: int, workers: int) -> str:
    """The socket of one of several workers.

    One of another version, or of another number of workers, is named otherwise: it is ended.
    """
    return f"{_PREFIX}{PROTOCOL}-{index}-{workers}"


def listen(folder: Path, name: str) -> int:
    """A socket for a new worker, bound; listening is the worker's, whose process it then names.

    Its descriptor, or -1 where the disk has no room for it: the worker then ends with its
    control process.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        try:
            (folder / name).unlink(missing_ok=True)
            with _short(folder, name) as path:
                listener.bind(path)
        except OSError as error:
            log.error("media.relay_hidden", error=str(error))  # noqa: TRY400 - not our code
            return -1
        return listener.detach()


def find(folder: Path, name: str) -> Found | None:
    """The worker that listens there, with all it holds; one that does not answer is ended."""
    reached = _reach(folder, name)
    if reached is None:
        return None
    control, pid, pidfd = reached
    try:
        control.settimeout(_ANSWER_S)
        sockets = _recall(control)
        control.setblocking(False)
    except (OSError, msgspec.DecodeError) as error:
        log.error("media.relay_lost", pid=pid, error=str(error))  # noqa: TRY400 - not our code
        control.close()
        end(pidfd)
        return None
    return Found(control, pid, pidfd, sockets)


def end_others(folder: Path, names: Collection[str]) -> None:
    """End the workers under other ``names``: of another version, or another number of them."""
    for path in folder.glob(f"{_PREFIX}*"):
        if path.name in names:
            continue
        reached = _reach(folder, path.name)
        if reached is not None:
            control, pid, pidfd = reached
            log.warning("media.relay_replaced", pid=pid)
            control.close()
            end(pidfd)
        path.unlink(missing_ok=True)


def end(pidfd: int) -> None:
    """Kill a process, wait until its sockets are free, and close ``pidfd``."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [], _END_S)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def _reach(folder: Path, name: str) -> tuple[socket.socket, int, int] | None:
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    try:
        with _short(folder, name) as path:
            control.connect(path)
        credentials = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = int(_CREDENTIALS.unpack(credentials)[0])
        return control, pid, os.pidfd_open(pid)
    except OSError:
        # Nobody there, or no longer.
        control.close()
        return None


def _recall(control: socket.socket) -> dict[int, Pair]:
    """Ask for all sockets, a message full at a time: so many are allowed on their way at once."""
    found: dict[int, Pair] = {}
    try:
        while True:
            control.send(encoder.encode(Orders(recall=len(found))))
            held, descriptors = _held(control)
            if not held:
                return found
            sockets = [socket.socket(fileno=each) for each in descriptors]
            if len(sockets) != 2 * len(held):
                raise OSError("descriptors were cut off")
            found.update(zip(held, zip(sockets[::2], sockets[1::2], strict=True), strict=True))
    except BaseException:
        for pair in found.values():
            for each in pair:
                each.close()
        raise


def _held(control: socket.socket) -> tuple[list[int], list[int]]:
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, LARGEST_MESSAGE, 2 * OPENS_PER_MESSAGE)
        if not data:
            raise ConnectionResetError("the worker hung up")
        held = notes_decoder.decode(data).held
        if held is not None:
            return held, descriptors


@contextmanager
def _short(folder: Path, name: str) -> Iterator[str]:
    """The path of a socket, within the 107 bytes that one may have."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
