"""Calls between a customer and a vendor who are spoken to with options."""

from __future__ import annotations

import msgspec

from services.common.sip_options.trunk import (
    DEFAULT_CUSTOMER,
    DEFAULT_VENDOR,
    CustomerSip,
    VendorSip,
)
from services.signaling.core.commands import Command, Respond
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.message import Request
from tests.support.signaling.machine import TRUNK, Machine, candidate, context


def machine(
    *,
    customer: CustomerSip = DEFAULT_CUSTOMER,
    vendor: VendorSip = DEFAULT_VENDOR,
    invite: Request | None = None,
    media_proxy: bool = False,
    vendors: int = 1,
) -> Machine:
    shared = context()
    trunk = msgspec.structs.replace(TRUNK, sip=customer)
    shared.trunks = TrunkTable({"192.0.2.10": trunk}, vendors={"vtr_1": vendor, "vtr_2": vendor})
    candidates = [candidate(number, media_proxy=media_proxy) for number in range(1, vendors + 1)]
    return Machine(*candidates, shared=shared, trunk=trunk, invite=invite)


def reliably(rseq: int, *headers: str) -> list[str]:
    """Header lines of a reliable provisional response."""
    return ["Require: 100rel", f"RSeq: {rseq}", *headers]


def pracks(
    subject: Machine,
    now: float,
    *,
    body: bytes = b"",
    to_tag: str = "tag1",
    content_type: str = "application/sdp",
) -> list[Command]:
    """The caller acknowledges the last reliable response he was sent."""
    given = [c.reply.rseq for c in subject.history if isinstance(c, Respond) and c.reply.rseq]
    headers = [f"RAck: {given[-1]} 1 INVITE"]
    return subject.caller_sends(
        "PRACK", now, headers=headers, body=body, to_tag=to_tag, content_type=content_type
    )
