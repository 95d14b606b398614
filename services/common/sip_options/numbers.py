"""Where the caller's and the called number stand in a customer's INVITE."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group


class Numbers(Group, frozen=True):
    """What is read to route and bill a call.

    A header that is missing, malformed or without number falls back to From and Request-URI.
    """

    caller_from: Literal["from", "rpid", "display", "pai", "ppi"] = "from"
    """From, Remote-Party-ID, the display name of From, P-Asserted-Identity or
    P-Preferred-Identity. ``pai`` and ``rpid`` are believed of trusted customers only."""
    called_from: Literal["request_uri", "to", "diversion"] = "request_uri"
    """Request-URI, To or the first Diversion."""
