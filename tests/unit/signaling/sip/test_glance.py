"""Refusals at a glance are those of the parser, byte for byte, or are left to it."""

from __future__ import annotations

import re

import pytest

from services.signaling.sip.actions import Peer, Send
from services.signaling.sip.glance import SHED_TAG, Kind, comes_first, glance, kind_of
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.matching import server_key
from services.signaling.sip.message import Request, parse

SOURCE = Peer("udp", "192.0.2.10", 5099, 1)
INVITE = b"\r\n".join(
    [
        b"INVITE sip:2000@203.0.113.1 SIP/2.0",
        b"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKabc",
        b"From: <sip:1000@192.0.2.10>;tag=f",
        b"To: <sip:2000@203.0.113.1>",
        b"Call-ID: call@192.0.2.10",
        b"CSeq: 1 INVITE",
        b"Contact: <sip:1000@192.0.2.10>",
        b"Content-Length: 0",
        b"",
        b"",
    ]
)
TAG = SHED_TAG.encode()
VIA = b"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKabc"


def with_via(via: bytes) -> bytes:
    return INVITE.replace(VIA, via)


USUAL = [
    INVITE,
    with_via(b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKabc"),
    with_via(b"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKabc;rport"),
    with_via(b"Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKabc"),
    with_via(b"Via: SIP/2.0/UDP PBX.example.com:5070;branch=z9hG4bKabc"),
    with_via(b"Via: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKabc"),
    with_via(b"Via: SIP/2.0/UDP [2001:db8::1]:5061;rport;branch=z9hG4bKabc"),
    INVITE.replace(b"\r\n\r\n", b"\r\nX-Foo: bar\r\n\r\nv=0\r\n"),
    INVITE.replace(b"From: <", b'From: "A, B" <'),
]


@pytest.mark.parametrize("data", USUAL)
@pytest.mark.parametrize("headers", [(), ("Retry-After: 5",)])
def test_the_same_answer_as_that_of_the_parser(data: bytes, headers: tuple[str, ...]) -> None:
    layer = TransactionLayer(sent_by="203.0.113.1:5060", ids=lambda: "x" * 16)
    request = parse(data)
    assert isinstance(request, Request)
    seen = glance(data)
    assert seen is not None
    assert seen.transaction == server_key(request) == layer.new_call(request)
    (slow,) = layer.shed(request, SOURCE, headers)
    assert isinstance(slow, Send)
    fast = seen.refusal(SOURCE, "".join(f"\r\n{line}" for line in headers).encode())
    assert fast.peer == slow.peer
    lines = re.sub(rb"(?<=\r\nContent-Length:) +", b" ", fast.data).split(b"\r\n")
    assert sorted(lines) == sorted(slow.data.split(b"\r\n"))
    assert re.search(rb"\r\nContent-Length: +0\r\n\r\n$", fast.data)
    assert len(fast.data) % 32 == 0
    parsed = parse(fast.data)
    assert parsed.to_tag.startswith(SHED_TAG)


@pytest.mark.parametrize(
    "data",
    [
        INVITE[:-2],
        INVITE.replace(b"To: <sip:2000@203.0.113.1>", b"To: <sip:2000@203.0.113.1>;tag=t"),
        INVITE.replace(b"To: <sip:2000@203.0.113.1>", b"To: <sip:2000@203.0.113.1>;TAG=t"),
        INVITE.replace(VIA, VIA + b"\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKd"),
        INVITE.replace(VIA, VIA + b"\r\nv: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKd"),
        INVITE.replace(VIA, VIA + b"\r\nVIA : SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKd"),
        with_via(VIA + b", SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKd"),
        with_via(b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport=5;branch=z9hG4bKabc"),
        with_via(b"Via: SIP/2.0/UDP 192.0.2.10:5060;received=1.2.3.4;branch=z9hG4bKabc"),
        with_via(b"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=abc"),
        with_via(b"Via: SIP/2.0/UDP 192.0.2.10:99999;branch=z9hG4bKabc"),
        with_via(b"Via: SIP/2.0/UDP 192.0.2.10:5060"),
        with_via(b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;rport"),
        with_via(b"Via:SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKabc"),
        INVITE.replace(b"From:", b"f:"),
        INVITE.replace(b"Call-ID:", b"call-id:"),
        INVITE.replace(b"CSeq:", b"CSeqX:"),
        INVITE.replace(b"Contact: ", b"Contact:\r\n "),
        INVITE.replace(b"tag=f", b"tag=f\nX: y"),
        INVITE.replace(b"tag=f", b"tag=f\rX: y"),
        INVITE.replace(b"tag=f", b"tag=\0f"),
        *(INVITE[:-4] + line * 200 for line in (b"\r\nX: y", b"\r\nContact: y", b"\r\nVary: y")),
        b"", b"INVITE", b"\r\n\r\n",
    ],
)  # fmt: skip
def test_whatever_is_written_otherwise_is_left_to_the_parser(data: bytes) -> None:
    assert glance(data) is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"ACK sip:x SIP/2.0\r\nTo: <sip:x>;tag=%b01\r\n\r\n" % TAG, Kind.ACK_OF_SHED),
        (b"ACK sip:x SIP/2.0\r\nTo: <sip:x>;tag=a\r\n\r\n", Kind.OTHER),
        (b"BYE sip:x SIP/2.0\r\nTo: <sip:x>;tag=%b01\r\n\r\n" % TAG, Kind.OTHER),
        (b"CANCEL sip:x SIP/2.0", Kind.CANCEL),
        (b"SIP/2.0 200 OK", Kind.OTHER),
        (INVITE, Kind.NEW_CALL),
        (INVITE.replace(b"To: <sip:2000@203.0.113.1>", b"To: <sip:x>;tag=t"), Kind.OTHER),
        (INVITE.replace(b"To:", b"t:"), Kind.OTHER),  # nobody has looked for a tag there
    ],
)
def test_kinds_of_messages(data: bytes, kind: Kind) -> None:
    assert kind_of(data) is kind


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (INVITE, True),
        (b"SIP/2.0 180 Ringing\r\n", True),
        (b"SIP/2.0 183 Session Progress\r\n", True),
        (b"BYE sip:x SIP/2.0\r\n", True),  # before who dials next
        (b"SIP/2.0 100 Trying\r\n", True),
        (b"SIP/2.0 200 OK\r\n", False),  # to an INVITE that is waited for, or a BYE that is not
        (INVITE.replace(b"To: <sip:2000@203.0.113.1>", b"To: <sip:x>;tag=t"), False),
        (b"CANCEL sip:x SIP/2.0\r\n", False),  # must not come before its INVITE
        (b"", False),
    ],
)
def test_what_somebody_listens_for_comes_first(data: bytes, first: bool) -> None:
    assert comes_first(data) is first
