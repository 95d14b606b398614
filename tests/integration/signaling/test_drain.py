"""A process that is taken out of service: nobody is sent to it, and no call is left to chance."""

from __future__ import annotations

import asyncio

from services.common.causes import EndReason
from services.common.sip_options.auth import VendorAuth, VendorRegister
from services.common.sip_options.trunk import VendorSip
from services.signaling.app.drain import end_all, take_out
from services.signaling.core.trunks import CustomerTrunk, Place, TrunkTable
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import message, on_uvloop, reply, until
from tests.support.signaling.switch import CALLER, VENDOR, two_parties


@on_uvloop
async def test_while_draining_probes_and_new_calls_are_told_to_go_elsewhere() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(switch.switch.drain())
            await until(lambda: switch.switch.is_draining)
            caller.send(message(caller, "OPTIONS", talk.switch, call_id="probe"), talk.switch)
            assert (await caller.response(503)).first("retry-after") == "60"
            caller.send(
                message(caller, "INVITE", talk.switch, call_id="new", body=OFFER), talk.switch
            )
            refused = await caller.response(503)
            assert refused.first("retry-after") == "60"
            talk.say("OPTIONS", 2)
            assert (await caller.response(200)).cseq.method == "OPTIONS"
            assert not draining.done()
            talk.say("BYE", 3)
            bye = await vendor.request("BYE")
            vendor.send(reply(vendor, bye, 200), talk.switch)
            async with asyncio.timeout(10):
                await draining
        assert [event.end_reason for event in switch.events.ended] == [
            EndReason.NODE_SHUTDOWN,
            EndReason.NORMAL,
        ]


@on_uvloop
async def test_calls_that_do_not_end_are_hung_up_and_on_record() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        await until(lambda: not switch.switch._invites)
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(end_all(switch.switch))
            for party in (caller, vendor):
                bye = await party.request("BYE")
                assert bye.first("reason") == "Q.850;cause=41"
                party.send(reply(party, bye, 200), talk.switch)
            async with asyncio.timeout(10):
                await ending
        (record,) = switch.events.ended
        assert (record.end_reason, record.end_side) == (EndReason.NODE_SHUTDOWN, "server")
        assert record.answered_at is not None
        assert switch.switch.calls == {}


@on_uvloop
async def test_a_registrar_that_does_not_answer_delays_nothing_of_a_drain() -> None:
    sip = VendorSip(
        auth=VendorAuth(username="tandem", password="s3cret"),
        register=VendorRegister(enabled=True),
    )
    async with two_parties() as (caller, vendor, switch, talk):
        switch.switch.trunks = TrunkTable(
            {CALLER: CustomerTrunk(id="ctr_1", account_id="acc_1")},
            vendor_hosts=[VENDOR],
            vendors={"vtr_1": sip},
            accounts={"vtr_1": Place(*vendor.address, "udp")},
        )
        await vendor.request("REGISTER")
        await talk.ring()
        await talk.answer()
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(take_out(switch.switch))
            await asyncio.sleep(0)
            invite = message(caller, "INVITE", talk.switch, call_id="new", body=OFFER)
            caller.send(invite, talk.switch)
            await caller.response(503)
            assert not draining.done()
            talk.say("BYE", 3)
            vendor.send(reply(vendor, await vendor.request("BYE"), 200), talk.switch)
            await until(lambda: not switch.switch.calls)
            draining.cancel()
        assert switch.switch.is_draining


@on_uvloop
async def test_a_process_with_all_the_calls_it_may_have_says_that_it_is_the_one_that_is_full() -> (
    None
):
    async with two_parties() as (caller, _, switch, talk):
        await talk.ring()
        await talk.answer()
        switch.switch._most_calls = 1
        caller.send(message(caller, "INVITE", talk.switch, call_id="new", body=OFFER), talk.switch)
        refused = await caller.response(503)
        assert refused.first("reason") == "Q.850;cause=42"
        (record,) = switch.events.ended
        assert (record.end_reason, record.q850_out) == (EndReason.NODE_CAPACITY, 42)
        talk.say("OPTIONS", 2)  # the call there is goes on
        assert (await caller.response(200)).cseq.method == "OPTIONS"
