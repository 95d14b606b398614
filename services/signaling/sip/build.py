"""Writing messages: joins of ready header lines, checked once as a whole.

Header lines are ``"Name: value"`` strings without line break, so constant ones (Allow,
User-Agent) are written once per process and received ones pass through unchanged. No
argument can smuggle in a line: :class:`.errors.UnsafeText` is raised instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from services.signaling.sip.errors import MalformedMessage, UnsafeText
from services.signaling.sip.headers import is_token
from services.signaling.sip.message import Request, Response
from services.signaling.sip.names import METHODS

REASONS: Final[dict[int, str]] = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued",
    183: "Session Progress", 199: "Early Dialog Terminated", 200: "OK", 202: "Accepted",
    204: "No Notification", 300: "Multiple Choices", 301: "Moved Permanently",
    302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request",
    401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required",
    408: "Request Timeout", 410: "Gone", 412: "Conditional Request Failed",
    413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 417: "Unknown Resource-Priority", 420: "Bad Extension",
    421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
    424: "Bad Location Information", 428: "Use Identity Header", 429: "Provide Referrer Identity",
    430: "Flow Failed", 433: "Anonymity Disallowed", 436: "Bad Identity Info",
    437: "Unsupported Credential", 438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support", 440: "Max-Breadth Exceeded", 469: "Bad Info Package",
    470: "Consent Needed", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 493: "Undecipherable",
    494: "Security Agreement Required", 500: "Server Internal Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
    505: "Version Not Supported", 513: "Message Too Large",
    555: "Push Notification Service Not Supported", 580: "Precondition Failure",
    600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
    607: "Unwanted", 608: "Rejected",
}  # fmt: skip
"""Reason phrases of the IANA registry."""


_START_LINES: Final = {code: f"SIP/2.0 {code} {reason}" for code, reason in REASONS.items()}


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A response ready for the wire."""

    status: int
    data: bytes
    to_tag: str
    """The tag of its To; ``""`` when there is none (a 100)."""
    rseq: int = 0
    """Of a provisional response that is to be repeated until its PRACK; it stands in there."""


class RequestDraft:
    """A request complete but for its Via, which the transaction layer adds when sending."""

    __slots__ = ("body", "call_id", "cseq", "from_", "lines", "method", "to", "uri")

    def __init__(self, method: str, uri: str, lines: list[str], body: bytes) -> None:
        self.method = method
        self.uri = uri
        self.lines = lines
        """Header lines but Via and Content-Length."""
        self.body = body
        self.from_ = self.to = self.call_id = ""
        """Header values, for the dialog the answer will make."""
        self.cseq = 0

    def wire(self, via_line: str) -> bytes:
        """The bytes to send.

        Raises:
            UnsafeText: any part of the draft holds a line break, NUL or non-latin-1 text.
        """
        method, uri = self.method, self.uri
        if not uri or " " in uri or not (method in METHODS or is_token(method)):
            raise UnsafeText("malformed method or request URI")
        lines = [f"{method} {uri} SIP/2.0", via_line, *self.lines]
        _check(lines)
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return _encode("\r\n".join(lines)) + self.body


