"""One port pair in the worker: takes its peer's packets, hands them to the endpoint opposite.

Two ways to receive. *Checked*: every packet's source is asked of the latch. *Fastened*: once the
latch is exact, the socket is connected, the kernel refuses strangers, and a packet costs two
system calls without addresses (2.4 microseconds less). A second socket on the same port, never
read, then collects the strangers' packets, so that the kernel counts them at no cost to us.
"""

import ctypes
import socket
import struct
from collections.abc import Callable
from typing import Final

from services.media.adapters.relay.records import Kept, Record
from services.media.core.exchange import Aim
from services.media.core.latch import Address, Expectation, Latch, Rank
from services.media.core.reception import Reception, Report

_BUFFER: Final = bytearray(65_536)
_VIEW: Final = memoryview(_BUFFER)
_header = struct.Struct("!BBHII").unpack_from
_SO_MEMINFO: Final = 55
_MEMINFO = struct.Struct("=9I")
_DRAIN_LIMIT: Final = 64
_libc = ctypes.CDLL(None, use_errno=True)
# AF_UNSPEC dissolves the association of a connected datagram socket; Python cannot say it.
_UNSPECIFIED = bytes(16)

Handler = Callable[[int], None]
"""Called with the monotonic time, in ns, when a socket is readable."""


def _discard(_packet: memoryview) -> None:
    """Where packets go while the party is not to be sent any."""


def disconnect(sock: socket.socket) -> None:
    """Let a connected datagram socket take packets from anywhere again."""
    _libc.connect(sock.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))


