"""Where numbers are read from in a customer's INVITE, and how they are written to a vendor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from services.common.sip_options.identity import VendorIdentity
from services.common.sip_options.numbers import Numbers
from services.signaling.core.headers import number_of, uri_of
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr, unquote
from services.signaling.sip.message import Message, Request
from services.signaling.sip.uri import SipUri, TelUri

_E164: Final = re.compile(r"\+?([1-9][0-9]{6,14})")
"""With fewer digits it is a short code, and no other way of writing it means the same."""
_SEPARATORS: Final = str.maketrans("", "", "-.()")
"""They mean nothing (RFC 3966 section 5.1.1)."""
_TELEPHONE: Final = re.compile(r"\+?[0-9*#A-Da-d.()\-]+")
_PORTABILITY: Final = frozenset({"npdi", "rn", "rn-context", "cic", "cic-context"})
_PARAMETER: Final = re.compile(r"[A-Za-z0-9+.\-]{1,64}")

Reading = Callable[[Request], str]


def addresses(message: Message, name: str) -> Iterator[NameAddr]:
    """The values of an address header that keep the grammar, URI and parameters included."""
    if not message.has(name):
        return
    for value in message.headers(name):
        if "\0" in value:
            continue
        try:
            address = NameAddr.parse(value)
            address.params, address.address  # noqa: B018 - parsing is the check
        except MalformedMessage:
            continue
        yield address


def _in_header(name: str) -> Reading:
    def read(invite: Request) -> str:
        numbers = (number_of(found.address) for found in addresses(invite, name))
        return next(filter(None, numbers), "")

    return read


def _in_calling_rpid(invite: Request) -> str:
    for found in addresses(invite, "remote-party-id"):
        # "calling" is what a missing party means in a request.
        party = (found.params.get("party") or "calling").lower()
        if party == "calling" and (number := number_of(found.address)):
            return number
    return ""


def _in_display(invite: Request) -> str:
    return unquote(invite.from_.display).strip()


def _in_to(invite: Request) -> str:
    return number_of(invite.to.address)


_CALLER: Final[dict[str, Reading]] = {
    "rpid": _in_calling_rpid,
    "display": _in_display,
    "pai": _in_header("p-asserted-identity"),
    "ppi": _in_header("p-preferred-identity"),
}
_CALLED: Final[dict[str, Reading]] = {"to": _in_to, "diversion": _in_header("diversion")}
_ASSERTED: Final = frozenset({"pai", "rpid"})


class NumberSources:
    """Where one customer's numbers are read."""

    __slots__ = ("_called", "_caller")

    def __init__(self, options: Numbers, *, is_trusted: bool) -> None:
        is_believed = is_trusted or options.caller_from not in _ASSERTED
        self._caller = _CALLER.get(options.caller_from) if is_believed else None
        self._called = _CALLED.get(options.called_from)

    def caller(self, invite: Request) -> str:
        """The caller's number; ``""`` when that of From is it."""
        return "" if self._caller is None else self._caller(invite)

    def called(self, invite: Request) -> str:
        """The called number; ``""`` when that of the Request-URI is it."""
        return "" if self._called is None else self._called(invite)


def is_telephone_number(text: str) -> bool:
    """Whether ``user=phone`` would be true of it."""
    return _TELEPHONE.fullmatch(text) is not None


def formatted(number: str, style: str, options: VendorIdentity) -> str:
    """``number`` as the options want it written; what is no E.164 number is left alone."""
    if style == "as_routed":
        return number
    match = _E164.fullmatch(number.translate(_SEPARATORS))
    if match is None:
        return number
    digits = match[1]
    if style == "plain":
        return digits
    if style == "plus":
        return "+" + digits
    if style == "national" and digits.startswith(options.country_code):
        return options.national_prefix + digits[len(options.country_code) :]
    return options.international_prefix + digits


def has_number_params(invite: Request) -> bool:
    """Whether the Request-URI may carry parameters of number portability."""
    uri = invite.uri
    return ";npdi" in uri or ";rn=" in uri or ";cic=" in uri


def number_params(invite: Request) -> str:
    """Those parameters, as they follow the number in a user part (RFC 4694 section 5)."""
    uri = uri_of(invite)
    if isinstance(uri, TelUri):
        found = [(name, value or "") for name, value in uri.params.items()]
    elif isinstance(uri, SipUri):
        parts = [part.partition("=") for part in (uri.user or "").split(";")[1:]]
        found = [(name.lower(), value) for name, _, value in parts]
    else:
        found = []
    text = ""
    for name, value in found:
        if name in _PORTABILITY and (not value or _PARAMETER.fullmatch(value)):
            text += f";{name}={value}" if value else f";{name}"
    return text
