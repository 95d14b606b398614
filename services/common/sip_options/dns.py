"""What is asked of DNS about a vendor named by host name (RFC 3263)."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group


class VendorDns(Group, frozen=True):
    """How a vendor's name becomes addresses, ports and transports."""

    lookup: Literal["address", "srv", "naptr"] = "address"
    """``address``: A and AAAA, at the trunk's port and transport. ``srv``: the SRV records of the
    trunk's transport say host and port. ``naptr``: NAPTR records say the transport too. Where
    there are no such records, the next simpler one holds."""