class RelayEndpoint:
    """One port pair, not aimed yet.

    ``switch`` is told when another handler should read the RTP socket; ``catch_up`` carries out
    orders that have arrived, and may find among them where this endpoint is aimed, or its end.
    ``started`` is told the first packet, where the aim awaits it.
    """

    __slots__ = (
        "_catch_up",
        "_guard",
        "_is_awaited",
        "_is_fast",
        "_kept",
        "_latch",
        "_receive_into",
        "_record",
        "_recorded",
        "_remote",
        "_revision",
        "_rtcp_latch",
        "_started",
        "_switch",
        "_target",
        "emit",
        "id",
        "noted",
        "peer",
        "reception",
        "refused",
        "rtcp",
        "rtp",
        "unsent",
    )

    def __init__(
        self,
        endpoint_id: int,
        sockets: tuple[socket.socket, socket.socket],
        switch: Callable[[int, Handler], None],
        catch_up: Callable[[], None],
        started: Callable[[int], None],
        record: Record,
    ) -> None:
        self.id = endpoint_id
        self.rtp, self.rtcp = sockets
        self.peer: RelayEndpoint | None = None
        self.reception = Reception()
        self.refused = 0
        self.unsent = 0
        self.noted = 0
        self.emit: Callable[[memoryview], object] = _discard
        self._switch = switch
        self._catch_up = catch_up
        self._started = started
        self._record = record
        self._receive_into = self.rtp.recv_into
        self._remote: Aim | None = None
        self._revision = -1
        self._latch = Latch(None)
        self._rtcp_latch = Latch(None)
        self._target: Address | None = None
        self._guard: socket.socket | None = None
        self._is_fast = self._is_awaited = False
        self._recorded = 0
        self._kept: Kept | None = record.take(endpoint_id)
        if self._kept is not None:
            self.reception.resume(self._kept.counted)
            self.refused = self._kept.refused
            self.noted = self._recorded = self.reception.packets
        # A socket that outlived another worker may still be connected.
        disconnect(self.rtp)

    def aim(self, aim: Aim, peer: "RelayEndpoint | None") -> None:
        """Follow what control says of both parties; the same again changes nothing."""
        self.peer = peer
        self._remote = aim
        if aim.remote is not None and aim.revision != self._revision:
            self._revision = aim.revision
            self._latch.expect(aim.remote.rtp)
            self._rtcp_latch.expect(aim.remote.rtcp)
            self.reception.expect(aim.remote.clock_rates)
            self._resume()
            if self._latch.rank is not Rank.EXACT:
                self._unfasten()
            self._record.latch(self._latch.source, self._rtcp_latch.source)
        self._is_awaited = aim.is_awaited and not self.reception.packets
        self._choose_emit()

    def put_on_record(self) -> None:
        """Let the figures outlive this process."""
        if self.reception.packets != self._recorded:
            self._recorded = self.reception.packets
            self._record.count(self.reception.counted(), self.refused)

    def on_fastened(self, now_ns: int) -> None:
        """Relay one packet from a connected socket: the path nearly all audio takes."""
        try:
            size = self._receive_into(_BUFFER)
        except OSError:
            # ICMP told that our last packet found nobody; that is for silence detection.
            self.unsent += 1
            return
        first, second, sequence, timestamp, ssrc = _header(_BUFFER)
        if size < 12 or first & 0xC0 != 0x80 or 192 <= second <= 223:
            self.refused += 1
            return
        self.reception.receive(second, sequence, timestamp, ssrc, size, now_ns)
        peer = self.peer
        if peer is not None:
            try:
                peer.emit(_VIEW[:size])
            except OSError:
                peer.unsent += 1

    def on_checked(self, now_ns: int) -> None:
        """Relay one packet if it is the peer's; may latch."""
        if self._remote is None:
            # The order that makes this packet welcome may be in the same round, behind it.
            self._catch_up()
        if self._take_checked(now_ns) and self._latch.rank is Rank.EXACT:
            self._fasten(now_ns)

    def on_rtcp(self, _now_ns: int) -> None:
        """Relay one RTCP packet by the same rules; it can never move the RTP latch."""
        if self._remote is None:
            self._catch_up()
        try:
            size, source = self.rtcp.recvfrom_into(_BUFFER)
        except OSError:
            self.unsent += 1
            return
        latched = self._rtcp_latch.source
        if not _is_rtcp(size) or not self._rtcp_latch.admit(source[:2]):
            self.refused += 1
            return
        if self._rtcp_latch.source != latched:
            self._record.latch(self._latch.source, self._rtcp_latch.source)
        peer = self.peer
        if peer is not None:
            peer.emit_rtcp(_VIEW[:size])

    def emit_rtcp(self, packet: memoryview) -> None:
        """Send one RTCP packet to this endpoint's party."""
        aim = self._remote
        if aim is None or aim.remote is None or aim.remote.is_muted:
            return
        target = self._rtcp_latch.source or _address_of(aim.remote.rtcp)
        if target is None:
            return
        try:
            self.rtcp.sendto(packet, target)
        except OSError:
            self.unsent += 1

    def close(self) -> Report:
        """Close the sockets; what was counted."""
        if self.peer is not None and self.peer.peer is self:
            self.peer.peer = None
        self.peer = None
        self.emit = _discard
        self._drop_guard()
        self._record.leave()
        self.rtp.close()
        self.rtcp.close()
        source = self._latch.source
        return self.reception.report(
            refused=self.refused, source=f"{source[0]}:{source[1]}" if source else ""
        )

    def _take_checked(self, now_ns: int) -> bool:
        """Read one packet; whether the socket had one at all."""
        try:
            size, source = self.rtp.recvfrom_into(_BUFFER)
        except BlockingIOError:
            return False
        except OSError:
            self.unsent += 1
            return True
        first, second, sequence, timestamp, ssrc = _header(_BUFFER)
        if size < 12 or first & 0xC0 != 0x80 or 192 <= second <= 223:
            self.refused += 1
            return True
        # Only what is RTP may latch: a STUN or DTLS packet says nothing about the audio.
        latched = self._latch.source
        if not self._latch.admit(source[:2]):
            self.refused += 1
            return True
        if self._latch.source != latched:
            self._on_latched()
        self.reception.receive(second, sequence, timestamp, ssrc, size, now_ns)
        peer = self.peer
        if peer is not None:
            try:
                peer.emit(_VIEW[:size])
            except OSError:
                peer.unsent += 1
        return True

    def _on_latched(self) -> None:
        self._choose_emit()
        self._record.latch(self._latch.source, self._rtcp_latch.source)
        if self._is_awaited:
            self._is_awaited = False
            self._started(self.id)

    def _resume(self) -> None:
        """Send to where the worker before this one had learned to send."""
        kept, self._kept = self._kept, None
        if kept is not None:
            if kept.rtp is not None:
                self._latch.resume(kept.rtp)
            if kept.rtcp is not None:
                self._rtcp_latch.resume(kept.rtcp)

    def _fasten(self, now_ns: int) -> None:
        """Connect, then check by hand what was queued before the kernel refused strangers."""
        if self._guard is None and not self._connect():
            return
        for _ in range(_DRAIN_LIMIT):
            if not self._take_checked(now_ns):
                self._is_fast = True
                self._choose_emit()
                self._switch(self.rtp.fileno(), self.on_fastened)
                return

    def _connect(self) -> bool:
        assert self._latch.source is not None
        try:
            # First: between the two, a packet of the party would go to the guard.
            self.rtp.connect(self._latch.source)
            self._guard = _guard_of(self.rtp)
        except OSError:
            disconnect(self.rtp)
            self._unfasten()
            return False
        return True

    def _unfasten(self) -> None:
        if self._guard is not None:
            self._drop_guard()
            disconnect(self.rtp)
        if self._is_fast:
            self._is_fast = False
            self._switch(self.rtp.fileno(), self.on_checked)

    def _drop_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            self.refused += _count_refused(guard)
            guard.close()

    def _choose_emit(self) -> None:
        remote = self._remote.remote if self._remote is not None else None
        self._target = self._latch.source or (_address_of(remote.rtp) if remote else None)
        if remote is None or remote.is_muted or self._target is None:
            self.emit = _discard
        elif self._is_fast:
            self.emit = self.rtp.send
        else:
            self.emit = self._send_to_target

    def _send_to_target(self, packet: memoryview) -> None:
        if self._target is not None:
            self.rtp.sendto(packet, self._target)


def _address_of(expectation: Expectation) -> Address | None:
    if not expectation.host or not expectation.port:
        return None
    return expectation.host, expectation.port


def _is_rtcp(size: int) -> bool:
    """RFC 3550 A.2, as far as it protects: version, type, and a first length that fits."""
    if size < 8 or size % 4:
        return False
    words = int.from_bytes(_VIEW[2:4], "big") + 1
    return _BUFFER[0] & 0xC0 == 0x80 and 192 <= _BUFFER[1] <= 223 and words * 4 <= size


def _guard_of(sock: socket.socket) -> socket.socket:
    """A second socket on the same port, for whatever the connected one does not match.

    The kernel allows two only while both say so, and asks only when binding: at any other time
    nobody else can bind our port.
    """
    guard = socket.socket(sock.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        if sock.family == socket.AF_INET6:
            guard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for each in (sock, guard):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        guard.bind(sock.getsockname())
        for each in (sock, guard):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        guard.close()
        raise
    return guard


def _count_refused(guard: socket.socket) -> int:
    memory = guard.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    # The last of the nine is SK_MEMINFO_DROPS; a small queue holds the packets not dropped.
    dropped = _MEMINFO.unpack(memory)[8] if len(memory) == _MEMINFO.size else 0
    queued = 0
    try:
        while queued < _DRAIN_LIMIT:
            guard.recv_into(_BUFFER)
            queued += 1
    except OSError:
        pass
    return int(dropped) + queued
