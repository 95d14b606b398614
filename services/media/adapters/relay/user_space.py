"""Port pairs opened on request and spread over worker processes."""

import fcntl
import os
import random
import resource
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from services.common.clock import monotonic
from services.common.logs import get_logger
from services.media.adapters.relay.process import RelayProcess
from services.media.adapters.relay.records import open_file
from services.media.adapters.relay.rendezvous import end_others, name_of
from services.media.core.exchange import Aim, Endpoint
from services.media.core.port_pool import NoRtpPorts, PortPool
from services.media.core.sdp import Family
from services.media.ports import Reports

_BIND_ATTEMPTS: Final = 32
"""Ports held by other programs that are passed over before giving up."""
_PER_PAIR: Final = 3
"""Descriptors a worker needs for one pair: RTP, RTCP, and the guard that collects strangers."""
_OTHER_DESCRIPTORS: Final = 200

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Interface:
    """An address with a range of ports, and the address peers are told."""

    family: Family
    host: str
    low: int
    high: int
    advertised: str
    dscp: int = 0
    """Class of service in packets sent (RFC 2474)."""


class UserSpaceRelay:
    """Implements :class:`services.media.ports.Relay` with epoll workers.

    Args:
        interfaces: one per address family at most.
        folder: where workers are found again, and have their records: of this process alone.
        on_active: told twice a second which endpoints took packets.
        on_started: told at once whose first packet has come, where it was awaited.
        rest_s: how long a port rests between two calls.
    """

    def __init__(
        self,
        interfaces: Sequence[Interface],
        folder: Path,
        on_active: Callable[[Sequence[int]], None],
        on_started: Callable[[Sequence[int]], None],
        *,
        workers: int = 1,
        rest_s: float = 0.5,
    ) -> None:
        shuffle = random.SystemRandom().shuffle
        self._interfaces = {each.family: each for each in interfaces}
        self._pools = {
            each.family: PortPool(each.low, each.high, rest_s=rest_s, shuffle=shuffle)
            for each in interfaces
        }
        self._folder = folder
        self._names = [name_of(index, workers) for index in range(workers)]
        self._workers = [RelayProcess(folder, each, on_active, on_started) for each in self._names]
        # Unlike any of an earlier process: they name sockets and records of it that may be left.
        self._next_id = time.time_ns() // 1_000
        self._restored_ports: dict[Family, list[int]] = {each: [] for each in self._pools}
        self._left: dict[int, tuple[socket.socket, RelayProcess]] = {}
        """RTP sockets that workers were found with, and that nobody has restored."""
        self._opened: dict[int, tuple[Endpoint, RelayProcess]] = {}
        self._records = self._lock = -1
        self.passed_over = 0
        """Ports that another program held."""

    @property
    def is_running(self) -> bool:
        """Whether every worker is there."""
        return all(worker.is_running for worker in self._workers)

    @property
    def open_endpoints(self) -> int:
        """Port pairs in use."""
        return len(self._opened)

    @property
    def free_ports(self) -> int:
        """Port pairs not in use, those at rest included."""
        return sum(pool.free for pool in self._pools.values())

    @property
    def restarts(self) -> int:
        """Workers that died and were started again."""
        return sum(worker.restarts for worker in self._workers)

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def start(self) -> None:
        """Find the workers that an earlier process has left, or start them.

        Raises:
            OSError: the folder is another process's, or no worker started.
        """
        _allow_descriptors(_PER_PAIR * sum(pool.size for pool in self._pools.values()))
        self._lock = _lock(self._folder)
        end_others(self._folder, self._names)
        self._records = open_file(self._folder)
        for worker in self._workers:
            worker.start(self._records)
            for endpoint_id, sock in worker.held_sockets.items():
                self._left[endpoint_id] = sock, worker

    def stop(self) -> None:
        """End the workers and close everything."""
        for worker in self._workers:
            worker.stop()
        self._forget()

    def detach(self) -> None:
        """Leave the workers, relaying, to the next process on this folder."""
        for worker in self._workers:
            worker.detach()
        self._forget()

    def _forget(self) -> None:
        self._opened.clear()
        for descriptor in (self._records, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._records = self._lock = -1

    def open(self, family: Family, call_id: str) -> Endpoint:
        """See :meth:`services.media.ports.Relay.open`."""
        interface = self._interfaces.get(family) or next(iter(self._interfaces.values()))
        port, rtp, rtcp = self._bind(interface)
        worker = self._home(call_id)
        self._next_id += 1
        endpoint = Endpoint(self._next_id, interface.family, interface.advertised, port)
        self._opened[endpoint.id] = (endpoint, worker)
        worker.open(endpoint.id, rtp, rtcp)
        return endpoint

    def restore(self, endpoint: Endpoint, call_id: str) -> bool:
        """See :meth:`services.media.ports.Relay.restore`."""
        interface = self._interfaces.get(endpoint.family)
        if interface is None or interface.advertised != endpoint.host:
            return False
        worker = self._home(call_id)
        if self._left.pop(endpoint.id, None) is None:
            pair = _bind_pair(interface, endpoint.port)
            if pair is None:
                return False
            worker.open(endpoint.id, *pair)
        self._own(endpoint, worker)
        return True

    def begin(self) -> None:
        """See :meth:`services.media.ports.Relay.begin`."""
        for endpoint_id, (sock, worker) in self._left.items():
            endpoint = Endpoint(endpoint_id, _family_of(sock), "", sock.getsockname()[1])
            self._own(endpoint, worker)
            self.close([endpoint_id], lambda _reports: None)
        self._left.clear()
        for family, ports in self._restored_ports.items():
            self._pools[family].claim(ports)
            ports.clear()

    def _own(self, endpoint: Endpoint, worker: RelayProcess) -> None:
        self._opened[endpoint.id] = (endpoint, worker)
        self._next_id = max(self._next_id, endpoint.id)
        ports = self._restored_ports.get(endpoint.family)
        if ports is not None:
            ports.append(endpoint.port)

    def _home(self, call_id: str) -> RelayProcess:
        # A worker relays only between its own sockets, so a call stays with one.
        return self._workers[crc32(call_id.encode()) % len(self._workers)]

    def aim(self, aim: Aim) -> None:
        """See :meth:`services.media.ports.Relay.aim`."""
        opened = self._opened.get(aim.endpoint_id)
        if opened is not None:
            opened[1].aim(aim)

    def close(self, endpoint_ids: Iterable[int], on_closed: Callable[[Reports], None]) -> None:
        """See :meth:`services.media.ports.Relay.close`."""
        opened = [self._opened.pop(each) for each in endpoint_ids if each in self._opened]
        if not opened:
            on_closed({})
            return

        def give_back(reports: Reports) -> None:
            now = monotonic()
            for endpoint, _ in opened:
                pool = self._pools.get(endpoint.family)
                if pool is not None:
                    pool.give_back(endpoint.port, now)
            on_closed(reports)

        # One call's endpoints are all with one worker.
        opened[0][1].close([endpoint.id for endpoint, _ in opened], give_back)

    def flush(self) -> None:
        """See :meth:`services.media.ports.Relay.flush`."""
        for worker in self._workers:
            worker.flush()

    def _bind(self, interface: Interface) -> tuple[int, socket.socket, socket.socket]:
        pool = self._pools[interface.family]
        for _ in range(_BIND_ATTEMPTS):
            now = monotonic()
            port = pool.take(now)
            pair = _bind_pair(interface, port)
            if pair is not None:
                return port, *pair
            self.passed_over += 1
            pool.give_back(port, now)
        raise NoRtpPorts


def _lock(folder: Path) -> int:
    """Keep other processes off a folder as long as the descriptor is open.

    Without room on the disk for the folder it is -1: nothing can be left there anyway.

    Raises:
        BlockingIOError: another process is on it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "media.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.error("media.folder_unusable", error=str(error))  # noqa: TRY400 - not our code
        return -1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _allow_descriptors(wanted: int) -> None:
    """Raise the soft limit as far as it may go; workers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted += _OTHER_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("media.descriptors_scarce", wanted=wanted, allowed=allowed)


def _bind_pair(interface: Interface, port: int) -> tuple[socket.socket, socket.socket] | None:
    bound: list[socket.socket] = []
    for each in (port, port + 1):
        sock = _socket(interface)
        if sock is None:
            break
        bound.append(sock)
        try:
            sock.bind((interface.host, each))
        except OSError:
            break
    else:
        return bound[0], bound[1]
    for sock in bound:
        sock.close()
    return None


def _family_of(sock: socket.socket) -> Family:
    return Family.IP6 if sock.family == socket.AF_INET6 else Family.IP4


def _socket(interface: Interface) -> socket.socket | None:
    is_v6 = interface.family is Family.IP6
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    try:
        sock = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, kind)
    except OSError:  # no descriptors left
        return None
    if is_v6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if interface.dscp and is_v6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, interface.dscp << 2)
    elif interface.dscp:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, interface.dscp << 2)
    return sock
