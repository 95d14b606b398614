"""Names of headers and methods: compact forms, which may repeat, which hold lists."""

from typing import Final

from services.signaling.sip.headers import is_token

METHODS: Final = frozenset({
    "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH",
    "REFER", "REGISTER", "SUBSCRIBE", "UPDATE",
})  # fmt: skip
"""Every method in the IANA registry; a stranger gets 501, one of these at worst 405."""

COMPACT: Final = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact",
    "k": "supported", "l": "content-length", "m": "contact", "n": "identity-info",
    "o": "event", "r": "refer-to", "s": "subject", "t": "to", "u": "allow-events",
    "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
"""Compact header names and what they stand for."""

SINGLE: Final = frozenset({
    "from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires",
    "min-expires", "rseq", "rack", "session-expires", "min-se", "refer-to", "referred-by",
    "replaces", "identity",
})  # fmt: skip
"""Headers that appear at most once: a second one is an attempt to be read two ways."""

LISTED: Final = frozenset({
    "via", "route", "record-route", "contact", "allow", "supported", "require", "proxy-require",
    "unsupported", "accept", "accept-encoding", "accept-language", "allow-events", "in-reply-to",
    "content-encoding", "content-language", "p-asserted-identity", "p-preferred-identity",
    "diversion", "history-info", "reason", "warning", "error-info", "alert-info", "call-info",
    "path", "service-route",
})  # fmt: skip
"""Headers whose values may share a line, separated by commas."""

MANDATORY: Final = frozenset({"via", "from", "to", "call-id", "cseq"})
"""Headers no message goes without (section 8.1.1; Max-Forwards is younger than RFC 2543)."""

_USUAL: Final = [
    "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Allow", "Supported",
    "Require", "Proxy-Require", "Unsupported", "Accept", "User-Agent", "Server", "Content-Type",
    "Content-Length", "Content-Disposition", "Content-Encoding", "Route", "Record-Route",
    "Session-Expires", "Min-SE", "P-Asserted-Identity", "P-Preferred-Identity", "Privacy",
    "Remote-Party-ID", "Diversion", "History-Info", "Reason", "Date", "Expires", "Subject",
    "Event", "Allow-Events", "RSeq", "RAck", "Retry-After", "Warning", "Authorization",
    "Proxy-Authorization", "Timestamp", "Organization", "Identity", "P-Charging-Vector",
]  # fmt: skip


def canonical_name(name: str) -> str:
    """The long name in lower case; ``""`` for what is no name.

    Only spaces and tabs may stand before the colon. Anything else there would hide the
    header from us and show it to the next hop.
    """
    name = name.rstrip(" \t")
    if not is_token(name):
        return ""
    name = name.lower()
    return COMPACT.get(name, name)


CANONICAL: Final = (
    {name: name.lower() for name in _USUAL}
    | {name.lower(): name.lower() for name in _USUAL}
    | COMPACT
    | {short.upper(): name for short, name in COMPACT.items()}
)
"""Names as met, and what they stand for; :func:`learn_name` adds to them."""

MOST_NAMES: Final = 1024
"""Equipment uses a few hundred; whoever invents more is only slower for it."""


def learn_name(name: str) -> str:
    """Look into a name :data:`CANONICAL` lacks, and keep it while there is room."""
    key = canonical_name(name)
    if key and len(CANONICAL) < MOST_NAMES and len(name) <= 64:
        CANONICAL[name] = key
    return key
