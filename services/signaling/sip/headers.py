"""Typed header values, and the quoting and splitting they share (RFC 3261 section 25.1).

Every pattern here is linear in the length of its input: two adjacent repetitions never
accept the same character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.uri import USUAL_BARE_URI, USUAL_URI, Uri, parse_uri

MAGIC_COOKIE: Final = "z9hG4bK"
"""Branches that start with it identify transactions on their own (section 8.1.1.7)."""

LARGEST_SEQUENCE: Final = 2**31 - 1
"""CSeq numbers stay below 2**31 (section 8.1.1.5)."""

Params = dict[str, str | None]

_WORD = r"A-Za-z0-9\-.!%*_+`'~"
_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_IS_TOKEN: Final = re.compile(rf"[{_WORD}]+")
# Values are kept wider than the grammar (tags like "abc==" are common), but never with
# whitespace, controls or separators in them.
_PARAM: Final = re.compile(
    rf"[ \t]*;[ \t]*([{_WORD}]+)[ \t]*"
    rf"(?:=[ \t]*({_QUOTED}|[^\x00-\x20;,\"<>\x7f]+)[ \t]*)?",
    re.DOTALL,
)
_NAME_ADDR: Final = re.compile(
    rf"(?:({_QUOTED})[ \t]*<([^<>\s\"]+)>|([{_WORD} \t]*)<([^<>\s\"]+)>|([^\s;<>\",?]+))"
    r"[ \t]*(;.*)?",
    re.DOTALL,
)
# Matching it proves URI and parameters sound; nearly every address does.
USUAL_ADDRESS: Final = re.compile(
    rf"[^:]*:[ \t]?(?:(?:(\"[^\"\\<>]*\") ?|([{_WORD} ]*))<({USUAL_URI})>"
    rf"|({USUAL_BARE_URI}))(?:;tag=([{_WORD}=]+))?"
)
"""The line of an address that needs no second look.

