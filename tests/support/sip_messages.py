"""SIP messages and peers the unit tests share."""

from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft, request
from services.signaling.sip.message import Request, Response, parse

ALICE = Peer("udp", "198.51.100.7", 5060)
BOB = Peer("udp", "192.0.2.10", 5060)
TCP = Peer("tcp", "198.51.100.7", 40000, 3)

INVITE = b"""INVITE sip:14155550123@192.0.2.10:5060 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-524287-1---a1b2c3;rport
Max-Forwards: 70
From: "Alice" <sip:442071234567@198.51.100.7>;tag=a73kszlfl
To: <sip:14155550123@192.0.2.10>
Call-ID: 1j9FpLxk3uxtm8tn@198.51.100.7
CSeq: 1 INVITE
Contact: <sip:442071234567@198.51.100.7:5060;transport=udp>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE
Supported: timer, 100rel
User-Agent: Acme SBC 7.1
P-Asserted-Identity: <sip:442071234567@198.51.100.7>
Content-Type: application/sdp
Content-Length: 5

v=0
""".replace(b"\n", b"\r\n")


def edited(*edits: tuple[bytes, bytes], of: bytes = INVITE) -> bytes:
    """A message with each ``(old, new)`` applied; every ``old`` must be there."""
    for old, new in edits:
        assert old in of, old
        of = of.replace(old, new, 1)
    return of


def parsed_request(data: bytes = INVITE) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def parsed_response(data: bytes) -> Response:
    message = parse(data)
    assert isinstance(message, Response)
    return message


def invite_draft(**changes: str) -> RequestDraft:
    return request(
        "INVITE",
        "sip:14155550123@192.0.2.10",
        from_="<sip:alice@198.51.100.7>;tag=ours",
        to="<sip:14155550123@192.0.2.10>",
        call_id=changes.get("call_id", "call-1"),
        cseq=1,
        headers=["Contact: <sip:alice@198.51.100.7:5060>"],
        body=b"v=0\r\n",
    )


def response(
    status: int, *, to_tag: str = "theirs", cseq: str = "1 INVITE", extra: str = ""
) -> Response:
    """A response to a request of ours whose Via branch is ``z9hG4bK0``."""
    return parsed_response(
        (
            f"SIP/2.0 {status} Whatever\r\n"
            "Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK0\r\n"
            "From: <sip:alice@198.51.100.7>;tag=ours\r\n"
            f"To: <sip:14155550123@192.0.2.10>{';tag=' + to_tag if to_tag else ''}\r\n"
            f"Call-ID: call-1\r\nCSeq: {cseq}\r\n{extra}\r\n"
        ).encode()
    )
