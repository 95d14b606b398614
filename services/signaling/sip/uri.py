"""SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from services.signaling.sip.errors import MalformedMessage

_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
# Patterns take any percent sign, which keeps them to plain character classes; whether two
# digits follow is looked at only where there is one. Hence also no IGNORECASE: it is slow.
# '#' must be escaped, but prepaid dialling codes arrive with it bare from every second switch.
_USER = rf"[{_UNRESERVED}&=+$,;?/#%]+"
_PASSWORD = rf"[{_UNRESERVED}&=+$,%]*"
_HOST = r"[A-Za-z0-9_\-.]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]"
_PARAM = rf"[{_UNRESERVED}\[\]/:&+$%]+"

_SIP: Final = re.compile(
    rf"([sS][iI][pP][sS]?):(?:({_USER})(?::({_PASSWORD}))?@)?({_HOST})(?::([0-9]{{1,5}}))?"
    rf"((?:;{_PARAM}(?:={_PARAM})?)*)(?:\?([\x21-\x7e]+))?"
)
# What nearly every SIP URI looks like; matching it proves it sound: no escape, a port that is
# one, one parameter, which cannot be repeated, and nothing after "?".
_USUAL_HOST = r"[A-Za-z0-9_\-.]{1,255}(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}))?"
USUAL_URI: Final = (
    rf"[sS][iI][pP][sS]?:(?:[{_UNRESERVED}&=+$,;?/#]+@)?{_USUAL_HOST}"
    rf"(?:;[{_UNRESERVED}\[\]/:&+$]+(?:=[{_UNRESERVED}\[\]/:&+$]+)?)?"
)
"""Pattern, without groups, of SIP URIs that need no second look."""
USUAL_BARE_URI: Final = rf"[sS][iI][pP][sS]?:(?:[{_UNRESERVED}&=+$/#]+@)?{_USUAL_HOST}"
"""The same for those that stand without angle brackets (section 20: no comma, ``;`` or ``?``)."""
_USUAL: Final = re.compile(USUAL_URI)
_TEL: Final = re.compile(rf"[tT][eE][lL]:(\+?[0-9A-Fa-f*#\-.()]+)((?:;{_PARAM}(?:={_PARAM})?)*)")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*):[\x21\x23-\x3b\x3d\x3f-\x7e]+")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NO_PARAMS: Final[Mapping[str, str | None]] = MappingProxyType({})
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")


class SipUri(NamedTuple):
    """A sip: or sips: URI. Escapes are kept as they came; parameter names are lower case.

    A named tuple, because one is made for every request and it costs a third of a frozen
    dataclass. ``params`` is not to be changed.
    """

    host: str
    port: int | None = None
    user: str | None = None
    scheme: str = "sip"
    password: str | None = None
    params: Mapping[str, str | None] = _NO_PARAMS
    headers: str = ""
    """What followed ``?``, never interpreted: honouring it is header injection."""

    @property
    def number(self) -> str:
        """The user part as dialled: unescaped, without its own parameters; ``""`` without user."""
        return unescape((self.user or "").partition(";")[0])

    @property
    def is_loose_router(self) -> bool:
        """Whether the host understands Route (section 16.12.1.1); a strict router lacks it."""
        return "lr" in self.params

    @property
    def transport(self) -> str:
        """Transport asked for, lower case; ``""`` when left to the resolver."""
        return (self.params.get("transport") or "").lower()

    @property
    def address(self) -> tuple[str, int]:
        """Host (no brackets) and port, the default port filled in."""
        return self.host.strip("[]"), self.port or (5061 if self.scheme == "sips" else 5060)

    def __str__(self) -> str:
        user = self.user or ""
        if self.password is not None:
            user += ":" + self.password
        port = "" if self.port is None else f":{self.port}"
        params = "".join(
            f";{name}" if value is None else f";{name}={value}"
            for name, value in self.params.items()
        )
        headers = "?" + self.headers if self.headers else ""
        return f"{self.scheme}:{user}{'@' if user else ''}{self.host}{port}{params}{headers}"


class TelUri(NamedTuple):
    """A tel: URI (RFC 3966): ``number`` as written, visual separators included."""

    number: str
    params: Mapping[str, str | None] = _NO_PARAMS

    @property
    def digits(self) -> str:
        """The number without visual separators."""
        return re.sub(r"[\-.()]", "", self.number)

    def __str__(self) -> str:
        params = "".join(
            f";{name}" if value is None else f";{name}={value}"
            for name, value in self.params.items()
        )
        return f"tel:{self.number}{params}"


class OtherUri(NamedTuple):
    """A well-formed URI of a scheme the switch does not route on."""

    scheme: str
    text: str

    def __str__(self) -> str:
        return self.text


Uri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Parse any URI.

    Raises:
        MalformedMessage: it is none, or breaks the grammar of its scheme.
    """
    match = _SIP.fullmatch(text)
    if match is not None:
        return _sip_uri(match)
    generic = _SCHEME.fullmatch(text)
    if generic is None:
        raise MalformedMessage("Malformed URI")
    scheme = generic[1].lower()
    if scheme in {"sip", "sips"}:
        raise MalformedMessage("Malformed SIP URI")
    if scheme != "tel":
        return OtherUri(scheme, text)
    tel = _TEL.fullmatch(text)
    if tel is None:
        raise MalformedMessage("Malformed tel URI")
    _check_escapes(tel)
    return TelUri(tel[1], _params(tel[2]))


