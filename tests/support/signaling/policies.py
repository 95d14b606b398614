"""Calls between trunks with options, written as the API takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.common.sip_options.trunk import CustomerSip, VendorSip, read_options
from services.signaling.core.commands import Command, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.sip.message import Request
from tests.support.signaling.machine import OFFER, Machine, candidate, context, wire_request

Options = dict[str, Any]
VIA = "Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKours"


def call(
    customer: Options | None = None,
    *vendors: Options,
    invite: Request | None = None,
    headers: Sequence[str] = (),
    **numbers: Any,
) -> Machine:
    """A call of one customer, with one vendor after the other to try."""
    shared = context()
    several = vendors or ({},)
    shared.trunks = TrunkTable(
        {},
        vendors={
            f"vtr_{number}": read_options(VendorSip, options)
            for number, options in enumerate(several, 1)
        },
    )
    trunk = CustomerTrunk(
        id="ctr_1", account_id="acc_1", sip=read_options(CustomerSip, customer or {})
    )
    return Machine(
        *(candidate(number, **numbers) for number in range(1, len(several) + 1)),
        invite=invite or wire_request("INVITE", body=OFFER, headers=headers),
        shared=shared,
        trunk=trunk,
    )


def sent(dial: Dial) -> list[str]:
    """The header lines a vendor gets, the request line first."""
    return dial.draft.wire(VIA).partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


def lines_of(dial: Dial, *names: str) -> list[str]:
    """Those with one of these names."""
    return _named(sent(dial), names)


def heard(commands: Sequence[Command], *names: str) -> list[str]:
    """The lines with one of these names in the one response the caller gets."""
    (response,) = [command for command in commands if isinstance(command, Respond)]
    head = response.reply.data.partition(b"\r\n\r\n")[0].decode("latin-1")
    return _named(head.split("\r\n"), names)


def _named(lines: list[str], names: Sequence[str]) -> list[str]:
    wanted = tuple(name + ":" for name in names)
    return [line for line in lines if line.startswith(wanted)]
