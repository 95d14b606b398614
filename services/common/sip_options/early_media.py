"""The time before the answer: what a customer hears of it, and how far it binds."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group


class EarlyMedia(Group, frozen=True):
    """Ringing, early media, and how far they bind the search for a vendor."""

    ringing: Literal["pass", "183", "180", "180_without_sdp", "none"] = "pass"
    """Provisional responses as the vendor sends them; or 183 with SDP, 180 with SDP (both as soon
    as there is SDP, until then as the vendor sends them), 180 without SDP, or nothing at all."""
    forks: Literal["pass", "one"] = "pass"
    """Whether several To tags of one vendor are as many dialogs to the customer, or one whose
    early media is that of the first."""
    stop_hunting_after: Literal["never", "sdp", "ringing"] = "never"
    """From when on no other vendor is tried: early media offered, or that and 180."""


class VendorEarlyMedia(Group, frozen=True):
    """How far a vendor's early media binds the search."""

    stop_hunting_after_rtp: bool = False
    """Whether no other vendor is tried once this one has sent audio; where the relay sees it."""
