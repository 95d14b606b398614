"""How long a peer asks to be left alone (RFC 3261 section 20.33)."""

from __future__ import annotations

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import parse_retry_after
from services.signaling.sip.message import Message


def retry_after_s(message: Message) -> int:
    """Seconds of the Retry-After header; 0 when there is none, or none that can be read."""
    if not message.has("retry-after"):
        return 0
    try:
        return parse_retry_after(message.first("retry-after") or "")
    except MalformedMessage:
        return 0
