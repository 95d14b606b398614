"""Callers, callees and strangers with real sockets, and a call to put them in."""

import asyncio
import itertools
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.common.boot import boot_id
from services.common.causes import EndReason
from services.common.clock import monotonic
from services.media.adapters.call_log import CallLog
from services.media.adapters.relay.user_space import Interface, UserSpaceRelay
from services.media.app import Limits, MediaCalls
from services.media.core.exchange import Describe, Side
from services.media.core.reception import Report
from services.media.core.sdp import Family, parse

Address = tuple[str, int]


def rtp(sequence: int = 0, *, ssrc: int = 0xABCD, payload: bytes = b"\xd5" * 160) -> bytes:
    """A G.711 A-law packet."""
    return struct.pack("!BBHII", 0x80, 8, sequence & 0xFFFF, sequence * 160, ssrc) + payload


def rtcp(ssrc: int = 0xABCD) -> bytes:
    """An empty receiver report."""
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)


class Party:
    """An RTP and an RTCP socket on neighbouring ports."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.rtp, self.rtcp = _pair(host)
        self.relay: Address = ("", 0)
        self.sent = 0
        """Packets of audio, those given to :meth:`talk` aside."""

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()

    @property
    def port(self) -> int:
        return int(self.rtp.getsockname()[1])

    def sdp(self, extra: str = "", host: str = "", port: int = 0) -> bytes:
        family = 6 if ":" in self.host else 4
        where = f"c=IN IP{family} {host or self.host}"
        lines = ["v=0", f"o=- 1 1 IN IP{family} {self.host}", "s=-", where, "t=0 0"]
        lines += [f"m=audio {port or self.port} RTP/AVP 8", *extra.split("|")]
        return "\r\n".join(filter(None, lines)).encode() + b"\r\n"

    def talk(self, packet: bytes | None = None, *, to: Address | None = None) -> bytes:
        if packet is None:
            self.sent += 1
            packet = rtp(self.sent)
        self.rtp.sendto(packet, to or self.relay)
        return packet

    def report(self, packet: bytes, *, to: Address | None = None) -> bytes:
        host, port = to or self.relay
        self.rtcp.sendto(packet, (host, port + 1))
        return packet

    async def heard(self) -> bytes:
        return await _receive(self.rtp)

    async def heard_report(self) -> bytes:
        return await _receive(self.rtcp)

    @property
    def pending(self) -> list[bytes]:
        """Everything that has arrived and was not asked for."""
        return _pending(self.rtp) + _pending(self.rtcp)


class Owner:
    is_closed = False

    def __init__(self) -> None:
        self.silent: list[str] = []
        self.started: list[tuple[str, int]] = []

    def tell_rtp(self, call_id: str, attempt: int) -> None:
        self.started.append((call_id, attempt))

    def tell_silence(self, call_id: str) -> None:
        self.silent.append(call_id)


@dataclass
class Switch:
    """A relay with one worker, and the calls over it; goes on with those left in ``folder``."""

    folder: Path
    low: int
    high: int
    host: str = "127.0.0.1"
    other_host: str = ""
    """Of the other address family, with the same ports."""
    limits: Limits = field(default_factory=Limits)
    rest_s: float = 0.5
    workers: int = 1

    def __post_init__(self) -> None:
        self.relay = UserSpaceRelay(
            [
                Interface(
                    Family.IP6 if ":" in host else Family.IP4, host, self.low, self.high, host
                )
                for host in (self.host, self.other_host)
                if host
            ],
            self.folder,
            self._on_active,
            lambda endpoint_ids: self.calls.on_started(endpoint_ids),
            workers=self.workers,
            rest_s=self.rest_s,
        )
        journal = CallLog(self.folder / "calls.log", boot=boot_id(), monotonic=monotonic)
        self.calls = MediaCalls(self.relay, journal, itertools.count(1).__next__, self.limits)
        self.owner = Owner()
        self.relay.start()
        self.calls.restore(journal.open(), monotonic())

    def _on_active(self, endpoint_ids: Sequence[int]) -> None:
        self.calls.on_active(endpoint_ids, monotonic())

    def offer(
        self,
        side: Side,
        sdp: bytes,
        source_host: str = "",
        attempt: int = 1,
        target_host: str = "",
    ) -> Address:
        """Where the other party is told to send."""
        describe = Describe(
            side,
            sdp,
            source_host,
            attempt,
            silence_timeout_ms=30_000,
            target_host=target_host,
        )
        return _audio(self.calls.offer("call", describe, self.owner, monotonic()))

    def answer(self, side: Side, sdp: bytes, source_host: str = "", attempt: int = 1) -> Address:
        describe = Describe(side, sdp, source_host, attempt)
        return _audio(self.calls.answer("call", describe, self.owner, monotonic()))

    def connect(self, caller: Party, callee: Party) -> None:
        """A call between parties that are where they say."""
        callee.relay = self.offer(Side.CALLER, caller.sdp(), target_host=callee.host)
        caller.relay = self.answer(Side.CALLEE, callee.sdp())

    async def release(self) -> tuple[Report, Report]:
        done: asyncio.Future[tuple[Report, Report]] = asyncio.get_running_loop().create_future()
        self.calls.release("call", lambda one, other: done.set_result((one, other)))
        async with asyncio.timeout(10):
            return await done

    async def settle(self) -> None:
        """Return once the worker has carried out every order so far."""
        done = asyncio.get_running_loop().create_future()
        self.relay.close([self.relay.open(Family.IP4, "").id], done.set_result)
        async with asyncio.timeout(10):
            await done


async def exchange(one: Party, other: Party, count: int = 2) -> None:
    """Audio both ways; latches whoever has not latched."""
    for _ in range(count):
        packet = one.talk()
        assert await other.heard() == packet
        packet = other.talk()
        assert await one.heard() == packet


def _audio(sdp: bytes | EndReason) -> Address:
    assert isinstance(sdp, bytes), sdp
    media = parse(sdp).media[0]
    assert media.connection is not None
    return media.connection.host, media.port


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        one, other = (
            socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) for _ in range(2)
        )
        one.bind((host, 0))
        try:
            other.bind((host, one.getsockname()[1] + 1))
        except (OSError, OverflowError):
            one.close()
            other.close()
        else:
            return one, other
    raise OSError("no two neighbouring ports")


async def _receive(sock: socket.socket) -> bytes:
    async with asyncio.timeout(10):
        return await asyncio.get_running_loop().sock_recv(sock, 65_536)


def _pending(sock: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(sock.recv(65_536))
    except BlockingIOError:
        return found
