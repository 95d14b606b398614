"""HEP version 3, taken apart by hand."""

from __future__ import annotations

import struct

import pytest

from services.signaling.core.hep import LARGEST_PAYLOAD, Captured, encode
from services.signaling.sip.actions import Peer

ONE = Peer("udp", "192.0.2.1", 5060)
OTHER = Peer("udp", "198.51.100.2", 5070)
AT_US = 1_767_323_045_123_456


def chunks(data: bytes) -> dict[int, bytes]:
    """Values by type; the framing must add up."""
    assert data[:4] == b"HEP3"
    assert int.from_bytes(data[4:6], "big") == len(data)
    found, at = {}, 6
    while at < len(data):
        vendor, kind, size = struct.unpack_from(">HHH", data, at)
        assert vendor == 0
        assert kind not in found
        found[kind] = data[at + 6 : at + size]
        at += size
    assert at == len(data)
    return found


def sent(source: Peer, destination: Peer, payload: bytes = b"BYE") -> dict[int, bytes]:
    captured = Captured(AT_US, source, destination, payload)
    return chunks(encode(captured, correlation="cal_1", node="sig-1", agent=2001))


def test_an_ipv4_datagram() -> None:
    assert sent(ONE, OTHER) == {
        1: b"\x02",
        2: b"\x11",
        3: bytes((192, 0, 2, 1)),
        4: bytes((198, 51, 100, 2)),
        7: (5060).to_bytes(2, "big"),
        8: (5070).to_bytes(2, "big"),
        9: (1_767_323_045).to_bytes(4, "big"),
        10: (123_456).to_bytes(4, "big"),
        11: b"\x01",
        12: (2001).to_bytes(4, "big"),
        19: b"sig-1",
        17: b"cal_1",
        15: b"BYE",
    }


def test_an_ipv6_stream_message() -> None:
    v6 = sent(Peer("tls", "2001:db8::1", 5061, 7), Peer("tls", "2001:db8::2", 40_000))
    assert (v6[1], v6[2]) == (b"\x0a", b"\x06")
    assert v6[5] == bytes.fromhex("20010db8000000000000000000000001")
    assert v6[6] == bytes.fromhex("20010db8000000000000000000000002")
    assert 3 not in v6


def test_a_message_too_long_for_a_datagram_is_cut() -> None:
    assert len(sent(ONE, OTHER, b"x" * 65_535)[15]) == LARGEST_PAYLOAD


@pytest.mark.parametrize("host", ["vendor.example", "2001:db8::1"])
def test_what_cannot_be_written_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        sent(ONE, Peer("udp", host, 5060))
