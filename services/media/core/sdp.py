"""Session descriptions: parsing what peers send (RFC 8866), lenient in form, strict in bounds.

Lines we have no interest in are kept as bytes, so that what is sent on says what was said.
Only what a relay must know is understood: addresses, ports, directions, clock rates.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from services.common.errors import SwitchError

MAX_BYTES: Final = 65_535
"""A description must fit the largest UDP datagram; real ones are under 10 kB."""
MAX_LINES: Final = 1_000
"""Bounds the work one description can cause."""
MAX_MEDIA: Final = 16
"""Each relayed m-line costs four sockets."""
MAX_PTIME_MS: Final = 1_000
"""A packet longer than a second is an attack on somebody's buffers, not audio."""

RELAYED_PROTOCOLS: Final = frozenset({b"RTP/AVP", b"RTP/AVPF", b"RTP/SAVP", b"RTP/SAVPF"})
"""Transports whose packets start with an RTP header.

SRTP keyed by SDES (RFC 4568) passes through unread. Everything else (DTLS-SRTP, UDPTL, TCP,
data channels) is refused with port 0: we could not tell its packets from a stranger's.
"""

_CLOCK_RATES: Final = {
    6: 16_000, 10: 44_100, 11: 44_100, 14: 90_000, 16: 11_025, 17: 22_050, 25: 90_000,
    26: 90_000, 28: 90_000, 31: 90_000, 32: 90_000, 33: 90_000, 34: 90_000,
}  # fmt: skip
"""Static payload types (RFC 3551 section 6) whose clock is not 8000 Hz."""

_HOST_NAME = re.compile(rb"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\.?\Z")
_TOKEN = re.compile(rb"[\x21-\x7e]{1,64}\Z")
_LINE = re.compile(rb"[a-z]=[^\x00\r\n]*\Z")


class MalformedSdp(SwitchError):
    """A description cannot be read, or is outside our bounds; ``reason`` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"malformed SDP: {reason}")
        self.reason = reason


class Family(IntEnum):
    """The IP version of an address."""

    IP4 = 4
    IP6 = 6


def family_of_host(host: str) -> Family | None:
    """The IP version of an address; ``None`` for anything else."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    return Family.IP4 if getattr(address, "ipv4_mapped", None) else Family(address.version)


class Direction(StrEnum):
    """Which way a stream flows, as its describer sees it (RFC 8866 section 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a describer wants its packets (a ``c=`` line)."""

    family: Family
    host: str
    """Canonical address; empty when a domain name was given, which is never resolved."""

    @property
    def is_null(self) -> bool:
        """Whether this is the old way to hold a call (RFC 3264 section 8.4)."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 - heard, not bound


@dataclass(frozen=True, slots=True)
class Media:
    """One m-line with what belongs to it."""

    kind: bytes
    port: int
    port_count: int
    protocol: bytes
    formats: bytes
    connection: Connection | None
    """Its own, else the session's; ``None`` is possible only with port 0."""
    direction: Direction
    rtcp_port: int
    """Where its RTCP is wanted (RFC 3605); 0 = the next port after ``port``."""
    rtcp_connection: Connection | None
    has_rtcp: bool
    clock_rates: dict[int, int]
    """Clock rate in Hz of every payload type that is not 8000 Hz."""
    lines: tuple[bytes, ...]
    """Everything after the m-line as received, without line ends."""

    @property
    def is_relayable(self) -> bool:
        """Whether this is a live stream that we can carry."""
        return self.port != 0 and self.port_count == 1 and self.protocol in RELAYED_PROTOCOLS


@dataclass(frozen=True, slots=True)
class Description:
    """A whole session description."""

    lines: tuple[bytes, ...]
    """Session-level lines after ``v=``, without line ends."""
    media: tuple[Media, ...]


def parse(body: bytes) -> Description:
    """Read a session description.

    Raises:
        MalformedSdp: it cannot be read, or is outside our bounds.
    """
    lines = _split(body)
    starts = [index for index, line in enumerate(lines) if line[:2] == b"m="]
    if not starts:
        raise MalformedSdp("no m-line")
    if len(starts) > MAX_MEDIA:
        raise MalformedSdp("too many m-lines")
    session = tuple(lines[1 : starts[0]])
    connection, direction = _session_defaults(session)
    ends = [*starts[1:], len(lines)]
    media = tuple(
        _parse_media(lines[start], tuple(lines[start + 1 : end]), connection, direction)
        for start, end in zip(starts, ends, strict=True)
    )
    return Description(session, media)


def _split(body: bytes) -> list[bytes]:
    if len(body) > MAX_BYTES:
        raise MalformedSdp("too long")
    # RFC 8866 section 5: CRLF ends a line, and parsers should accept a bare LF.
    lines = body.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n", MAX_LINES)
    if len(lines) > MAX_LINES:
        raise MalformedSdp("too many lines")
    for line in lines:
        if _LINE.match(line) is None:
            raise MalformedSdp("not a line of the form <letter>=<value>")
    if lines[0].rstrip() != b"v=0":
        raise MalformedSdp("does not start with v=0")
    if not any(line.startswith(b"o=") for line in lines):
        raise MalformedSdp("no o-line")
    return lines