def parse_sip_uri(text: str) -> SipUri:
    """Parse a sip: or sips: URI.

    Raises:
        MalformedMessage: it is not one.
    """
    match = _SIP.fullmatch(text)
    if match is None:
        raise MalformedMessage("Malformed SIP URI")
    return _sip_uri(match)


def is_usual_sip_uri(text: str) -> bool:
    """Whether this is a sound SIP URI without headers; ``False`` says nothing."""
    return _USUAL.fullmatch(text) is not None


def check_uri(text: str) -> None:
    """Check a URI without making one of it: most are never looked into.

    Raises:
        MalformedMessage: it breaks the grammar.
    """
    match = _SIP.fullmatch(text)
    # One parameter cannot be repeated, and most URIs have no more.
    if match is None or "%" in text or match[6].count(";") > 1:
        parse_uri(text)
    elif match[5] and not 0 < int(match[5]) < 65536:
        raise MalformedMessage("Port out of range")


def _sip_uri(match: re.Match[str]) -> SipUri:
    if "%" in match.string:
        _check_escapes(match)
    scheme, user, password, host, port_text, params, headers = match.groups()
    port = None if port_text is None else int(port_text)
    if port is not None and not 0 < port < 65536:
        raise MalformedMessage("Port out of range")
    return SipUri(
        host,
        port,
        user,
        scheme.lower(),
        password,
        _params(params) if params else _NO_PARAMS,
        headers or "",
    )


def _check_escapes(match: re.Match[str]) -> None:
    if _BROKEN_ESCAPE.search(match.string):
        raise MalformedMessage("Malformed escape in URI")


def _params(text: str) -> dict[str, str | None]:
    params: dict[str, str | None] = {}
    for param in text.split(";")[1:]:
        name, equals, value = param.partition("=")
        name = name.lower()
        if name in params:
            # "any given parameter-name MUST NOT appear more than once" (section 19.1.1)
            raise MalformedMessage("Repeated URI parameter")
        params[name] = value if equals else None
    return params


def unescape(text: str) -> str:
    """Resolve %XX escapes, for comparing and for numbers; never for what is sent on."""
    if "%" not in text:
        return text
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


_USER_SAFE: Final = re.compile(rf"[{_UNRESERVED}&=+$,;?/]")


def escape_user(text: str) -> str:
    """Escape what a user part may not contain, ``#`` included."""
    return "".join(
        character
        if _USER_SAFE.match(character)
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in text
    )


# Present in one URI only, these make the URIs differ (section 19.1.4).
_DECISIVE: Final = ("user", "ttl", "method", "maddr", "transport")


def equivalent(a: SipUri, b: SipUri) -> bool:
    """Whether two URIs name the same resource (section 19.1.4)."""
    if (a.scheme, a.host.lower(), a.port) != (b.scheme, b.host.lower(), b.port):
        return False
    if (_plain(a.user), _plain(a.password)) != (_plain(b.user), _plain(b.password)):
        return False
    if sorted(a.headers.lower().split("&")) != sorted(b.headers.lower().split("&")):
        return False
    if any((name in a.params) != (name in b.params) for name in _DECISIVE):
        return False
    shared = a.params.keys() & b.params.keys()
    return all(
        unescape(a.params[name] or "").lower() == unescape(b.params[name] or "").lower()
        for name in shared
    )


def _plain(text: str | None) -> str | None:
    return None if text is None else unescape(text)
