"""REFER: whom it names, and what the NOTIFYs of it say (RFC 3515, RFC 3891, RFC 3892)."""

from __future__ import annotations

from typing import NamedTuple

from services.signaling.sip.build import REASONS
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr, split_params
from services.signaling.sip.message import Request
from services.signaling.sip.uri import SipUri, TelUri, unescape


class Replaces(NamedTuple):
    """The dialog to be replaced, as whoever receives it knows it (RFC 3891 section 6.1)."""

    call_id: str
    to_tag: str
    """His own."""
    from_tag: str
    early_only: bool

    @classmethod
    def parse(cls, value: str) -> Replaces:
        """Parse.

        Raises:
            MalformedMessage: it lacks the Call-ID or a tag.
        """
        call_id, params = split_params(value)
        to_tag, from_tag = params.get("to-tag"), params.get("from-tag")
        if not (call_id and to_tag and from_tag):
            raise MalformedMessage("Malformed Replaces")
        return cls(call_id, to_tag, from_tag, "early-only" in params)


class Target(NamedTuple):
    """What a Refer-To means to us: a number, whatever host it names, or a dialog of ours."""

    number: str
    method: str
    replaces: Replaces | None


def refer_to(refer: Request) -> Target:
    """Whom a REFER names. Of the headers in its URI, Replaces alone is looked at.

    Raises:
        MalformedMessage: there is none, or it names nobody that can be called.
    """
    value = refer.first("refer-to")
    if value is None:
        raise MalformedMessage("Missing Refer-To")
    address = NameAddr.parse(value).address
    if isinstance(address, TelUri):
        return Target(address.digits, "INVITE", None)
    if not isinstance(address, SipUri):
        raise MalformedMessage("Refer-To is no SIP URI")
    method = (address.params.get("method") or "INVITE").upper()
    return Target(address.number, method, _replaces(address.headers))


def _replaces(headers: str) -> Replaces | None:
    for header in headers.split("&"):
        name, _, value = header.partition("=")
        if unescape(name).lower() == "replaces":
            return Replaces.parse(unescape(value))
    return None


def sipfrag(status: int) -> bytes:
    """The body of a NOTIFY: how far the call that was asked for has got (section 2.4.5)."""
    return f"SIP/2.0 {status} {REASONS.get(status, 'Unknown')}\r\n".encode()


def notify_lines(event_id: int, *, is_last: bool) -> list[str]:
    """The headers of a NOTIFY; ``event_id`` is the REFER's CSeq (section 2.4.6)."""
    state = "terminated;reason=noresource" if is_last else "active;expires=180"
    return [f"Event: refer;id={event_id}", f"Subscription-State: {state}"]
