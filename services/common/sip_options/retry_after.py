"""Whether a vendor that asks to be left alone is."""

from __future__ import annotations

from typing import Annotated

import msgspec

from services.common.sip_options.group import Group


class VendorRetryAfter(Group, frozen=True):
    """The Retry-After of a 503 (RFC 3261 section 21.5.4)."""

    longest_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 300
    """Seconds an address is left alone at most, whatever it asks for; 0 = it is not heeded."""
