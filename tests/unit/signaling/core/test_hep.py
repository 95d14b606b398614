"""HEP version 3, read by a decoder written from its specification."""

from __future__ import annotations

import datetime as dt

import pytest

from services.signaling.core.hep import LARGEST_PAYLOAD, Captured, encode
from services.signaling.sip.actions import Peer
from tests.support.hep import AF_INET, AF_INET6, SIP, Malformed, Packet, decode

ONE = Peer("udp", "192.0.2.1", 5060)
OTHER = Peer("udp", "198.51.100.2", 5070)
AT_US = 1_767_323_045_123_456
EXAMPLE = bytes.fromhex(
    "48455033 0071"
    "0000 0001 0007 02"
    "0000 0002 0007 11"
    "0000 0003 000a d4ca0001"
    "0000 0004 000a 527400d3"
    "0000 0007 0008 2eea"
    "0000 0008 0008 13c4"
    "0000 0009 000a 4e4982cb"
    "0000 000a 000a 0001d4c0"
    "0000 000b 0007 01"
    "0000 000c 000a 000000e4"
    "0000 000f 0014 494e56495445207369703a626f62"
)
"""The example at the end of the specification."""


def sent(
    source: Peer, destination: Peer, payload: bytes = b"BYE", at_us: int = AT_US, agent: int = 2001
) -> Packet:
    captured = Captured(at_us, source, destination, payload)
    return decode(encode(captured, correlation="cal_1", node="sig-1", agent=agent))


def test_the_decoder_reads_the_example_of_the_specification() -> None:
    assert decode(EXAMPLE) == Packet(
        family=AF_INET,
        protocol="udp",
        source="212.202.0.1",
        source_port=12010,
        destination="82.116.0.211",
        destination_port=5060,
        at=dt.datetime(2011, 8, 15, 20, 34, 19, 120_000, tzinfo=dt.UTC),
        kind=SIP,
        agent=228,
        payload=b"INVITE sip:bob",
        order=[1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 15],
    )


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (EXAMPLE[:-1], "total length"),
        (b"HEP2" + EXAMPLE[4:], "identifier"),
        (EXAMPLE.replace(bytes.fromhex("000a000a"), bytes.fromhex("000a0005"), 1), "length"),
        (EXAMPLE.replace(bytes.fromhex("00000007"), bytes.fromhex("00000009"), 1), "uint32"),
        (EXAMPLE.replace(bytes.fromhex("0001d4c0"), bytes.fromhex("000f4240"), 1), "second"),
        (EXAMPLE.replace(bytes.fromhex("0001000702"), bytes.fromhex("000100070a"), 1), "family"),
    ],
)
def test_the_decoder_is_strict(broken: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode(broken)


def test_an_ipv4_datagram() -> None:
    assert sent(ONE, OTHER) == Packet(
        family=AF_INET,
        protocol="udp",
        source="192.0.2.1",
        source_port=5060,
        destination="198.51.100.2",
        destination_port=5070,
        at=dt.datetime(2026, 1, 2, 3, 4, 5, 123_456, tzinfo=dt.UTC),
        kind=SIP,
        agent=2001,
        payload=b"BYE",
        correlation="cal_1",
        node="sig-1",
        order=[1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 19, 17, 15],
    )


@pytest.mark.parametrize(
    ("transport", "protocol"),
    [("udp", "udp"), ("tcp", "tcp"), ("tls", "tcp"), ("ws", "tcp"), ("wss", "tcp")],
)
def test_every_transport_over_ipv6(transport: str, protocol: str) -> None:
    packet = sent(
        Peer(transport, "2001:db8::1", 5061, 71), Peer(transport, "2001:db8::ffff:2", 40_000)
    )
    assert (packet.family, packet.protocol) == (AF_INET6, protocol)
    assert (packet.source, packet.source_port) == ("2001:db8::1", 5061)
    assert (packet.destination, packet.destination_port) == ("2001:db8::ffff:2", 40_000)
    assert packet.order[2:4] == [5, 6]


@pytest.mark.parametrize(
    ("at_us", "at"),
    [
        (AT_US - AT_US % 1_000_000, dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        (AT_US // 1_000_000 * 1_000_000 + 999_999,
         dt.datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=dt.UTC)),
        # Beyond what a signed number of seconds holds.
        (2_147_483_648_000_001, dt.datetime(2038, 1, 19, 3, 14, 8, 1, tzinfo=dt.UTC)),
    ],
)  # fmt: skip
def test_the_time_to_the_microsecond(at_us: int, at: dt.datetime) -> None:
    assert sent(ONE, OTHER, at_us=at_us).at == at


def test_numbers_and_octets_at_their_ends() -> None:
    payload = bytes(range(256))
    packet = sent(ONE._replace(port=1), OTHER._replace(port=65_535), payload, agent=2**32 - 1)
    assert (packet.source_port, packet.destination_port) == (1, 65_535)
    assert (packet.agent, packet.payload) == (2**32 - 1, payload)


def test_a_message_too_long_for_a_datagram_is_cut() -> None:
    assert len(sent(ONE, OTHER, b"x" * 65_535).payload) == LARGEST_PAYLOAD


@pytest.mark.parametrize("host", ["vendor.example", "2001:db8::1"])
def test_what_cannot_be_written_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        sent(ONE, Peer("udp", host, 5060))
