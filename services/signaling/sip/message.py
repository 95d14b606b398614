"""SIP messages: a lazy, bounded parser over raw bytes (RFC 3261 section 7).

:func:`parse` splits the start line and the header lines and applies the checks every message
needs; typed accessors look deeper when asked, once. New requests deserve
:func:`services.signaling.sip.validate.validate` on top.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import (
    USUAL_ADDRESS,
    CSeq,
    NameAddr,
    Via,
    first_item,
    is_token,
    line_value,
    parse_number,
    read_address,
    read_via,
    split_list,
    tag_in,
)
from services.signaling.sip.names import (
    CANONICAL,
    LISTED,
    MANDATORY,
    METHODS,
    SINGLE,
    learn_name,
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

_FOLD: Final = re.compile(rb"\r\n[ \t]+")
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+", re.I)
_AFTER_STATUS: Final = frozenset({"", " "})
_STATUSES: Final = {str(status): status for status in range(100, 700)}


def _missing(name: str) -> NoReturn:
    raise MalformedMessage(f"Missing {name}")


class Message:
    """What requests and responses share: header lines and typed access to them.

    A base class, although the house prefers none: the accessors are one concept, and
    delegating them costs a call on every access.
    """

    __slots__ = (
        "_call_id",
        "_contact",
        "_cseq",
        "_first",
        "_from",
        "_more",
        "_to",
        "_to_tag",
        "_via",
        "body",
        "has_nul",
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
        self._call_id: str | None = None
        self._to_tag: str | None = None

    @property
    def names(self) -> list[str]:
        """Every header that is present, each once, long and in lower case."""
        return [*self._first]

    def has(self, name: str) -> bool:
        """Whether a header is present; here and below, ``name`` is long and in lower case."""
        return name in self._first

    def has_any(self, names: tuple[str, ...]) -> bool:
        """Whether any of these headers is present."""
        return not self._first.keys().isdisjoint(names)

    def first(self, name: str) -> str | None:
        """The value of the first such line, stripped, commas and all."""
        line = self._first.get(name)
        return None if line is None else line.partition(":")[2].strip(" \t")

    def headers(self, name: str) -> list[str]:
        """All values in order; lines of comma-separated values are split."""
        if name not in self._first:
            return []
        values = [line_value(line) for line in self.raw_lines(name)]
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

    @property
    def top_via_line(self) -> str:
        """The first Via line as received, name included."""
        return self._first.get("via") or _missing("via")

    @property
    def via(self) -> Via:
        """The topmost Via value."""
        via = self._via
        if via is None:
            line = self._first.get("via") or _missing("via")
            via = self._via = read_via(line)
        return via

    @property
    def cseq(self) -> CSeq:
        """Sequence number and method."""
        cseq = self._cseq
        if cseq is None:
            cseq = self._cseq = _cseq_of(self._first.get("cseq") or _missing("cseq"))
        return cseq

    @property
    def from_(self) -> NameAddr:
        """The From value."""
        address = self._from
        if address is None:
            line = self._first.get("from") or _missing("from")
            address = self._from = read_address(line)
        return address

    @property
    def to(self) -> NameAddr:
        """The To value."""
        to = self._to
        if to is None:
            line = self._first.get("to") or _missing("to")
            to = self._to = read_address(line)
        return to

    @property
    def from_tag(self) -> str:
        """The tag of From; ``""`` when there is none (RFC 2543 clients)."""
        tag = tag_in(self._first.get("from") or _missing("from")) if self._from is None else None
        return tag if tag is not None else self.from_.tag or ""

    @property
    def to_tag(self) -> str:
        """The tag of To; ``""`` when there is none."""
        tag = self._to_tag
        if tag is None:
            tag = tag_in(self._first.get("to") or _missing("to"))
            if tag is None:
                tag = self.to.tag or ""
            self._to_tag = tag
        return tag

    @property
    def call_id(self) -> str:
        """The Call-ID value; ``""`` when missing."""
        call_id = self._call_id
        if call_id is None:
            line = self._first.get("call-id", ":")
            call_id = self._call_id = line.partition(":")[2].strip(" \t")
        return call_id

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact value."""
        if self._contact is None and (line := self._first.get("contact")) is not None:
            if "," in line:
                line = ":" + first_item(line_value(line))
            self._contact = read_address(line)
        return self._contact

    def has_usual(self, name: str) -> bool:
        """Whether the only line of an address header shows at one glance that it is sound."""
        return _is_usual(self._first[name])

    @property
    def max_forwards(self) -> int | None:
        """Hops left; ``None`` when not said (RFC 2543)."""
        line = self._first.get("max-forwards")
        return None if line is None else _max_forwards_of(line)

    @property
    def content_type(self) -> str:
        """Media type, lower case, without parameters; ``""`` when there is none."""
        line = self._first.get("content-type")
        return "" if line is None else _media_type_of(line)


# The same few lines of these stand in nearly every message: they are looked into once. Bounded
# by the number kept and, through the limit on header lines, by the size of each.


@lru_cache(1024)
def _cseq_of(line: str) -> CSeq:
    return CSeq.parse(line_value(line))


