"""How long a peer asks to be left alone (RFC 3261 section 20.33)."""

from __future__ import annotations

import re
from typing import Final

from services.signaling.sip.message import Message

_SECONDS: Final = re.compile(r"[ \t]*([0-9]{1,10})(?=[ \t;(]|$)")


def retry_after_s(message: Message) -> int:
    """Seconds of the Retry-After header; 0 when there is none, or none that can be read."""
    if not message.has("retry-after"):
        return 0
    match = _SECONDS.match(message.first("retry-after") or "")
    return int(match[1]) if match is not None else 0
