"""How long a call may stay in one state before its answer."""

from __future__ import annotations

from typing import Annotated

import msgspec

from services.common.sip_options.group import Group


class VendorTimeouts(Group, frozen=True):
    """Timers of one attempt, beside the two that are columns of the trunk."""

    progress_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 0
    """INVITE to the first response above 100, then the next vendor is tried; 0 = as long as it
    may ring."""


class CustomerTimeouts(Group, frozen=True):
    """Limits on a customer's calls."""

    setup_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] = 0
    """INVITE to answer, all vendors together, then the call ends; 0 = no limit of its own."""
