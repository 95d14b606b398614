"""Who a vendor is told is calling, and a customer who has answered.

What passes is written anew from what was understood: the number stays, the host becomes ours, and
neither a malformed value nor what follows ``?`` in a URI gets through.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from services.common.sip_options.identity import VendorIdentity
from services.signaling.core.headers import address, user_part
from services.signaling.core.numbering import addresses, formatted, is_telephone_number
from services.signaling.core.privacy import (
    ANONYMOUS,
    hides,
    privacy_line,
    wishes,
    wishes_of_caller,
)
from services.signaling.sip.headers import quote, unquote
from services.signaling.sip.message import Message, Request
from services.signaling.sip.uri import SipUri, TelUri, Uri

_LONGEST_DISPLAY: Final = 128
_MOST_VALUES: Final = 16
"""Of one header that pass: a call diverted more often is a loop."""
_RPID_PARAMS: Final = frozenset({"party", "id-type", "screen", "privacy"})
_DIVERSION_PARAMS: Final = frozenset({"reason", "counter", "limit", "privacy", "screen"})
_HISTORY_PARAMS: Final = frozenset({"index", "rc", "mp", "np"})
_HISTORY_HEADERS: Final = frozenset({"reason", "privacy"})


class Caller(NamedTuple):
    """How the calling side is written."""

    from_: str
    """From value, without tag."""
    lines: list[str]
    """Header lines that carry identities."""
    is_withheld: bool = False
    """Whether the vendor is not to learn who calls."""


class Identity:
    """How the two parties of a call are written to one vendor, compiled from his options."""

    __slots__ = ("_options", "is_trusted")

    def __init__(self, options: VendorIdentity) -> None:
        self._options = options
        self.is_trusted = options.trusted

    def called(self, number: str) -> str:
        """The called number as he wants it."""
        return formatted(number, self._options.called_format, self._options)

    def called_uri(self, called: str, host: str, params: str, tail: str) -> tuple[str, str]:
        """Request-URI and To value of a call to ``called`` at ``host``.

        ``params`` follow the number; ``tail`` the Request-URI's host: port and transport.
        """
        options = self._options
        number = self.called(called)
        phone = self._phone(number)
        user = user_part(number)
        if user:
            user += (params if options.number_params == "pass" else "") + "@"
        where = options.to_host or host
        if options.to_host:
            tail = tail[tail.find(";") :] if ";" in tail else ""
        return f"sip:{user}{where}{tail}{phone}", f"<sip:{user}{where}{phone}>"

    def caller(self, caller: str, invite: Request, host: str, *, is_trusted: bool) -> Caller:
        """How ``caller`` is written; ``is_trusted``: whether the customer is."""
        options = self._options
        host = options.host or host
        asked = wishes_of_caller(invite)
        is_hidden = options.privacy == "id" or (options.privacy == "pass" and hides(asked))
        uri = self._uri(formatted(caller, options.caller_format, options), host)
        lines = self._own_lines(uri, host, is_hidden=is_hidden)
        lines += self._passed_lines(invite, host, asked, is_trusted=is_trusted, hidden=is_hidden)
        # A trusted vendor who is told the number in no other way needs it in From.
        if is_hidden and (not self.is_trusted or any(map(_is_asserted, lines))):
            lines += self._privacy(asked)
            return Caller(ANONYMOUS, lines, not self.is_trusted)
        lines += self._privacy(asked)
        shows_name = options.display == "pass" and not is_hidden
        display = _display(invite.from_.display) if shows_name else ""
        return Caller(f"{display}<{uri}>", lines)

    def _own_lines(self, uri: str, host: str, *, is_hidden: bool) -> list[str]:
        """What we say of the caller's number ourselves."""
        options = self._options
        lines = []
        is_shown = self.is_trusted or not is_hidden
        if options.p_asserted_identity == "caller":
            lines.append(f"P-Asserted-Identity: <{uri}>")
        if options.p_preferred_identity == "caller" and is_shown:
            lines.append(f"P-Preferred-Identity: <{uri}>")
        if options.remote_party_id == "caller" and is_shown:
            screen = "yes" if options.remote_party_id_screen else "no"
            privacy = "full" if is_hidden else "off"
            lines.append(
                f"Remote-Party-ID: <{uri}>;party=calling;screen={screen};privacy={privacy}"
            )
        if options.p_charge_info == "caller" and is_shown:
            lines.append(f"P-Charge-Info: <{uri}>")
        if options.p_charge_info == "fixed":
            lines.append(f"P-Charge-Info: <{self._uri(options.charge_number, host)}>")
        return lines

    def _passed_lines(
        self,
        invite: Request,
        host: str,
        asked: tuple[str, ...],
        *,
        is_trusted: bool,
        hidden: bool,
    ) -> list[str]:
        """What the customer says of identities, as far as it passes."""
        options = self._options
        lines: list[str] = []
        if hidden and not self.is_trusted:
            return lines
        if is_trusted:
            if options.p_asserted_identity == "pass":
                lines += _lines("P-Asserted-Identity", invite, host)
            if options.remote_party_id == "pass":
                lines += _lines("Remote-Party-ID", invite, host, _RPID_PARAMS)
            if options.p_charge_info == "pass" and self.is_trusted:
                lines += _lines("P-Charge-Info", invite, host)
        if options.p_preferred_identity == "pass":
            lines += _lines("P-Preferred-Identity", invite, host)
        if options.diversion == "pass":
            lines += _lines("Diversion", invite, host, _DIVERSION_PARAMS)
        if options.history_info == "pass" and (self.is_trusted or "history" not in asked):
            lines += _lines("History-Info", invite, host, _HISTORY_PARAMS)
        return lines

    def _privacy(self, asked: tuple[str, ...]) -> list[str]:
        match self._options.privacy:
            case "pass":
                return privacy_line(asked)
            case "id":
                kept = [value for value in asked if value not in {"none", "id"}]
                return privacy_line((*kept, "id"))
            case "none_value":
                return privacy_line(("none",))
            case _:
                return []

    def _phone(self, number: str) -> str:
        return ";user=phone" if self._options.user_phone and is_telephone_number(number) else ""

    def _uri(self, number: str, host: str) -> str:
        return address(number, host)[1:-1] + self._phone(number)


