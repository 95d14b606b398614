"""Over what a peer is spoken to."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group

Transport = Literal["udp", "tcp", "tls", "ws", "wss"]


class VendorTransport(Group, frozen=True):
    """What goes by which transport."""

    oversize: Literal["udp", "tcp"] = "udp"
    """How requests over 1,300 bytes go to a vendor called by UDP. ``tcp``: as RFC 3261 section
    18.1.1 wants, and by UDP after all when no connection can be made."""
