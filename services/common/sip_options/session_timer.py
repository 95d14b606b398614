"""Session timers (RFC 4028) and what stands in for them, for each side on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from services.common.sip_options.group import Conflict, Group

_INTERVAL = msgspec.Meta(ge=90, le=86_400)


class SessionTimer(Group, frozen=True):
    """How an answered call is kept from outliving its peer."""

    mode: Literal["off", "accept", "request"] = "off"
    """`accept` does as the peer asks, `request` asks for refreshes itself."""
    expires_s: Annotated[int, _INTERVAL] = 1800
    """The longest session interval in seconds; refreshes come at half of what was agreed."""
    min_se_s: Annotated[int, _INTERVAL] = 90
    """A shorter interval is refused with 422."""
    refresh: Literal["auto", "update", "invite"] = "auto"
    """What we refresh with; `auto` takes UPDATE where the peer allows it."""
    probe_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    """A peer without a session timer is sent OPTIONS after so many silent seconds; 0 = never."""
    longest_without_timer_s: Annotated[int, msgspec.Meta(ge=0, le=31_536_000)] = 0
    """The longest call of a peer without a session timer; 0 = no limit of its own."""

    def nonsense(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        if self.expires_s < self.min_se_s:
            limit = f"must not be below min_se_s, which is {self.min_se_s}"
            yield Conflict("expires_s", limit)