PLAIN: Final = Identity(VendorIdentity())


def compiled(options: VendorIdentity) -> Identity | None:
    """The identity policy of these options; ``None`` when they are the defaults."""
    return None if options == VendorIdentity() else Identity(options)


def _is_asserted(line: str) -> bool:
    return line.startswith(("P-Asserted-Identity:", "Remote-Party-ID:"))


def connected_lines(response: Message, host: str) -> list[str]:
    """The called party's asserted identity for a trusted customer, by a trusted vendor's word."""
    lines = _lines("P-Asserted-Identity", response, host)
    return [*lines, *privacy_line(wishes(response))] if lines else []


def _lines(
    name: str, message: Message, host: str, kept: frozenset[str] = frozenset()
) -> list[str]:
    """The values of one header, one line each, with the parameters that are ``kept``."""
    lines: list[str] = []
    for found in addresses(message, name.lower()):
        uri = _ours(found.address, host)
        if not uri or len(lines) == _MOST_VALUES:
            continue
        params = "".join(
            f";{key}" if value is None else f";{key}={value}"
            for key, value in found.params.items()
            if key in kept
        )
        lines.append(f"{name}: {_display(found.display)}<{uri}>{params}")
    return lines


def _display(received: str) -> str:
    """A display name as it stands before ``<``; ``""`` for one that says nothing."""
    text = quote(unquote(received).strip()[:_LONGEST_DISPLAY])
    return "" if text == '""' else text + " "


def _ours(uri: Uri, host: str) -> str:
    """``uri`` with our host, its number and number parameters kept; ``""`` for what has none."""
    if isinstance(uri, TelUri):
        return str(uri)
    if not isinstance(uri, SipUri) or not uri.user:
        return ""
    phone = ";user=phone" if uri.params.get("user") == "phone" else ""
    headers = "&".join(
        part
        for part in uri.headers.split("&")
        if part.partition("=")[0].lower() in _HISTORY_HEADERS
    )
    return f"{uri.scheme}:{uri.user}@{host}{phone}" + (f"?{headers}" if headers else "")
