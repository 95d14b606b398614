"""Messages as a packet capture that Wireshark, tshark and sngrep read.

Ethernet, IP and UDP headers are made up around what was said: the real ones are not kept. What
came over a stream, encrypted or not, is shown as a datagram as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

Endpoint = tuple[str, int]
Address = IPv4Address | IPv6Address

_MAGIC: Final = 0xA1B2C3D4
_SNAP_BYTES: Final = 262_144
_ETHERNET: Final = 1
_file_head = struct.Struct("<IHHiIII").pack
_packet_head = struct.Struct("<IIII").pack
_udp_head = struct.Struct(">HHHH").pack
_ipv4_head = struct.Struct(">BBHHHBBH4s4s").pack
_ipv6_head = struct.Struct(">IHBB16s16s").pack
_UDP: Final = 17
_HOPS: Final = 64
_LARGEST_PAYLOAD: Final = 65_000
_MAC: Final = {"A": b"\x02\x00\x00\x00\x00\x0a", "B": b"\x02\x00\x00\x00\x00\x0b"}
"""Locally administered, RFC 7042 section 2.1."""


class Packet(NamedTuple):
    """One message."""

    at_us: int
    """Unix time in microseconds."""
    source: Endpoint
    destination: Endpoint
    payload: bytes


def pcap(packets: Iterable[Packet]) -> bytes:
    """The file, in the order given."""
    head = _file_head(_MAGIC, 2, 4, 0, 0, _SNAP_BYTES, _ETHERNET)
    return head + b"".join(map(_record, packets))


def _record(packet: Packet) -> bytes:
    frame = _frame(packet)
    at_s, at_us = divmod(packet.at_us, 1_000_000)
    return _packet_head(at_s, at_us, len(frame), len(frame)) + frame


def _frame(packet: Packet) -> bytes:
    source, destination = _same_family(packet.source[0], packet.destination[0])
    payload = packet.payload[:_LARGEST_PAYLOAD]
    size = 8 + len(payload)
    head = _udp_head(packet.source[1], packet.destination[1], size, 0)
    pseudo = source.packed + destination.packed + struct.pack(">II", size, _UDP)
    # "all zero" means none was computed (RFC 768), which IPv6 does not allow.
    checksum = _checksum(pseudo + head + payload) or 0xFFFF
    datagram = head[:6] + checksum.to_bytes(2, "big") + payload
    link = _MAC["A"] + _MAC["B"]
    if source.version == 6:
        fixed = _ipv6_head(6 << 28, size, _UDP, _HOPS, source.packed, destination.packed)
        return link + b"\x86\xdd" + fixed + datagram
    fixed = _ipv4_head(0x45, 0, 20 + size, 0, 0, _HOPS, _UDP, 0, source.packed, destination.packed)
    fixed = fixed[:10] + _checksum(fixed).to_bytes(2, "big") + fixed[12:]
    return link + b"\x08\x00" + fixed + datagram


def _same_family(one: str, other: str) -> tuple[Address, Address]:
    source, destination = ip_address(one), ip_address(other)
    if source.version == destination.version:
        return source, destination
    return _mapped(source), _mapped(destination)


def _mapped(address: Address) -> IPv6Address:
    if isinstance(address, IPv6Address):
        return address
    return IPv6Address(b"\x00" * 10 + b"\xff\xff" + address.packed)


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\x00"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
