"""One side's RTP: sends a tone, keeps what arrives (RFC 3550)."""

import asyncio
import os
import socket
import struct

from deploy.local.demo.tone import FRAME, tone_frames

_HEADER = struct.Struct("!BBHII")
_PCMA = 8


class Audio(asyncio.DatagramProtocol):
    """An RTP endpoint on a free port of ``host``."""

    def __init__(self, host: str) -> None:
        self.received = bytearray()
        """Payload in order of arrival."""
        self.packets = 0
        self.sent = 0
        self.sources: set[tuple[str, int]] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self._ssrc = int.from_bytes(os.urandom(4), "big")
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """Where we receive."""
        port: int = self._socket.getsockname()[1]
        return port

    async def open(self) -> None:
        """Start receiving."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._socket)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep the payload of one packet."""
        if len(data) <= _HEADER.size or data[0] >> 6 != 2:
            return
        self.packets += 1
        self.sources.add(addr)
        self.received += data[_HEADER.size :]

    async def play(self, target: tuple[str, int], frequency_hz: int, seconds: float) -> None:
        """Send a tone in real time."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number, frame in enumerate(tone_frames(frequency_hz, int(seconds * 50))):
            due = start + number * 0.020
            await asyncio.sleep(max(0.0, due - loop.time()))
            header = _HEADER.pack(
                0x80, _PCMA | (0x80 if number == 0 else 0), number, number * FRAME, self._ssrc
            )
            self._transport.sendto(header + frame, target)
            self.sent += 1

    def close(self) -> None:
        """Stop, and give the port back."""
        if self._transport is not None:
            self._transport.close()
        else:
            self._socket.close()


def describe(host: str, port: int) -> bytes:
    """The SDP of one A-law audio stream (RFC 8866)."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"
    ).encode()


def target_of(sdp: bytes) -> tuple[str, int]:
    """Where the peer that sent ``sdp`` wants its audio."""
    lines = sdp.decode().split("\r\n")
    (host,) = [line.split()[2] for line in lines if line.startswith("c=")][:1]
    (port,) = [line.split()[1] for line in lines if line.startswith("m=audio ")][:1]
    return host, int(port)
