"""What a caller wants kept to himself (RFC 3323, RFC 3325, RFC 7044)."""

from __future__ import annotations

from typing import Final

from services.signaling.core.numbering import addresses
from services.signaling.sip.headers import is_token
from services.signaling.sip.message import Message, Request

ANONYMOUS: Final = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""From of a caller nobody is to know (RFC 3323 section 4.1.1.3)."""

REVEALING: Final = frozenset({
    "call-info", "geolocation", "identity", "identity-info", "organization",
    "p-access-network-info", "p-associated-uri", "p-charging-vector", "reply-to", "subject",
})  # fmt: skip
"""Headers that tell an untrusted vendor about a caller nobody is to know (RFC 3323 section 5.3);
Identity, of RFC 8224, holds his number signed."""

_HIDING: Final = frozenset({"id", "user", "header"})
_UNHIDDEN: Final = frozenset({"none"})
_HIDING_RPID: Final = ("full", "uri")


def wishes(message: Message) -> tuple[str, ...]:
    """The values of Privacy, in lower case; ``()`` when it asks for nothing."""
    if not message.has("privacy"):
        return ()
    values: list[str] = []
    for text in message.headers("privacy"):
        # Its values are separated by semicolons, though commas are met as well.
        values += [value.strip(" \t").lower() for value in text.replace(",", ";").split(";")]
    return tuple(dict.fromkeys(value for value in values if is_token(value)))


def wishes_of_caller(invite: Request) -> tuple[str, ...]:
    """The same of an INVITE, where older equipment says it in Remote-Party-ID."""
    if invite.has("privacy"):
        return wishes(invite)
    for found in addresses(invite, "remote-party-id"):
        params = found.params
        is_calling = (params.get("party") or "calling").lower() == "calling"
        if is_calling and (params.get("privacy") or "").lower().startswith(_HIDING_RPID):
            return ("id",)
    return ()


def hides(values: tuple[str, ...]) -> bool:
    """Whether these ask to withhold who calls; ``none`` asks for the contrary."""
    return not _HIDING.isdisjoint(values) and _UNHIDDEN.isdisjoint(values)


def privacy_line(values: tuple[str, ...]) -> list[str]:
    """The Privacy header of these values."""
    return ["Privacy: " + ";".join(values)] if values else []
