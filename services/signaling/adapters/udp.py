"""Datagrams: one non-blocking socket per local address, drained in bulk by the loop's reader.

No protocol object and no task per message: a datagram in and out costs 8.5 microseconds of
CPU this way, 59 through an asyncio protocol. When there are many they are taken some
milliseconds' worth at once, and what answers them leaves together: a peer that is woken by each
datagram takes the processor from us as often. What callers wait for is then handled, and on its
way, before the rest.
"""

from __future__ import annotations

import asyncio
import errno
import re
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

from services.common.clock import wall_ns
from services.common.pace import Pace
from services.signaling.adapters.acks import ignore_acks_of_refusals
from services.signaling.adapters.connection import mark
from services.signaling.core.trunks import canonical_host
from services.signaling.sip.actions import Datagram, Peer
from services.signaling.sip.glance import comes_first

BUFFER_BYTES: Final = 8 * 1024 * 1024
"""Asked of the kernel in each direction: a second of a thousand calls."""
MOST_AT_ONCE: Final = 256
"""Datagrams taken per wakeup, so that timers and links get their turn."""
_LARGEST: Final = 65_535
_LARGEST_SENT: Final = 65_507
"""What IP and UDP headers leave of a packet of 65,535 bytes."""
_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_DONT: Final = 0
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_SO_TIMESTAMPNS: Final = 35
_BUFFERS: Final = ((33, socket.SO_RCVBUF), (32, socket.SO_SNDBUF))
"""SO_RCVBUFFORCE and SO_SNDBUFFORCE, and what takes their place."""
_STAMP: Final = struct.Struct("@qq")
WATCHED_FROM: Final = 16
"""Datagrams in one wakeup from which on it is looked at how long they have waited."""
QUIET_RATE: Final = 1000.0
"""Datagrams per second up to which each is taken as it comes."""
BUSY_RATE: Final = 2500.0
"""From here on they gather for as long as they ever do."""
LONGEST_GATHER_S: Final = 0.008
"""Two messages of a call come in before its caller hears ringing."""
SHORTEST_GATHER_S: Final = 0.002
"""Looking more often, at sockets with less to take, costs more than being woken."""
_LATE_S: Final = 0.01
"""Older than this, a datagram has not merely gathered: there is more to do than is done."""
_WATCHED: Final = select.EPOLLIN | select.EPOLLERR
_UDP_SEGMENT: Final = 103
_MOST_SEGMENTS: Final = 64
"""UDP_MAX_SEGMENTS of older kernels."""
_SEGMENT: Final = struct.Struct("@H")
_ABSURD_AGE_S: Final = 60.0
"""The wall clock was set meanwhile."""

_INVITE_BRANCH: Final = re.compile(rb"INVITE [^\r\n]+\r\nVia: [^\r\n]*;branch=([^;\r\n]+)")
_STAMP_SPACE: Final = socket.CMSG_SPACE(_STAMP.size)


def _enlarge(sock: socket.socket) -> None:
    for forced, plain in _BUFFERS:
        try:
            # With CAP_NET_ADMIN, whatever net.core.rmem_max and wmem_max say.
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)


