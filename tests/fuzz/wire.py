"""Messages of the parties of a fuzzed switch, and what holds for those of the switch itself."""

from __future__ import annotations

from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import Request, Response, parse
from services.signaling.sip.validate import Capabilities, validate

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 6 RTP/AVP 0\r\n"
)
ANYTHING = Capabilities(
    methods=(
        "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "MESSAGE", "PRACK",
        "REFER", "NOTIFY", "REGISTER",
    ),
    extensions=frozenset({"timer", "100rel", "replaces", "path"}),
)  # fmt: skip
"""Of who refuses nothing but what breaks the grammar."""


def attempt(
    data: bytes, *, stream: bool
) -> tuple[Request | Response | None, MalformedMessage | None]:
    """The message, or why it is none."""
    try:
        return parse(data, stream=stream), None
    except MalformedMessage as error:
        return None, error


def check_sent(data: bytes, peer: Peer) -> None:
    """Requests of ours keep the whole grammar; answers at least frame, and go to who asked."""
    message, error = attempt(data, stream=True)
    if error is not None:
        # A refusal echoes what it refuses, byte for byte; even so it frames nothing else.
        assert isinstance(error.message, Response), data
        assert error.message.status >= 400, data
        assert data.endswith(b"Content-Length: 0\r\n\r\n"), data
        assert data.count(b"\r\n\r\n") == 1, data
    if isinstance(message, Request):
        assert validate(message, ANYTHING) is None, data
        assert peer.host, data


def first_request(method: str, call_id: str, cseq: int, *, body: bytes = b"") -> bytes:
    head = (
        f"{method} sip:2000@127.0.0.1:25060 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK{method}{call_id}{cseq};rport\r\n"
        f"From: caller <sip:1000@127.0.0.1:25070>;tag=f{call_id}\r\nTo: <sip:2000@127.0.0.1>\r\n"
        f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:1000@127.0.0.1:25070>\r\n"
        f"Max-Forwards: 70\r\nSubject: x\r\n"
    )
    if body:
        head += "Content-Type: application/sdp\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def in_dialog(about: bytes, method: str, cseq: int, body: bytes) -> bytes:
    """A request of the party that got ``about`` from us, in the same dialog."""
    try:
        message = parse(about)
        number = message.cseq.number
        message.to_tag  # noqa: B018 - may be an echo of rubbish
    except MalformedMessage:
        return b""
    if isinstance(message, Response):
        local, remote = message.first("from"), message.first("to")
        if method not in {"ACK", "CANCEL"}:
            number = cseq + 1
    else:
        remote, local = message.first("from"), message.first("to")
        local = f"{local};tag=callee" if not message.to_tag else local
        number = cseq + 1
    lines = [
        f"{method} sip:x@127.0.0.1:25060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bKd{method}{number}{message.call_id}",
        f"From: {local}",
        f"To: {remote}",
        f"Call-ID: {message.call_id}",
        f"CSeq: {number} {method}",
        "Contact: <sip:x@127.0.0.1:25070>",
        "Max-Forwards: 70",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}\r\n\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1") + body