def request(
    method: str,
    uri: str,
    *,
    from_: str,
    to: str,
    call_id: str,
    cseq: int,
    max_forwards: int = 70,
    route: Sequence[str] = (),
    headers: Iterable[str] = (),
    body: bytes = b"",
    content_type: str = "application/sdp",
) -> RequestDraft:
    """Draft a request.

    ``from_`` and ``to`` are whole header values, tags included. ``route`` holds Route values
    (``<sip:...;lr>``). ``headers`` are whole lines, Contact among them. ``content_type`` counts
    only when there is a body.
    """
    lines = [f"Route: {hop}" for hop in route]
    lines += [
        f"Max-Forwards: {max_forwards}",
        f"From: {from_}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *headers,
    ]
    if body:
        lines.append(f"Content-Type: {content_type}")
    draft = RequestDraft(method, uri, lines, body)
    draft.from_, draft.to, draft.call_id, draft.cseq = from_, to, call_id, cseq
    return draft


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    headers: Iterable[str] = (),
    body: bytes = b"",
    content_type: str = "application/sdp",
) -> Reply:
    """Answer a request, even one that could only be split (section 8.2.6).

    Via, From, To, Call-ID and CSeq are echoed byte for byte; ``to_tag`` is added to a To that
    has none. Record-Route is copied into what may establish a dialog (section 12.1.1).

    Raises:
        UnsafeText: an argument holds a line break, NUL or non-latin-1 text.
    """
    start = _START_LINES.get(status) or f"SIP/2.0 {status} Unknown"
    if reason is not None:
        start = f"SIP/2.0 {status} {reason}"
        _check([start])
    # What is echoed was received in whole lines, so only what is added needs a look.
    try:
        own_tag = request.to_tag
    except MalformedMessage:
        own_tag = ""  # of a To that cannot be parsed, and is echoed as it is
    to_line = request._first.get("to")
    to_text = "" if to_line is None else "\r\n" + to_line
    if own_tag:
        to_tag = own_tag
    elif to_tag:
        _check([to_tag])
        to_text = to_text and f"{to_text};tag={to_tag}"
    added = [*headers]
    if body:
        added.append("Content-Type: " + content_type)
    text = ""
    if added:
        _check(added)
        text = "\r\n".join(["", *added])
    head = (
        f"{start}{request._echo or _echo(request, status)}{to_text}{text}"
        f"\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Reply(status, _encode(head) + body, to_tag)


def _echo(request: Request, status: int) -> str:
    """The lines a response repeats, but To, each after a line break."""
    first = request._first
    lines = request.raw_lines("via")
    if status == 100 and "timestamp" in first:
        lines.append(first["timestamp"])  # section 8.2.6.1
    if 100 < status < 300:
        lines += request.raw_lines("record-route")
    lines += [line for name in ("from", "call-id", "cseq") if (line := first.get(name))]
    echo = "\r\n".join(["", *lines])
    if "timestamp" not in first and "record-route" not in first:
        request._echo = echo
    return echo


def header(name: str, value: str) -> str:
    """One header line from untrusted text.

    Raises:
        UnsafeText: the value holds a control character or non-latin-1 text.
    """
    line = f"{name}: {value}"
    _check([line])
    _encode(line)
    return line


def ack_for(invite: Request, response: Response) -> bytes:
    """The ACK of a non-2xx final response, on the INVITE's own branch (section 17.1.1.3)."""
    lines = [
        f"ACK {invite.uri} SIP/2.0",
        *invite.raw_lines("via")[:1],
        *invite.raw_lines("route"),
        "Max-Forwards: 70",
        *invite.raw_lines("from"),
        *response.raw_lines("to"),
        *invite.raw_lines("call-id"),
        f"CSeq: {invite.cseq.number} ACK",
    ]
    return _assemble(lines)


def cancel_for(invite: Request, headers: Iterable[str] = ()) -> bytes:
    """The CANCEL of an INVITE of ours, on its branch (section 9.1); ``headers``: Reason."""
    lines = [
        f"CANCEL {invite.uri} SIP/2.0",
        *invite.raw_lines("via")[:1],
        *invite.raw_lines("route"),
        "Max-Forwards: 70",
        *invite.raw_lines("from"),
        *invite.raw_lines("to"),
        *invite.raw_lines("call-id"),
        f"CSeq: {invite.cseq.number} CANCEL",
    ]
    return _assemble(lines, [*headers])


def _assemble(lines: list[str], added: Sequence[str] = ()) -> bytes:
    """A message without body of received lines and ``added`` ones, which are checked."""
    _check(added)
    return _encode("\r\n".join([*lines, *added, "Content-Length: 0\r\n\r\n"]))


def _check(lines: Sequence[str]) -> None:
    """Refuse lines that would not be the same lines once they are joined."""
    text = "".join(lines)
    if "\r" in text or "\n" in text or "\0" in text:
        raise UnsafeText("line break or NUL in a header")
    # Most lines begin with a letter, and what begins with less is the least of them.
    if min(lines, default="!") < "!" and any(line[:1] in " \t" for line in lines):
        raise UnsafeText("empty or folded header line")


def _encode(head: str) -> bytes:
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UnsafeText("text outside latin-1: see wire_text()") from error
