"""What a vendor called over TLS must show."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group
from services.common.sip_options.text import ServerName


class VendorTls(Group, frozen=True):
    """Policy of connections that we open to a vendor."""

    verify: bool = True
    """Whether its certificate must be valid, by an authority we trust, and bear its name."""
    server_name: ServerName = ""
    """The name instead of the trunk's ``host``."""
    least_version: Literal["1.2", "1.3"] = "1.2"
    """Older versions of TLS are refused."""
