"""Call transfer by REFER (RFC 3515, 3891), a customer's affair."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group


class Transfer(Group, frozen=True):
    """Whether the customer may transfer his calls."""

    mode: Literal["refuse", "honour"] = "refuse"
    """`honour`: the new leg is a call of this customer, routed and billed as any other."""
