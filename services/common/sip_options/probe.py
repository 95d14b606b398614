"""Whether a vendor lives, asked by OPTIONS."""

from __future__ import annotations

from typing import Annotated

import msgspec

from services.common.sip_options.group import Group


class VendorProbe(Group, frozen=True):
    """OPTIONS to each address of a vendor; any answer but 503 is a sign of life."""

    every_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 0
    """Seconds between two questions to one address; 0 = none are asked."""
    down_after: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    """Unanswered questions in a row until the address is down: calls leave it out."""
    up_after: Annotated[int, msgspec.Meta(ge=1, le=20)] = 2
    """Answers in a row until it is up again."""