Lines are matched from their beginning: to look for the colon first costs as much again.
"""
_BRANCH_VALUE = r"[^\x00-\x20;,\"<>\x7f]+"
_RPORT_VALUE = r";rport(?:=[0-9]+)?"
# The same for Via: no parameter twice, a port that is one, IPv4 or a name.
_USUAL_VIA: Final = re.compile(
    r"[^:]*:[ \t]*"
    r"(SIP/2\.0/([A-Z]+) (([A-Za-z0-9_\-.]{1,255})(?::([1-9][0-9]{0,3}|[1-5][0-9]{4}))?)"
    rf"(?:;branch=({_BRANCH_VALUE})({_RPORT_VALUE})?|({_RPORT_VALUE});branch=({_BRANCH_VALUE}))"
    r"(;received=[0-9a-fA-F.:]+)?)"
)
_VIA: Final = re.compile(
    rf"[sS][iI][pP][ \t]*/[ \t]*2\.0[ \t]*/[ \t]*([{_WORD}]+)[ \t]+"
    r"([A-Za-z0-9_\-.]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])[ \t]*(?::[ \t]*([0-9]{1,5})[ \t]*)?(;.*)?",
    re.DOTALL,
)
_BRANCH: Final = re.compile(
    r";[ \t]*[bB][rR][aA][nN][cC][hH][ \t]*=[ \t]*([^\x00-\x20;,\"<>\x7f]+)"
)
_RPORT: Final = re.compile(r";[ \t]*rport[ \t]*(?:=[^;,]*)?(?=[;,]|$)", re.IGNORECASE)
_RECEIVED: Final = re.compile(r";[ \t]*received[ \t]*(?:=[^;,]*)?(?=[;,]|$)", re.IGNORECASE)
_CSEQ: Final = re.compile(rf"([0-9]{{1,16}})[ \t]+([{_WORD}]+)")
_RACK: Final = re.compile(rf"([0-9]{{1,16}})[ \t]+([0-9]{{1,16}})[ \t]+([{_WORD}]+)")
_SPLITTER: Final = re.compile(rf"{_QUOTED}|<[^>]*>|,", re.DOTALL)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


def is_token(text: str) -> bool:
    """Whether ``text`` is a token (section 25.1), as methods and parameter names must be."""
    return _IS_TOKEN.fullmatch(text) is not None


def line_value(line: str) -> str:
    """What stands behind the colon of a header line, stripped."""
    return line.partition(":")[2].strip(" \t")


def readable(text: str) -> str:
    """Wire text as a person should see it: UTF-8 decoded, control characters removed."""
    return _UNPRINTABLE.sub("", text.encode("latin-1", "replace").decode("utf-8", "replace"))


def wire_text(text: str) -> str:
    """Turn any text into what builders accept: UTF-8, one character per byte."""
    return text.encode("utf-8", "replace").decode("latin-1")


def quote(text: str) -> str:
    """Quote for display names and parameters; control characters are dropped."""
    cleaned = _UNPRINTABLE.sub("", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{cleaned}"'


def unquote(text: str) -> str:
    """Undo :func:`quote`; unquoted text comes back as it is."""
    if len(text) < 2 or text[0] != '"':
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def parse_number(text: str, largest: int) -> int:
    """Parse a bounded decimal, leading zeros allowed.

    Raises:
        MalformedMessage: not decimal, or over ``largest``.
    """
    # The length is bounded before int(), whose cost grows with the square of it.
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > largest:
        raise MalformedMessage("Number out of range")
    return int(text)


def split_list(value: str) -> list[str]:
    """Split at the commas that are neither quoted nor inside ``<>``; items are stripped."""
    if "," not in value:
        return [value]
    items, start = [], 0
    for match in _SPLITTER.finditer(value):
        if match[0] == ",":
            items.append(value[start : match.start()].strip(" \t"))
            start = match.end()
    items.append(value[start:].strip(" \t"))
    return items


def first_item(value: str) -> str:
    """The first item of a list, without looking at the rest."""
    if "," not in value:
        return value
    for match in _SPLITTER.finditer(value):
        if match[0] == ",":
            return value[: match.start()].rstrip(" \t")
    return value


def parse_params(text: str) -> Params:
    """Parse ``;name=value`` parameters; names are lower case, quotes are kept.

    Raises:
        MalformedMessage: something else is in between, or a name is repeated.
    """
    params: Params = {}
    at, end = 0, len(text)
    while at < end:
        match = _PARAM.match(text, at)
        if match is None:
            raise MalformedMessage("Malformed parameter")
        name = match[1].lower()
        if name in params:
            raise MalformedMessage("Repeated parameter")
        params[name] = match[2]
        at = match.end()
    return params


def split_params(value: str) -> tuple[str, Params]:
    """Split ``value;name=value`` as in Session-Expires, Content-Type, Retry-After or Reason.

    Raises:
        MalformedMessage: the parameters break the grammar.
    """
    plain, semicolon, rest = value.partition(";")
    return plain.strip(" \t"), parse_params(semicolon + rest)


class NameAddr:
    """A From, To, Contact, Route or P-Asserted-Identity value (section 20.10)."""

    __slots__ = ("_address", "_params", "_params_text", "_tag", "display", "is_sound", "uri")

    def __init__(
        self, uri: str, display: str = "", params: Params | None = None, *, is_sound: bool = False
    ) -> None:
        self.uri = uri
        """The URI as written."""
        self.display = display
        """The display name as written, quotes included; :func:`unquote` it to show it."""
        self.is_sound = is_sound
        """Whether URI and parameters are known to keep the grammar; the URI is a SIP URI then."""
        self._params = params
        self._params_text = ""
        self._tag: str | None = None
        self._address: Uri | None = None

    @classmethod
    def parse(cls, value: str) -> NameAddr:
        """Parse one value; its URI and parameters are looked into when asked for.

        Raises:
            MalformedMessage: neither name-addr nor addr-spec.
        """
        match = _NAME_ADDR.fullmatch(value)
        if match is None:
            raise MalformedMessage("Malformed address")
        quoted, quoted_uri, plain, plain_uri, bare, params = match.groups()
        parsed = cls(quoted_uri or plain_uri or bare, quoted or (plain or "").strip(" \t"))
        parsed._params_text = params or ""
        return parsed

    @property
    def params(self) -> Params:
        """Header parameters. Raises :class:`MalformedMessage` when they break the grammar."""
        if self._params is None:
            self._params = parse_params(self._params_text)
        return self._params

    @property
    def tag(self) -> str | None:
        """The tag parameter; ``None`` when absent or empty."""
        return self._tag if self.is_sound else self.params.get("tag")

    @property
    def address(self) -> Uri:
        """The URI parsed. Raises :class:`MalformedMessage` when it breaks the grammar."""
        if self._address is None:
            self._address = parse_uri(self.uri)
        return self._address

    def __str__(self) -> str:
        return format_address(self.uri, self.display, self.params)


@lru_cache(2048)
def read_address(line: str) -> NameAddr:
    """Parse the one address of a header line; equal lines share the result.

    Raises:
        MalformedMessage: neither name-addr nor addr-spec.
    """
    match = USUAL_ADDRESS.fullmatch(line)
    if match is None:
        return NameAddr.parse(line_value(line))
    quoted, plain, uri, bare, tag = match.groups()
    address = NameAddr(uri or bare, quoted or (plain or "").strip(" "), is_sound=True)
    if tag is not None:
        address._tag = tag
        address._params_text = ";tag=" + tag
    return address


@lru_cache(2048)
def tag_in(line: str) -> str | None:
    """The tag of a From or To line at one glance: ``""`` for none, ``None`` if a parser must say.

    Holds for lines that keep the grammar; in others it may find what a parser would refuse.
    """
    if line[-1:] == ">":
        return ""
    _, found, tag = line.rpartition(">;tag=")
    return tag if found and _IS_TOKEN.fullmatch(tag) is not None else None


def format_address(uri: str, display: str = "", params: Params | None = None) -> str:
    """Write a name-addr; ``display`` must be empty, a token or already quoted."""
    tail = "".join(
        f";{name}" if value is None else f";{name}={value}"
        for name, value in (params or {}).items()
    )
    return f"{display} <{uri}>{tail}" if display else f"<{uri}>{tail}"


class Via:
    """One Via value (section 20.42)."""

    __slots__ = (
        "_params",
        "_rport",
        "branch",
        "host",
        "is_usual",
        "port",
        "sent_by",
        "text",
        "transport",
    )

    def __init__(
        self, text: str, transport: str, host: str, port: int | None, sent_by: str
    ) -> None:
        self.text = text
        """The value as written."""
        self.transport = transport
        """As written, usually upper case."""
        self.host = host
        self.port = port
        self.branch = ""
        """``""`` when absent."""
        self.sent_by = sent_by
        """Host and port as written, lower case: half of a transaction's identity."""
        self.is_usual = False
        """Whether all parameters are known to keep the grammar, and ``received`` is not one."""
        self._rport = ""
        self._params: Params | None = None

    @classmethod
    def parse(cls, value: str) -> Via:
        """Parse one value.

        Raises:
            MalformedMessage: it breaks the grammar.
        """
        match = _VIA.fullmatch(value)
        if match is None:
            raise MalformedMessage("Malformed Via")
        transport, host, port_text, params = match.groups()
        port = None if port_text is None else int(port_text)
        if port is not None and not 0 < port < 65536:
            raise MalformedMessage("Malformed Via port")
        sent_by = host.lower() if port is None else f"{host.lower()}:{port}"
        via = cls(value, transport, host, port, sent_by)
        via.branch = via._find_branch(params or "")
        return via

    def _find_branch(self, params: str) -> str:
        if '"' in params:
            return self.params.get("branch") or ""
        match = _BRANCH.search(params)
        return match[1] if match is not None else ""

    @property
    def params(self) -> Params:
        """All parameters. Raises :class:`MalformedMessage` when they break the grammar."""
        if self._params is None:
            _, semicolon, rest = self.text.partition(";")
            self._params = parse_params(semicolon + rest)
        return self._params

    @property
    def asks_rport(self) -> bool:
        """Whether the answer shall go to the source port (RFC 3581)."""
        if self.is_usual:
            return self._rport != ""
        return _RPORT.search(self.text) is not None and "rport" in self.params

    def stamped(self, host: str, port: int) -> str | None:
        """The value with its source noted (section 18.2.1, RFC 3581 section 4).

        ``None`` when there is nothing to note. A ``received`` the sender wrote is replaced.

        Raises:
            MalformedMessage: the parameters break the grammar; such a Via is echoed as it is.
        """
        if not self.is_usual:
            return self._stamped_anyhow(host, port)
        if self._rport:
            return self.text.replace(self._rport, f";rport={port}", 1) + ";received=" + host
        return None if self.host == host else f"{self.text};received={host}"

    def _stamped_anyhow(self, host: str, port: int) -> str | None:
        params = self.params
        asks_rport = "rport" in params
        text = self.text
        if "received" in params:
            text = _RECEIVED.sub("", text)
        elif not asks_rport and self.host.strip("[]") == host:
            return None
        if asks_rport:
            text = _RPORT.sub(f";rport={port}", text, count=1)
        return f"{text};received={host}"

    @property
    def has_magic_cookie(self) -> bool:
        """Whether the branch alone identifies the transaction; false for the cookie alone."""
        return self.branch.startswith(MAGIC_COOKIE) and len(self.branch) > len(MAGIC_COOKIE)


