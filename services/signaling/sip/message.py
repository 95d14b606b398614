"""SIP messages: a lazy, bounded parser over raw bytes (RFC 3261 section 7).

:func:`parse` splits the start line and the header lines and applies the checks every message
needs; typed accessors look deeper when asked, once. New requests deserve
:func:`services.signaling.sip.validate.validate` on top.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import (
    CSeq,
    NameAddr,
    Via,
    first_item,
    is_token,
    parse_number,
    split_list,
)
from services.signaling.sip.names import (
    CANONICAL,
    LISTED,
    MANDATORY,
    METHODS,
    SINGLE,
    canonical_name,
)
from services.signaling.sip.uri import Uri, parse_uri


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is looked at, all in bytes except the count."""

    message: int = 65_535
    """The largest UDP datagram; over TCP a larger message is an attack."""
    header_line: int = 8_192
    """Identity headers with certificates' URLs stay below 2 kB; nothing honest comes near."""
    header_count: int = 256
    """Room for 70 hops of Via and Record-Route."""


DEFAULT_LIMITS: Final = Limits()
UNLIMITED: Final = Limits(2**31, 2**31, 2**31)
"""For messages we wrote ourselves."""

_FOLD: Final = re.compile(r"\r\n[ \t]+")
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.I)


class Message:
    """What requests and responses share: header lines and typed access to them.

    A base class, although the house prefers none: the accessors are one concept, and
    delegating them costs a call on every access.
    """

    __slots__ = (
        "_contact", "_cseq", "_first", "_from", "_more", "_to", "_via", "body", "has_nul",
        "lines",
    )  # fmt: skip

    def __init__(
        self, lines: list[str], first: dict[str, str], more: dict[str, list[str]], body: bytes
    ) -> None:
        self.lines = lines
        """Header lines in order, as received except that folded ones are joined by a space."""
        self.body = body
        self.has_nul = False
        """Whether a header holds a NUL, legal in quoted text only; such lines are not copied."""
        self._first = first
        self._more = more
        self._via: Via | None = None
        self._cseq: CSeq | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._contact: NameAddr | None = None

    def has(self, name: str) -> bool:
        """Whether a header is present; here and below, ``name`` is long and in lower case."""
        return name in self._first

    def first(self, name: str) -> str | None:
        """The value of the first such line, stripped, commas and all."""
        line = self._first.get(name)
        return None if line is None else line[line.index(":") + 1 :].strip(" \t")

    def headers(self, name: str) -> list[str]:
        """All values in order; lines of comma-separated values are split."""
        values = [line[line.index(":") + 1 :].strip(" \t") for line in self.raw_lines(name)]
        if name not in LISTED:
            return values
        return [item for value in values for item in split_list(value)]

    def raw_lines(self, name: str) -> list[str]:
        """All such lines, name included, to be copied through unchanged."""
        line = self._first.get(name)
        if line is None:
            return []
        more = self._more.get(name)
        return [line] if more is None else [line, *more]

    def _require(self, name: str) -> str:
        line = self._first.get(name)
        if line is None:
            raise MalformedMessage(f"Missing {name}")
        return line[line.index(":") + 1 :].strip(" \t")

    @property
    def via(self) -> Via:
        """The topmost Via value."""
        via = self._via
        if via is None:
            via = self._via = Via.parse(first_item(self._require("via")))
        return via

    @property
    def cseq(self) -> CSeq:
        """Sequence number and method."""
        cseq = self._cseq
        if cseq is None:
            cseq = self._cseq = CSeq.parse(self._require("cseq"))
        return cseq

    @property
    def from_(self) -> NameAddr:
        """The From value."""
        address = self._from
        if address is None:
            address = self._from = NameAddr.parse(self._require("from"))
        return address

    @property
    def to(self) -> NameAddr:
        """The To value."""
        to = self._to
        if to is None:
            to = self._to = NameAddr.parse(self._require("to"))
        return to

    @property
    def from_tag(self) -> str:
        """The tag of From; ``""`` when there is none (RFC 2543 clients)."""
        return self.from_.tag or ""

    @property
    def to_tag(self) -> str:
        """The tag of To; ``""`` when there is none."""
        return self.to.tag or ""

    @property
    def call_id(self) -> str:
        """The Call-ID value; ``""`` when missing."""
        return self.first("call-id") or ""

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact value."""
        if self._contact is None and (value := self.first("contact")) is not None:
            self._contact = NameAddr.parse(first_item(value))
        return self._contact

    @property
    def max_forwards(self) -> int | None:
        """Hops left; ``None`` when not said (RFC 2543)."""
        value = self.first("max-forwards")
        return None if value is None else parse_number(value, 255)

    @property
    def content_type(self) -> str:
        """Media type, lower case, without parameters; ``""`` when there is none."""
        return (self.first("content-type") or "").partition(";")[0].strip(" \t").lower()


class Request(Message):
    """A request. ``method`` is case-sensitive; ``uri`` is as written."""

    __slots__ = ("_address", "method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        lines: list[str],
        first: dict[str, str],
        more: dict[str, list[str]],
        body: bytes,
    ) -> None:
        super().__init__(lines, first, more, body)
        self.method = method
        self.uri = uri
        self._address: Uri | None = None

    @property
    def address(self) -> Uri:
        """The request URI parsed. Raises :class:`MalformedMessage` when it breaks the grammar."""
        address = self._address
        if address is None:
            address = self._address = parse_uri(self.uri)
        return address

    def stamp_source(self, host: str, port: int) -> None:
        """Note in the top Via where this came from (section 18.2.1, RFC 3581 section 4).

        Responses echo it. A ``received`` the sender wrote himself is replaced.

        Raises:
            MalformedMessage: the Via breaks the grammar, and stays as it is.
        """
        via = self.via
        stamped = via.stamped(host, port)
        if stamped is not None:
            self._first["via"] = self._first["via"].replace(via.text, stamped, 1)


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        lines: list[str],
        first: dict[str, str],
        more: dict[str, list[str]],
        body: bytes,
    ) -> None:
        super().__init__(lines, first, more, body)
        self.status = status
        self.reason = reason


def parse(
    data: bytes, *, stream: bool = False, limits: Limits = DEFAULT_LIMITS
) -> Request | Response:
    """Parse one datagram, or one message cut out of a stream by :mod:`.stream`.

    Over UDP, bytes past Content-Length are ignored and a missing Content-Length means the
    rest of the datagram (section 18.3); over a stream the length must fit exactly.

    Raises:
        MalformedMessage: it carries the message as far as it could be split.
    """
    if len(data) > limits.message:
        raise MalformedMessage("Message too large", 513)
    if data.startswith(b"\r\n"):
        data = data.lstrip(b"\r\n")  # section 7.5
    head_bytes, blank, body = data.partition(b"\r\n\r\n")
    head = head_bytes.decode("latin-1")
    if "\r\n " in head or "\r\n\t" in head:
        head = _FOLD.sub(" ", head)
    lines = head.split("\r\n")
    start_line = lines.pop(0)
    first: dict[str, str] = {}
    more: dict[str, list[str]] = {}
    breaks = len(lines)
    problem = _index(lines, first, more, limits)
    if head.count("\n") != breaks or head.count("\r") != breaks:
        # Its lines cannot be echoed without sending the break on.
        raise MalformedMessage("Stray line break")
    if len(head) > limits.header_line < max(map(len, [start_line, *lines])):
        problem = "Line too long"
    elif not blank:
        problem = "Headers without end"
    message, start_problem, status = _start(start_line, lines, first, more, body)
    message.has_nul = "\0" in head
    problem = start_problem or problem or _missing(message) or _fit_body(message, stream=stream)
    if problem:
        raise MalformedMessage(problem, status, message)
    return message


def _index(
    lines: list[str], first: dict[str, str], more: dict[str, list[str]], limits: Limits
) -> str | None:
    """File the lines under their canonical names; the problem found, if any."""
    problem = None
    if len(lines) > limits.header_count:
        del lines[limits.header_count :]
        problem = "Too many headers"
    canonical = CANONICAL
    for line in lines:
        name, colon, _ = line.partition(":")
        key = canonical.get(name) or canonical_name(name)
        if not key or not colon:
            problem = "Malformed header line"
        elif key not in first:
            first[key] = line
        elif key in SINGLE:
            problem = f"Repeated {key}"
        else:
            more.setdefault(key, []).append(line)
    return problem


def _start(
    line: str,
    lines: list[str],
    first: dict[str, str],
    more: dict[str, list[str]],
    body: bytes,
) -> tuple[Request | Response, str | None, int]:
    """The message, the problem of its start line if any, and the status that deserves."""
    if line.startswith("SIP/"):
        response = _response(line, lines, first, more, body)
        return response, None, 400
    parts = line.split(" ")
    method, version = parts[0], parts[-1]
    if len(parts) == 3 and version == "SIP/2.0" and parts[1] and _is_method(method):
        return Request(method, parts[1], lines, first, more, body), None, 400
    words = [part for part in parts if part]
    if len(words) < 3 or not _VERSION.fullmatch(words[-1]) or not _is_method(words[0]):
        raise MalformedMessage("Not SIP")
    request = Request(words[0], " ".join(words[1:-1]), lines, first, more, body)
    if words[-1].upper() != "SIP/2.0":
        return request, "Version Not Supported", 505
    return request, None if words == parts and len(parts) == 3 else "Malformed request line", 400


def _is_method(text: str) -> bool:
    return text in METHODS or is_token(text)


def _response(
    line: str,
    lines: list[str],
    first: dict[str, str],
    more: dict[str, list[str]],
    body: bytes,
) -> Response:
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version != "SIP/2.0" or len(code) != 3 or not (code.isascii() and code.isdigit()):
        raise MalformedMessage("Malformed status line")
    status = int(code)
    if not 100 <= status <= 699:
        raise MalformedMessage("Status out of range")
    return Response(status, reason, lines, first, more, body)


def _missing(message: Message) -> str | None:
    if message._first.keys() >= MANDATORY:
        return None
    return "Missing " + min(MANDATORY - message._first.keys())


def _fit_body(message: Message, *, stream: bool) -> str | None:
    """Cut the body to its Content-Length; the problem found, if any."""
    text = message.first("content-length")
    available = len(message.body)
    if text is None:
        return "Missing Content-Length" if stream else None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return "Malformed Content-Length"
    length = int(text)
    if length == available:
        return None
    if length > available or stream:
        return "Content-Length does not fit"
    message.body = message.body[:length]
    return None


def has_single_via(message: Message) -> bool:
    """Whether no proxy stands between its sender and us, or for a response, below us."""
    return "via" not in message._more and "," not in message._first.get("via", "")


def is_new_call(data: bytes) -> bool:
    """Whether a datagram looks like an INVITE, told from its first bytes: for shedding load."""
    return data.startswith(b"INVITE ")
