"""What a vendor's 3xx is worth."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from services.common.sip_options.group import Group


class VendorRedirects(Group, frozen=True):
    """A redirected call goes where the vendor's Contacts say, at this vendor's price."""

    policy: Literal["refuse", "follow"] = "refuse"
    """``refuse``: a 3xx is a refusal, and the next vendor is tried."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    """Contacts tried per call and vendor."""
