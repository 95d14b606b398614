"""The control side of one worker: starts it, gives it orders, and starts it again if it dies."""

import asyncio
import errno
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
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
    so a new worker carries on with them; it latches anew, and has lost the figures so far.
    """

    def __init__(self, on_active: Callable[[Sequence[int]], None]) -> None:
        self._on_active = on_active
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
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the worker, with all that is held."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for each in (ours, theirs):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
            ours.setblocking(False)
            command = [sys.executable, "-m", "services.media.adapters.relay", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, pass_fds=[theirs.fileno()], cwd=_ROOT, stdin=subprocess.DEVNULL
            )
        self._control = ours
        self._started_at = monotonic()
        asyncio.get_running_loop().add_reader(ours.fileno(), self._on_notes)
        self._opens = list(self._held)
        self._aims = [held.aim for held in self._held.values() if held.aim is not None]
        self._schedule()

    def stop(self) -> None:
        """End the worker and close all sockets."""
        self._hang_up()
        if self._restart_at is not None:
            self._restart_at.cancel()
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
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
            self._flush_without_worker()
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

    def _flush_without_worker(self) -> None:
        """Nobody holds the other copies: closing here is all there is to do."""
        self._opens, self._aims = [], []
        closes, self._closes = self._closes, []
        for ticket, _ in closes:
            self._finish(ticket, {})

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
        process, self._process = self._process, None
        if control is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(control.fileno())
            loop.remove_writer(control.fileno())
            control.close()
        if process is not None:
            # It may have died by itself, or be stuck; it holds nothing worth waiting for.
            process.kill()
            process.wait()
        self._unsent.clear()
        self._is_blocked = False
        tickets = list(self._tickets)
        self._closes = []
        for ticket in tickets:
            self._finish(ticket, {})

    def _on_death(self) -> None:
        self.restarts += 1
        log.error("media.relay_died", endpoints=len(self._held), restarts=self.restarts)
        self._hang_up()
        if monotonic() - self._started_at >= _SHORT_LIFE_S:
            self.start()
            return
        loop = asyncio.get_running_loop()
        self._restart_at = loop.call_later(_RESTART_PAUSE_S, self.start)


def _chunks(items: list[T], size: int) -> Iterable[list[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))