def _age_s(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, stamp in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(stamp) == _STAMP.size:
            seconds, nanoseconds = _STAMP.unpack(stamp)
            age_s = (wall_ns() - seconds * 1_000_000_000 - nanoseconds) / 1e9
            return age_s if 0.0 < age_s < _ABSURD_AGE_S else 0.0
    return 0.0


class UdpSocket:
    """One bound address.

    ``number`` is what :class:`Peer` calls ``connection``: answers leave through the socket the
    question came in by. ``on_refused`` gets the branch of an INVITE that an ICMP error
    says nobody took, ``on_failed`` the key of what there is no way for. To be made on the loop
    that it is to serve.
    """

    def __init__(
        self,
        address: tuple[str, int],
        number: int,
        *,
        on_datagrams: Callable[[list[Datagram]], None],
        on_refused: Callable[[str], None],
        on_failed: Callable[[str], None],
        dscp: int = 0,
        on_age: Callable[[float], None] | None = None,
    ) -> None:
        host, port = address
        self.is_v6 = ":" in host
        self.number = number
        self.queue_full = 0
        """Datagrams the kernel would not take: lost, as on the wire."""
        self._on_datagrams = on_datagrams
        self._on_refused = on_refused
        self._on_failed = on_failed
        self._on_age = on_age
        """Told before a large batch how long its first datagram waited; 0 ends that."""
        self._was_late = False
        self._pace = Pace(quiet_rate=QUIET_RATE, busy_rate=BUSY_RATE, longest_s=LONGEST_GATHER_S)
        self._next_look: asyncio.Handle | None = None
        """Set while datagrams gather: nothing wakes us for them then."""
        family = socket.AF_INET6 if self.is_v6 else socket.AF_INET
        self._socket = sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            _enlarge(sock)
            if self.is_v6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                # IPv4 has sockets of its own: answers to mapped addresses could not leave here.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
                # A message too large for some link on the way is cut there; else it is lost
                # until the kernel has learnt the way's MTU, where ICMP gets through at all.
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
            if dscp:
                mark(sock, dscp)
            if on_age is not None:
                sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            ignore_acks_of_refusals(sock)
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"{error.strerror}: udp {host} port {port}") from error
        # libuv stops watching a descriptor that reports an error, and a queued ICMP error is
        # one. Watched through an epoll of its own, the socket is merely readable.
        self._events = select.epoll()
        self._events.register(sock.fileno(), _WATCHED)
        self._loop = asyncio.get_running_loop()
        self._expected = 1
        # Shared by all datagrams: memory for the largest of them is slow to come by for each.
        self._buffer = bytearray(_LARGEST)
        self._view = memoryview(self._buffer)
        self._peers: dict[tuple[str, int], Peer] = {}
        self._leaving: list[tuple[bytes, Peer, str]] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as bound."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Begin to receive."""
        self._loop.add_reader(self._events.fileno(), self._receive)

    def close(self) -> None:
        """Send what is to leave, stop and release the address."""
        self._flush()
        if self._next_look is not None:
            self._next_look.cancel()
        self._loop.remove_reader(self._events.fileno())
        self._events.close()
        self._socket.close()

    def send(self, data: bytes, peer: Peer, key: str) -> None:
        """Send one datagram, after what the loop is at; what fails is told by its ``key``."""
        if not self._leaving:
            self._loop.call_soon(self._flush)
        self._leaving.append((data, peer, key))

    def send_alike(self, datagrams: list[bytes], peer: Peer) -> None:
        """Send datagrams of equal length to one peer, now, in one call as far as that goes."""
        size = len(datagrams[0])
        most = max(1, min(_MOST_SEGMENTS, _LARGEST_SENT // size))
        how = [(socket.IPPROTO_UDP, _UDP_SEGMENT, _SEGMENT.pack(size))]
        for begin in range(0, len(datagrams), most):
            some = datagrams[begin : begin + most]
            try:
                self._socket.sendmsg(some, how, 0, (peer.host, peer.port))
            except BlockingIOError:
                self.queue_full += len(some)
            except (OSError, OverflowError, ValueError):
                # The kernel cannot, or the way's MTU is too small, or there was an ICMP error.
                self._put([(data, peer, "") for data in some])

    def _flush(self) -> None:
        leaving, self._leaving = self._leaving, []
        self._put(leaving)

    def _put(self, leaving: list[tuple[bytes, Peer, str]]) -> None:
        send = self._socket.sendto
        for data, peer, key in leaving:
            try:
                send(data, (peer.host, peer.port))
            except BlockingIOError:
                self.queue_full += 1  # the transaction will repeat it
            except OSError as error:
                self._send_again(data, peer, key, error)
            except (OverflowError, ValueError):  # no address at all
                self._fail(key)

    def _fail(self, key: str) -> None:
        self._loop.call_soon(self._on_failed, key)

    def _send_again(self, data: bytes, peer: Peer, key: str, error: OSError) -> None:
        """Errors of earlier datagrams surface at the next call: once reported, they are gone."""
        is_lost = error.errno == errno.EMSGSIZE and len(data) > _LARGEST_SENT
        if not is_lost:
            self._drain_errors()
            try:
                self._socket.sendto(data, (peer.host, peer.port))
            except BlockingIOError:
                self.queue_full += 1
            except OSError:
                is_lost = True
        if is_lost:
            self._fail(key)

    def _receive(self) -> None:
        """Take what has come, and see when to look again."""
        batch: list[Datagram] = []
        is_empty = self._take(batch)
        self._pace.note(self._loop.time(), len(batch))
        wait_s = self._pace.delay_s
        # Counted from here: what is handled now lets more of them come meanwhile. Where they
        # come late there is no time to lose, and enough of them anyway.
        gathers = wait_s >= SHORTEST_GATHER_S
        is_late = self._was_late or not is_empty
        if gathers:
            self._look_again(0.0 if is_late else wait_s)
        elif self._next_look is not None:
            self._next_look = None
            self._events.register(self._socket.fileno(), _WATCHED)
        if not batch:
            self._drain_errors()  # awake for nothing else
        elif gathers and not is_late:
            self._hand_on_by_turns(batch)
        else:
            self._on_datagrams(batch)

    def _hand_on_by_turns(self, batch: list[Datagram]) -> None:
        """What somebody listens for comes first; what it leads to leaves before the rest is begun.

        Not where datagrams are late: new calls are the last thing to do then.
        """
        first: list[Datagram] = []
        rest: list[Datagram] = []
        for datagram in batch:
            (first if comes_first(datagram[0]) else rest).append(datagram)
        if first:
            self._on_datagrams(first)
        if rest:
            self._loop.call_soon(self._on_datagrams, rest)

    def _look_again(self, wait_s: float) -> None:
        if self._next_look is None:
            self._events.unregister(self._socket.fileno())
        self._next_look = self._loop.call_later(wait_s, self._receive)

    def _take(self, batch: list[Datagram]) -> bool:
        """Move datagrams from the kernel to ``batch``; whether none are left there."""
        receive, number, peers = self._socket.recvfrom_into, self.number, self._peers
        buffer, view = self._buffer, self._view
        # The loop calls again while there is more, so the socket need not be read until it is
        # empty: as many are asked for as came last time, twice as many when that was too few.
        expected = self._expected
        if self._on_age is not None and (self._was_late or expected >= WATCHED_FROM):
            self._take_stamped(batch)
        if self._next_look is not None:
            expected = MOST_AT_ONCE
        for _ in range(expected - len(batch)):
            try:
                length, address = receive(buffer)
            except BlockingIOError:
                self._expected = max(1, len(batch))
                return True
            except OSError:
                self._drain_errors()
                continue
            key = address[:2]
            peer = peers.get(key)
            data = bytes(view[:length])
            batch.append((data, peer if peer is not None else self._peer(key, number)))
        self._expected = min(2 * expected, MOST_AT_ONCE)
        return False

    def _take_stamped(self, batch: list[Datagram]) -> None:
        """Take one datagram as the others are, and tell how long it lay in the kernel."""
        assert self._on_age is not None
        try:
            data, ancillary, _, address = self._socket.recvmsg(_LARGEST, _STAMP_SPACE)
        except BlockingIOError:
            age_s = 0.0
        except OSError:
            self._drain_errors()
            return
        else:
            key = address[:2]
            batch.append((data, self._peers.get(key) or self._peer(key, self.number)))
            age_s = _age_s(ancillary)
        self._was_late = age_s > _LATE_S
        self._on_age(age_s)

    def _peer(self, key: tuple[str, int], number: int) -> Peer:
        """Known peers are shared: one of a few hundred trunks sends nearly everything."""
        host = canonical_host(key[0].partition("%")[0]) if self.is_v6 else key[0]
        peer = Peer("udp", host, key[1], number)
        if len(self._peers) >= 4096:
            self._peers.clear()
        self._peers[key] = peer
        return peer

    def _drain_errors(self) -> None:
        """Read ICMP errors: each brings the beginning of the datagram it is about."""
        for _ in range(MOST_AT_ONCE):
            try:
                data, _ancillary, _flags, _address = self._socket.recvmsg(2048, 512, _MSG_ERRQUEUE)
            except OSError:
                return  # nothing left
            found = _INVITE_BRANCH.match(data)
            if found is not None:
                self._on_refused(found[1].decode("latin-1"))