@lru_cache(2048)
def _is_usual(line: str) -> bool:
    return USUAL_ADDRESS.fullmatch(line) is not None


@lru_cache(256)
def _max_forwards_of(line: str) -> int:
    return parse_number(line_value(line), 255)


@lru_cache(256)
def _media_type_of(line: str) -> str:
    return line_value(line).partition(";")[0].strip(" \t").lower()


@lru_cache(1024)
def _length_of(line: str) -> int | None:
    """Content-Length; ``None`` when it is no number."""
    text = line_value(line)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


class Request(Message):
    """A request. ``method`` is case-sensitive; ``uri`` is as written."""

    __slots__ = ("_address", "_echo", "method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        lines: list[str],
        first: dict[str, str],
        more: dict[str, list[str]],
        body: bytes,
    ) -> None:
        Message.__init__(self, lines, first, more, body)
        self.method = method
        self.uri = uri
        self._address: Uri | None = None
        self._echo = ""  # what every response repeats, once the builder has joined it

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
            self._echo = ""


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
        Message.__init__(self, lines, first, more, body)
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
    lines = head.split("\r\n")
    whole = "".join(lines)
    start_line = lines.pop(0)
    first, more, problem = _index(lines, limits)
    if problem and _FOLD.search(head_bytes):
        # No name begins with a blank, so folded lines always come this way.
        unfolded = _FOLD.sub(b" ", head_bytes) + blank + body
        return parse(unfolded, stream=stream, limits=limits)
    if "\n" in whole or "\r" in whole:
        # Its lines cannot be echoed without sending the break on.
        raise MalformedMessage("Stray line break")
    if len(head) > limits.header_line < max(map(len, [start_line, *lines])):
        problem = "Line too long"
    elif not blank:
        problem = "Headers without end"
    message = _begin(start_line, lines, first, more, body)
    if "\0" in head:
        message.has_nul = True
    problem = problem or _fit_body(message, stream=stream)
    if problem:
        raise MalformedMessage(problem, 400, message)
    return message


def _index(
    lines: list[str], limits: Limits
) -> tuple[dict[str, str], dict[str, list[str]], str | None]:
    """File the lines under their canonical names: the first of each, the others, a problem."""
    canonical = CANONICAL
    try:
        # Nearly always every name is known, every line has one, and none stands twice.
        first = {
            canonical[name]: line
            for line in lines
            for name, colon, _ in (line.partition(":"),)
            if colon
        }
    except KeyError:
        return _index_one_by_one(lines, limits)
    if len(first) == len(lines) <= limits.header_count:
        return first, {}, None
    return _index_one_by_one(lines, limits)


def _index_one_by_one(
    lines: list[str], limits: Limits
) -> tuple[dict[str, str], dict[str, list[str]], str | None]:
    first: dict[str, str] = {}
    more: dict[str, list[str]] = {}
    problem = None
    if len(lines) > limits.header_count:
        del lines[limits.header_count :]
        problem = "Too many headers"
    for line in lines:
        name, colon, _ = line.partition(":")
        key = CANONICAL.get(name) or learn_name(name)
        if colon and key and key not in first:
            first[key] = line
        elif not (key and colon):
            problem = "Malformed header line"
        elif key in SINGLE:
            problem = f"Repeated {key}"
        else:
            more.setdefault(key, []).append(line)
    return first, more, problem


def _begin(
    line: str,
    lines: list[str],
    first: dict[str, str],
    more: dict[str, list[str]],
    body: bytes,
) -> Request | Response:
    """The message its start line announces.

    Raises:
        MalformedMessage: the start line is not as it should be.
    """
    method, _, rest = line.partition(" ")
    if method == "SIP/2.0":
        status = _STATUSES.get(rest[:3])
        if status is None or rest[3:4] not in _AFTER_STATUS:
            raise MalformedMessage("Malformed status line")
        return Response(status, rest[4:], lines, first, more, body)
    uri = rest[:-8]
    if (
        rest[-8:] == " SIP/2.0"
        and uri
        and " " not in uri
        and (method in METHODS or is_token(method))
    ):
        return Request(method, uri, lines, first, more, body)
    words = [word for word in line.split(" ") if word]
    if len(words) < 3 or not _VERSION.fullmatch(words[-1]) or not is_token(words[0]):
        raise MalformedMessage("Not SIP")
    request = Request(words[0], " ".join(words[1:-1]), lines, first, more, body)
    request.has_nul = "\0" in line or "\0" in "".join(lines)
    if words[-1].upper() != "SIP/2.0":
        raise MalformedMessage("Version Not Supported", 505, request)
    raise MalformedMessage("Malformed request line", 400, request)


def _fit_body(message: Message, *, stream: bool) -> str | None:
    """Cut the body to its Content-Length; the problem found, if any, a missing header first."""
    first = message._first
    if not (
        "via" in first
        and "from" in first
        and "to" in first
        and "call-id" in first
        and "cseq" in first
    ):
        return "Missing " + min(MANDATORY - first.keys())
    line = first.get("content-length")
    if line is None:
        return "Missing Content-Length" if stream else None
    length = _length_of(line)
    available = len(message.body)
    if length == available:
        return None
    if length is None:
        return "Malformed Content-Length"
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