def _session_defaults(lines: tuple[bytes, ...]) -> tuple[Connection | None, Direction]:
    connection = None
    for line in lines:
        if line.startswith(b"c="):
            connection = _parse_connection(line[2:])
    return connection, _direction_of(lines, Direction.SENDRECV)


def _parse_media(
    head: bytes,
    lines: tuple[bytes, ...],
    connection: Connection | None,
    direction: Direction,
) -> Media:
    kind, port, port_count, protocol, formats = _parse_media_head(head)
    for line in lines:
        if line.startswith(b"c="):
            connection = _parse_connection(line[2:])
    if connection is None and port:
        raise MalformedSdp("no address for a stream")
    rtcp = _rtcp_of(lines)
    return Media(
        kind,
        port,
        port_count,
        protocol,
        formats,
        connection,
        _direction_of(lines, direction),
        rtcp[0] if rtcp else 0,
        rtcp[1] if rtcp else None,
        rtcp is not None,
        _clock_rates(lines, formats, is_rtp=protocol in RELAYED_PROTOCOLS),
        lines,
    )


def _parse_media_head(head: bytes) -> tuple[bytes, int, int, bytes, bytes]:
    fields = head[2:].split(None, 3)
    if len(fields) < 4:
        raise MalformedSdp("incomplete m-line")
    kind, ports, protocol, formats = fields
    if not _TOKEN.match(kind) or not _TOKEN.match(protocol):
        raise MalformedSdp("media type or transport is not a token")
    port, _, count = ports.partition(b"/")
    return kind, _number(port, 0, 65_535), _number(count or b"1", 1, 65_535), protocol, formats


@lru_cache(maxsize=4_096)  # a switch talks to few gateways; reading an address takes 10 us
def _parse_connection(value: bytes) -> Connection:
    fields = value.split()
    if len(fields) != 3 or fields[0] != b"IN" or fields[1] not in (b"IP4", b"IP6"):
        raise MalformedSdp("c-line is not IN IP4 or IN IP6 and an address")
    host, family = fields[2].partition(b"/")[0], Family(int(fields[1][2:]))
    try:
        address = ip_address(host.decode("ascii"))
    except ValueError:  # includes UnicodeDecodeError
        # All digits and dots is an address gone wrong, never a name.
        if _HOST_NAME.match(host) is None or not host.strip(b"0123456789."):
            raise MalformedSdp("c-line has no usable address") from None
        return Connection(family, "")
    return _connection(address)


def _connection(address: IPv4Address | IPv6Address) -> Connection:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise MalformedSdp("scoped address")
        if address.ipv4_mapped is not None:
            # RFC 5118 section 4.10: the packets are IPv4 ones.
            address = address.ipv4_mapped
    if address.is_multicast or address == IPv4Address("255.255.255.255"):
        raise MalformedSdp("not a unicast address")
    return Connection(Family(address.version), str(address))


def _direction_of(lines: tuple[bytes, ...], default: Direction) -> Direction:
    found = default
    for line in lines:
        direction = _DIRECTIONS.get(line.rstrip())
        if direction is not None:
            found = direction
    return found


_DIRECTIONS = {f"a={direction}".encode(): direction for direction in Direction}


def _rtcp_of(lines: tuple[bytes, ...]) -> tuple[int, Connection | None] | None:
    for line in lines:
        if line.startswith(b"a=rtcp:"):
            port, _, address = line[7:].partition(b" ")
            where = _parse_connection(address) if address.strip() else None
            return _number(port.strip(), 0, 65_535), where
    return None


def _clock_rates(lines: tuple[bytes, ...], formats: bytes, *, is_rtp: bool) -> dict[int, int]:
    """Check everything that names a payload type or packet length; collect unusual clocks."""
    rates: dict[int, int] = {}
    if is_rtp:
        for payload_type in _payload_types(formats):
            if payload_type in _CLOCK_RATES:
                rates[payload_type] = _CLOCK_RATES[payload_type]
    for name, value in _attributes(lines):
        if name in (b"ptime", b"maxptime"):
            _number(value.strip().partition(b".")[0], 1, MAX_PTIME_MS)
        elif name == b"rtpmap" and is_rtp:
            payload_type, rate = _parse_rtpmap(value)
            if rate != 8_000:
                rates[payload_type] = rate
    return rates


def _payload_types(formats: bytes) -> Iterator[int]:
    seen: set[int] = set()
    for text in formats.split():
        payload_type = _number(text, 0, 127)
        if payload_type in seen:
            raise MalformedSdp("a payload type is listed twice")
        seen.add(payload_type)
        yield payload_type


def _attributes(lines: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    for line in lines:
        if line[:2] == b"a=":
            name, _, value = line[2:].partition(b":")
            yield name, value


def _parse_rtpmap(value: bytes) -> tuple[int, int]:
    payload_type, _, encoding = value.strip().partition(b" ")
    parts = encoding.strip().split(b"/")
    # Some phones write "telephone-event" without its clock.
    rate = _number(parts[1].strip(), 1, 1_000_000) if len(parts) > 1 else 8_000
    return _number(payload_type, 0, 127), rate


def _number(text: bytes, low: int, high: int) -> int:
    # isdigit() refuses signs; ten digits hold every number that could be in bounds.
    if not text.isdigit() or len(text) > 10 or not low <= int(text) <= high:
        raise MalformedSdp("a number is missing or out of range")
    return int(text)
