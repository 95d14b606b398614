"""What passes from one leg to the other, and what each side is told of us.

Nothing passes unless it is listed here: names, addresses and paths of one side are none of
the other's business.
"""

from __future__ import annotations

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import Reason
from services.signaling.sip.message import Message, Request
from services.signaling.sip.uri import SipUri, TelUri, Uri, escape_user, parse_uri

BODY = ("content-disposition", "content-language", "mime-version")
"""What says how a body is to be read passes with it, always."""
INVITE_PASSES = (
    *BODY,
    "privacy",
    "subject",
    "priority",
    "user-to-user",
    "identity",
    "p-early-media",
)
"""From INVITE to INVITE. Identity (RFC 8224) signs numbers and is of no use when they change,
which its verifier finds out better than we could."""
IN_DIALOG_PASSES = (
    *BODY,
    "content-encoding",
    "info-package",
    "recv-info",
    "subject",
    "user-to-user",
)
"""From an in-dialog request to its copy on the other leg."""
RESPONSE_PASSES = (*BODY, "content-encoding", "reason", "user-to-user", "p-early-media")
"""From a response to the response on the other leg."""
BYE_PASSES = ("reason", "user-to-user")
"""From BYE or CANCEL to its copy on the other leg."""


def passed_lines(message: Message, names: tuple[str, ...]) -> list[str]:
    """The lines of ``message`` that pass, unchanged."""
    lines: list[str] = []
    if not message.has_any(names):
        return lines
    for name in names:
        if message.has(name):
            lines += [line for line in message.raw_lines(name) if "\0" not in line]
    return lines


def body_type(message: Message) -> str:
    """The Content-Type to send a passed body with."""
    value = message.first("content-type") or ""
    return "application/octet-stream" if not value or "\0" in value else value


def number_of(uri: Uri) -> str:
    """The number or name a URI stands for; ``""`` when it has none."""
    if isinstance(uri, SipUri):
        return uri.number
    return uri.digits if isinstance(uri, TelUri) else ""


def numbers(invite: Request) -> tuple[str, str]:
    """Caller and called number of an INVITE, as received.

    Raises:
        MalformedMessage: From or the request URI cannot be read.
    """
    return number_of(invite.from_.address), number_of(uri_of(invite))


def uri_of(request: Request) -> Uri:
    """The request URI, parsed.

    Raises:
        MalformedMessage: it is none.
    """
    return parse_uri(request.uri)


def address(number: str, host: str) -> str:
    """A From or To value for ``number`` at ``host`` (with port where it matters)."""
    user = user_part(number)
    return f"<sip:{user}@{host}>" if user else f"<sip:{host}>"


def user_part(number: str) -> str:
    """``number`` as the user part of a URI."""
    return number if number.isascii() and number.isalnum() else escape_user(number)


def reason_header(message: Message) -> str:
    """The raw Reason value; ``""`` when there is none."""
    return (message.first("reason") or "").replace("\0", "")


def q850_reason(message: Message) -> Reason | None:
    """The first Reason with a Q.850 cause (RFC 3326, RFC 6432)."""
    if not message.has("reason"):
        return None
    for value in message.headers("reason"):
        try:
            reason = Reason.parse(value)
        except MalformedMessage:
            continue
        if reason.protocol.upper() == "Q.850" and reason.cause:
            return reason
    return None


def q850_received(message: Message) -> int:
    """The Q.850 cause of a Reason header; 0 when it has none."""
    reason = q850_reason(message)
    return 0 if reason is None or reason.cause is None else reason.cause & 0x7F


def reason_line(cause: int, text: str = "") -> str:
    """A Reason header with a Q.850 cause; ``text`` is ours and needs no escaping."""
    return f"Reason: Q.850;cause={cause}" + (f';text="{text}"' if text else "")
