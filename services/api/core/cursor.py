"""Opaque positions in a list: where the next page begins."""

import base64
import binascii
import json
from collections.abc import Sequence

from services.common.errors import Invalid

# A position is a handful of ids and instants; anything longer was not made by us.
_LONGEST = 1000


def encode_cursor(parts: Sequence[str]) -> str:
    """The text a client sends back as ``after``."""
    raw = json.dumps(list(parts), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(text: str, *, size: int) -> tuple[str, ...]:
    """The ``size`` parts that :func:`encode_cursor` was given.

    Raises:
        Invalid: the text was not made by :func:`encode_cursor` for this list.
    """
    if len(text) > _LONGEST:
        raise Invalid("after", "is not a cursor")
    try:
        parts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise Invalid("after", "is not a cursor") from None
    if not isinstance(parts, list) or len(parts) != size:
        raise Invalid("after", "is not a cursor of this list")
    if not all(isinstance(part, str) and part.isprintable() for part in parts):
        raise Invalid("after", "is not a cursor of this list")
    return tuple(parts)
