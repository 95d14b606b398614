"""Two who share an address: one is a customer by it, the other by his password."""

from __future__ import annotations

from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.sip.message import Response
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import message, on_uvloop, reply
from tests.support.signaling.phones import Phone, digest_rules
from tests.support.signaling.switch import CALLER, VENDOR, two_parties


@on_uvloop
async def test_who_proves_himself_at_the_address_of_a_trunk_hears_100_once() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        trunk = CustomerTrunk(id="ctr_a", account_id="acc_1")
        rules = digest_rules({"alice": "alice-secret"}, trunk)
        switch.switch.trunks = TrunkTable(
            {f"{CALLER}:9": trunk}, vendor_hosts=[VENDOR], digest=rules
        )
        phone = Phone(caller, talk.switch)
        data = message(caller, "INVITE", talk.switch, call_id="c", body=OFFER)
        caller.send(data, talk.switch)
        challenge = await caller.response(401)
        caller.send(phone.prove(data, challenge), talk.switch)
        vendor.send(reply(vendor, await vendor.request("INVITE"), 486), talk.switch)
        heard = [await caller.hear() for _ in range(2)]
        assert [one.status for one in heard if isinstance(one, Response)] == [100, 486]