def read_via(line: str) -> Via:
    """Parse the first value of a Via line.

    Raises:
        MalformedMessage: it breaks the grammar.
    """
    match = _USUAL_VIA.fullmatch(line)
    if match is None:
        return Via.parse(first_item(line_value(line)))
    text, transport, sent_by, host, port, branch, rport, early_rport, late_branch, received = (
        match.groups()
    )
    via = Via(text, transport, host, int(port) if port else None, sent_by.lower())
    via.branch = branch or late_branch
    if received is None:
        via.is_usual = True
        via._rport = rport or early_rport or ""
    return via


def own_via_pattern(sent_by: Iterable[str]) -> re.Pattern[str]:
    """What whole Via lines look like that come back to one of ours; group 1 is the branch.

    Other lines may do so too, but whatever matches is sound.
    """
    ours = "|".join(map(re.escape, sorted(sent_by)))
    return re.compile(
        rf"[vV](?:ia)?:[ \t]?SIP/2\.0/[A-Z]+ (?:{ours})"
        rf"(?:{_RPORT_VALUE})?;branch=({_BRANCH_VALUE})(?:;received=[0-9a-fA-F.:]+)?"
    )


class CSeq(NamedTuple):
    """Sequence number and method (section 20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, value: str) -> CSeq:
        """Parse.

        Raises:
            MalformedMessage: not a number below 2**31 and a method.
        """
        match = _CSEQ.fullmatch(value)
        if match is None or (number := int(match[1])) > LARGEST_SEQUENCE:
            raise MalformedMessage("Malformed CSeq")
        return cls(number, match[2])


class RAck(NamedTuple):
    """What a PRACK acknowledges (RFC 3262 section 7.2)."""

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, value: str) -> RAck:
        """Parse.

        Raises:
            MalformedMessage: not two numbers below 2**32 and a method.
        """
        match = _RACK.fullmatch(value)
        if match is None or max(int(match[1]), int(match[2])) >= 2**32:
            raise MalformedMessage("Malformed RAck")
        return cls(int(match[1]), int(match[2]), match[3])


class Reason(NamedTuple):
    """Why a request or response was sent (RFC 3326)."""

    protocol: str
    """``Q.850`` or ``SIP``, as written."""
    cause: int | None
    text: str = ""
    location: str = ""
    """Where a Q.850 cause arose, such as ``U`` for the user (RFC 8606)."""

    @classmethod
    def parse(cls, value: str) -> Reason:
        """Parse one value.

        Raises:
            MalformedMessage: it breaks the grammar or the cause is no number.
        """
        protocol, params = split_params(value)
        cause = params.get("cause")
        return cls(
            protocol,
            None if cause is None else parse_number(cause, 999),
            unquote(params.get("text") or ""),
            params.get("location") or "",
        )

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = f";text={quote(self.text)}" if self.text else ""
        location = f";location={self.location}" if self.location else ""
        return f"{self.protocol}{cause}{text}{location}"


def parse_retry_after(value: str) -> int:
    """Seconds of a Retry-After, its comment and parameters ignored (section 20.33).

    Raises:
        MalformedMessage: it does not start with a number below 2**32.
    """
    return parse_number(re.split(r"[ \t;(]", value, maxsplit=1)[0], 2**32 - 1)
