"""HEP version 3, the encapsulation in which Homer, sngrep and others take SIP messages.

``HEP3``, a length, and chunks of vendor (0, generic), type, length and value; big-endian.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Final, NamedTuple

from services.signaling.sip.actions import Peer

LARGEST_PAYLOAD: Final = 60_000
"""Bytes of a message sent on; what is longer is cut, for a datagram ends at 65,507."""

_FAMILY, _PROTOCOL = 1, 2
_SOURCE_V4, _DESTINATION_V4, _SOURCE_V6, _DESTINATION_V6 = 3, 4, 5, 6
_SOURCE_PORT, _DESTINATION_PORT = 7, 8
_SECONDS, _MICROSECONDS = 9, 10
_KIND, _AGENT, _PAYLOAD, _CORRELATION, _NODE = 11, 12, 15, 17, 19
_AF_INET, _AF_INET6 = 2, 10
_TCP, _UDP = 6, 17
_SIP = 1
_chunk_head = struct.Struct(">HHH").pack


class Captured(NamedTuple):
    """One message on the wire."""

    at_us: int
    """Unix time in microseconds."""
    source: Peer
    destination: Peer
    payload: bytes


def encode(captured: Captured, *, correlation: str, node: str, agent: int) -> bytes:
    """The datagram for one message; ``correlation`` is what the legs of a call have in common.

    Raises:
        ValueError: an address is none, or the two are of different families.
    """
    at_s, at_us = divmod(captured.at_us, 1_000_000)
    source, destination = captured.source, captured.destination
    one, other = ip_address(source.host), ip_address(destination.host)
    if one.version != other.version:
        raise ValueError("addresses of two families")
    is_v6 = one.version == 6
    chunks = [
        _chunk(_FAMILY, bytes((_AF_INET6 if is_v6 else _AF_INET,))),
        _chunk(_PROTOCOL, bytes((_UDP if source.transport == "udp" else _TCP,))),
        _chunk(_SOURCE_V6 if is_v6 else _SOURCE_V4, one.packed),
        _chunk(_DESTINATION_V6 if is_v6 else _DESTINATION_V4, other.packed),
        _chunk(_SOURCE_PORT, source.port.to_bytes(2, "big")),
        _chunk(_DESTINATION_PORT, destination.port.to_bytes(2, "big")),
        _chunk(_SECONDS, at_s.to_bytes(4, "big")),
        _chunk(_MICROSECONDS, at_us.to_bytes(4, "big")),
        _chunk(_KIND, bytes((_SIP,))),
        _chunk(_AGENT, agent.to_bytes(4, "big")),
        _chunk(_NODE, node.encode()),
        _chunk(_CORRELATION, correlation.encode()),
        _chunk(_PAYLOAD, captured.payload[:LARGEST_PAYLOAD]),
    ]
    body = b"".join(chunks)
    return b"HEP3" + (6 + len(body)).to_bytes(2, "big") + body


def _chunk(kind: int, value: bytes) -> bytes:
    return _chunk_head(0, kind, 6 + len(value)) + value
