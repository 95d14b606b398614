"""HEP version 3 read as its specification has it (HEP3 Network Protocol Specification, rev. 37).

Written from that text alone, and stricter than a capture server has to be: every generic chunk
must be of its payload type, stand there once, and agree with the others.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

HEADER_ID = 0x48455033
GENERIC = 0x0000
AF_INET, AF_INET6 = 2, 10
IP_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
SIP = 0x01

_NAMES = {
    0x0001: ("family", "uint8"),
    0x0002: ("protocol", "uint8"),
    0x0003: ("source", "inet4-addr"),
    0x0004: ("destination", "inet4-addr"),
    0x0005: ("source", "inet6-addr"),
    0x0006: ("destination", "inet6-addr"),
    0x0007: ("source_port", "uint16"),
    0x0008: ("destination_port", "uint16"),
    0x0009: ("seconds", "uint32"),
    0x000A: ("microseconds", "uint32"),
    0x000B: ("kind", "uint8"),
    0x000C: ("agent", "uint32"),
    0x000D: ("keep_alive_s", "uint16"),
    0x000E: ("key", "octet-string"),
    0x000F: ("payload", "octet-string"),
    0x0011: ("correlation", "octet-string"),
    0x0013: ("node", "octet-string"),
}
_SIZES = {"uint8": 1, "uint16": 2, "uint32": 4, "inet4-addr": 4, "inet6-addr": 16}


class Malformed(AssertionError):
    """A datagram that is not as the specification has it."""


@dataclass(frozen=True)
class Packet:
    """One packet, taken apart."""

    family: int
    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int
    at: dt.datetime
    kind: int
    agent: int
    payload: bytes
    correlation: str = ""
    node: str = ""
    order: list[int] = field(default_factory=list)
    """Types of the generic chunks, as they stood."""


def decode(data: bytes) -> Packet:
    """Take one datagram apart.

    Raises:
        Malformed: it is not HEP3, or says what cannot be.
    """
    _need(len(data) >= 6, "shorter than its header")
    _need(_number(data[:4]) == HEADER_ID, "not the HEP3 identifier")
    _need(_number(data[4:6]) == len(data), "total length is not that of the datagram")
    values: dict[str, bytes] = {}
    order: list[int] = []
    at = 6
    while at < len(data):
        _need(len(data) - at >= 6, "half a chunk header")
        vendor, kind, size = (_number(data[at + place : at + place + 2]) for place in (0, 2, 4))
        _need(6 <= size <= len(data) - at, f"length of chunk {kind:#06x}")
        value = data[at + 6 : at + size]
        at += size
        if vendor != GENERIC:
            continue
        _need(kind in _NAMES, f"chunk {kind:#06x} is not assigned")
        name, payload_type = _NAMES[kind]
        expected = _SIZES.get(payload_type, len(value))
        _need(len(value) == expected, f"chunk {kind:#06x} is no {payload_type}")
        _need(name not in values, f"{name} twice")
        values[name] = value
        order.append(kind)
    return _packet(values, order)


def _packet(values: dict[str, bytes], order: list[int]) -> Packet:
    family = _number(values["family"])
    _need(family in (AF_INET, AF_INET6), f"family {family}")
    wanted = 4 if family == AF_INET else 16
    hosts = [values["source"], values["destination"]]
    _need(all(len(host) == wanted for host in hosts), "addresses are not of the family")
    source, destination = (
        str(IPv4Address(host)) if family == AF_INET else str(IPv6Address(host)) for host in hosts
    )
    microseconds = _number(values["microseconds"])
    _need(microseconds < 1_000_000, "a whole second in the microseconds")
    return Packet(
        family=family,
        protocol=IP_PROTOCOLS[_number(values["protocol"])],
        source=source,
        source_port=_number(values["source_port"]),
        destination=destination,
        destination_port=_number(values["destination_port"]),
        at=dt.datetime.fromtimestamp(_number(values["seconds"]), dt.UTC).replace(
            microsecond=microseconds
        ),
        kind=_number(values["kind"]),
        agent=_number(values["agent"]),
        payload=values["payload"],
        correlation=values.get("correlation", b"").decode(),
        node=values.get("node", b"").decode(),
        order=order,
    )


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def _need(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Malformed(otherwise)
