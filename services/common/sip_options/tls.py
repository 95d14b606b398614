"""What a vendor called over TLS must show."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from services.common.sip_options.group import Group

_NAME = r"^$|^[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?\.?$"


class VendorTls(Group, frozen=True):
    """Policy of connections that we open to a vendor."""

    verify: bool = True
    """Whether its certificate must be valid, by an authority we trust, and bear its name."""
    server_name: Annotated[str, msgspec.Meta(pattern=_NAME)] = ""
    """The name instead of the trunk's ``host``."""
    least_version: Literal["1.2", "1.3"] = "1.2"
    """Older versions of TLS are refused."""
