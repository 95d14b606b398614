"""Calls between a customer and a vendor who are spoken to with options."""

from __future__ import annotations

import msgspec

from services.common.sip_options.trunk import (
    DEFAULT_CUSTOMER,
    DEFAULT_VENDOR,
    CustomerSip,
    VendorSip,
)
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.message import Request
from tests.support.signaling.machine import TRUNK, Machine, candidate, context


def machine(
    *,
    customer: CustomerSip = DEFAULT_CUSTOMER,
    vendor: VendorSip = DEFAULT_VENDOR,
    invite: Request | None = None,
    media_proxy: bool = False,
) -> Machine:
    shared = context()
    trunk = msgspec.structs.replace(TRUNK, sip=customer)
    shared.trunks = TrunkTable({"192.0.2.10": trunk}, vendors={"vtr_1": vendor, "vtr_2": vendor})
    return Machine(candidate(media_proxy=media_proxy), shared=shared, trunk=trunk, invite=invite)
