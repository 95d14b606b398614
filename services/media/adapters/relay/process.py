"""The control side of one worker: finds or starts it, orders it about, starts it again."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from services.common.clock import monotonic
from services.common.logs import get_logger
from services.media.adapters.relay.messages import (
    LARGEST_MESSAGE,
    OPENS_PER_MESSAGE,
    ORDERS_PER_MESSAGE,
    SOCKET_BUFFER,
    Orders,
    encoder,
    notes_decoder,
)
from services.media.adapters.relay.rendezvous import end, find, listen
from services.media.core.exchange import Aim
from services.media.ports import Reports

log = get_logger(__name__)

T = TypeVar("T")

_ROOT: Final = Path(__file__).resolve().parents[4]
_SHORT_LIFE_S: Final = 1.0
"""A worker that lives no longer than this is not started again at once."""
_RESTART_PAUSE_S: Final = 0.5
_DESCRIPTORS_PAUSE_S: Final = 0.01


@dataclass(slots=True)
class _Held:
    rtp: socket.socket
    rtcp: socket.socket
    aim: Aim | None = None


class RelayProcess:
    """One worker process and the sockets it relays between.

    Orders are gathered for one iteration of the loop. Duplicates of all sockets are held here,
    so a new worker carries on with them, and what had to be closed is closed by that one.

    Args:
        folder: where the worker listens, as ``name``.
        on_active: told which endpoints took packets.
        on_started: told whose first packet has come, where it was awaited.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        on_active: Callable[[Sequence[int]], None],
        on_started: Callable[[Sequence[int]], None],
    ) -> None:
        self._folder = folder
        self._name = name
        self._on_active = on_active
        self._on_started = on_started
        self._records = -1
        self._held: dict[int, _Held] = {}
        self._opens: list[int] = []
        self._aims: list[Aim] = []
        self._closes: list[tuple[int, list[int]]] = []
        self._tickets: dict[int, tuple[list[int], Callable[[Reports], None]]] = {}
        self._next_ticket = 0
        self._flush_at: asyncio.Handle | None = None
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._pid: int | None = None
        self._is_blocked = False
        self._started_at = 0.0
        self._restart_at: asyncio.TimerHandle | None = None
        self.restarts = 0

    @property
    def is_running(self) -> bool:
        """Whether there is a worker to give orders to."""
        return self._control is not None

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._pid

    @property
    def held_sockets(self) -> dict[int, socket.socket]:
        """The RTP socket of every endpoint that is open."""
        return {endpoint_id: held.rtp for endpoint_id, held in self._held.items()}

    def start(self, records: int) -> None:
        """Go on with the worker that an earlier process has left, or start one.

        ``records`` is the descriptor of :func:`services.media.adapters.relay.records.open_file`.
        """
        self._records = records
        found = find(self._folder, self._name)
        if found is None:
            self._spawn()
            return
        log.info("media.relay_found", pid=found.pid, endpoints=len(found.sockets))
        self._held = {each: _Held(*pair) for each, pair in found.sockets.items()}
        self._pidfd = found.pidfd
        self._begin(found.control, found.pid)

    def _spawn(self) -> None:
        """Start the worker, with all that is held."""
        self._restart_at = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for each in (ours, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        ours.setblocking(False)
        lent = [theirs.detach(), listen(self._folder, self._name), _supervisor()]
        passed = [*lent, self._records]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "services.media.adapters.relay", *map(str, passed)],
                pass_fds=[each for each in passed if each >= 0],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
            )
        except OSError:
            ours.close()
            raise
        finally:
            for descriptor in lent:
                if descriptor >= 0:
                    os.close(descriptor)
        self._opens = list(self._held)
        self._aims = [held.aim for held in self._held.values() if held.aim is not None]
        self._closes = [(ticket, ids) for ticket, (ids, _) in self._tickets.items()]
        self._begin(ours, self._process.pid)
        self._schedule()

    def _begin(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self._pid = pid
        self._started_at = monotonic()
        asyncio.get_running_loop().add_reader(control.fileno(), self._on_notes)

    def stop(self) -> None:
        """End the worker and close all sockets; what is being closed has no figures any more."""
        self._leave()
        self._end_worker()
        with suppress(OSError):
            (self._folder / self._name).unlink()
        for ticket in list(self._tickets):
            self._finish(ticket, {})
        self._drop_sockets()

    def detach(self) -> None:
        """Leave the worker, relaying, to the next control process."""
        self.flush()
        self._leave()
        self._drop_sockets()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
        if self._pidfd >= 0:
            os.close(self._pidfd)

    def _leave(self) -> None:
        self._hang_up()
        if self._restart_at is not None:
            self._restart_at.cancel()
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None

    def _drop_sockets(self) -> None:
        for held in self._held.values():
            held.rtp.close()
            held.rtcp.close()
        self._held.clear()

    def open(self, endpoint_id: int, rtp: socket.socket, rtcp: socket.socket) -> None:
        """Hand over a bound pair of sockets."""
        self._held[endpoint_id] = _Held(rtp, rtcp)
        self._opens.append(endpoint_id)
        self._schedule()

    def aim(self, aim: Aim) -> None:
        """See :meth:`services.media.ports.Relay.aim`."""
        held = self._held.get(aim.endpoint_id)
        if held is not None:
            held.aim = aim
            self._aims.append(aim)
            self._schedule()

    def close(self, endpoint_ids: Iterable[int], on_closed: Callable[[Reports], None]) -> None:
        """Take sockets back; ``on_closed`` is called once the worker has closed its own."""
        ids = [each for each in endpoint_ids if each in self._held]
        self._next_ticket += 1
        self._tickets[self._next_ticket] = (ids, on_closed)
        self._closes.append((self._next_ticket, ids))
        self._schedule()

    def _schedule(self) -> None:
        if self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send the orders gathered so far."""
        if self._flush_at is None:
            return
        self._flush_at.cancel()
        self._flush_at = None
        if self._control is None:
            # The next worker is told everything.
            self._opens, self._aims, self._closes = [], [], []
            return
        # Opens first, so that an aim finds both of its ends; closes last.
        for opens in _chunks(self._opens, OPENS_PER_MESSAGE):
            held = [self._held[each] for each in opens]
            descriptors = [sock.fileno() for each in held for sock in (each.rtp, each.rtcp)]
            self._post(Orders(opens=opens), descriptors)
        for aims in _chunks(self._aims, ORDERS_PER_MESSAGE):
            self._post(Orders(aims=aims), [])
        for closes in _chunks(self._closes, ORDERS_PER_MESSAGE):
            self._post(Orders(closes=closes), [])
        self._opens, self._aims, self._closes = [], [], []
        self._send()

    def _post(self, orders: Orders, descriptors: list[int]) -> None:
        self._unsent.append((encoder.encode(orders), descriptors))

    def _send(self) -> None:
        control = self._control
        if control is None:
            return
        loop = asyncio.get_running_loop()
        try:
            while self._unsent:
                data, descriptors = self._unsent[0]
                socket.send_fds(control, [data], descriptors)
                self._unsent.popleft()
        except BlockingIOError:
            if not self._is_blocked:
                self._is_blocked = True
                loop.add_writer(control.fileno(), self._send)
            return
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:
                # Too many descriptors on their way (unix(7)): the worker has yet to take them.
                loop.call_later(_DESCRIPTORS_PAUSE_S, self._send)
            else:
                self._on_death()
            return
        if self._is_blocked:
            self._is_blocked = False
            loop.remove_writer(control.fileno())

    def _on_notes(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(LARGEST_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._on_death()
            return
        notes = notes_decoder.decode(data)
        for ticket, reports in notes.closed:
            self._finish(ticket, reports)
        if notes.started:
            self._on_started(notes.started)
        if notes.active:
            self._on_active(notes.active)

    def _finish(self, ticket: int, reports: Reports) -> None:
        endpoint_ids, on_closed = self._tickets.pop(ticket)
        for endpoint_id in endpoint_ids:
            held = self._held.pop(endpoint_id, None)
            if held is not None:
                held.rtp.close()
                held.rtcp.close()
        on_closed(reports)

    def _hang_up(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(control.fileno())
            loop.remove_writer(control.fileno())
            control.close()
        self._unsent.clear()
        self._is_blocked = False

    def _end_worker(self) -> None:
        """It may have died by itself, or be stuck; it holds nothing worth waiting for."""
        process, self._process = self._process, None
        pidfd, self._pidfd = self._pidfd, -1
        self._pid = None
        if process is not None:
            process.kill()
            process.wait()
        elif pidfd >= 0:
            end(pidfd)

    def _on_death(self) -> None:
        self.restarts += 1
        log.error("media.relay_died", endpoints=len(self._held), restarts=self.restarts)
        self._hang_up()
        self._end_worker()
        if monotonic() - self._started_at >= _SHORT_LIFE_S:
            self._restart()
        else:
            self._restart_later()

    def _restart(self) -> None:
        try:
            self._spawn()
        except OSError as error:  # no processes or descriptors left, for now
            log.error("media.relay_not_started", error=str(error))  # noqa: TRY400 - not our code
            self._restart_later()

    def _restart_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._restart_at = loop.call_later(_RESTART_PAUSE_S, self._restart)


def _supervisor() -> int:
    """A pidfd of the process that would start this one again, or -1."""
    try:
        return os.pidfd_open(os.getppid())
    except OSError:  # it is outside of our container
        return -1


def _chunks(items: list[T], size: int) -> Iterable[list[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))
