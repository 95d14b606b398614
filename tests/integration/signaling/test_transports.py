"""Calls over every transport, from one to another, and what only shows with several of them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from services.common.causes import EndReason
from services.common.sip_options.tls import VendorTls
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.reach import Reach
from services.signaling.core.trunks import TrunkTable
from tests.support.ports import free_port
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import (
    PATIENCE_S,
    Party,
    Talk,
    message,
    on_uvloop,
    reply,
    until,
)
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.secure import Authority, TlsParty, WebSocketParty
from tests.support.signaling.switch import (
    CALLER,
    HOST,
    TABLE,
    VENDOR,
    LoopbackSwitch,
    secured,
    serving,
    settled,
    table,
    to_vendor,
)


async def whole_call(talk: Talk, switch: LoopbackSwitch) -> None:
    await talk.ring()
    await talk.answer()
    await talk.hang_up()
    await settled(switch)
    assert switch.events.ended[-1].end_reason == EndReason.NORMAL


# --- TLS ----------------------------------------------------------------------------------


@on_uvloop
async def test_a_call_from_tls_to_tls(authority: Authority) -> None:
    async with TlsParty.certified(VENDOR, authority.server(VENDOR)) as vendor:
        candidate = to_vendor(vendor.address, "tls")
        async with secured(authority, candidate) as (switch, to):
            caller = await TlsParty.connect(to, authority.client(), CALLER)
            talk = Talk(caller, vendor.party, to)
            await whole_call(talk, switch)
            assert talk.invite is not None
            assert talk.invite.uri == f"sip:2000@{VENDOR}:{vendor.address[1]};transport=tls"
            assert talk.invite.via.transport == "TLS"
            assert talk.invite.via.sent_by == f"{HOST}:{to[1]}"
            contact = talk.invite.contact
            assert contact is not None
            assert contact.uri == f"sip:{HOST}:{to[1]};transport=tls"
            record = switch.events.ended[0]
            assert record.source.endswith(";tls")
            assert record.attempts[0].target.endswith(";tls")
            await whole_call(Talk(caller, vendor.party, to), switch)
            assert vendor.accepted == 1  # one connection for both calls


@on_uvloop
async def test_a_sips_call_is_promised_a_secure_contact(authority: Authority) -> None:
    async with (
        Party.at(VENDOR) as vendor,
        secured(authority, to_vendor(vendor.address)) as (_, to),
    ):
        caller = await TlsParty.connect(to, authority.client(), CALLER)
        invite = message(caller, "INVITE", to, call_id="s", body=OFFER)
        caller.send(invite.replace(b"INVITE sip:", b"INVITE sips:"), to)
        asked = await vendor.request("INVITE")
        vendor.send(reply(vendor, asked, 180), (HOST, asked.via.port or 0))
        contact = (await caller.response(180)).contact
        assert contact is not None
        assert contact.uri == f"sips:{HOST}:{to[1]}"


@on_uvloop
async def test_bug_class_30_two_names_on_one_address_do_not_share_a_connection(
    authority: Authority,
) -> None:
    """The connection checked for one name is no proof of the other (CVE-2020-15260)."""
    async with TlsParty.certified(VENDOR, authority.server("a.example")) as vendor:
        good = msgspec.structs.replace(to_vendor(vendor.address, "tls"), host="a.example")
        bad = msgspec.structs.replace(good, host="b.example")
        async with secured(authority, good) as (switch, to):
            names = {"a.example": (VENDOR,), "b.example": (VENDOR,)}
            switch.context.reach = Reach(names, {}, draw=lambda: 0.0)
            caller = await TlsParty.connect(to, authority.client(), CALLER)
            talk = Talk(caller, vendor.party, to)
            await talk.ring()
            await talk.answer()
            # While that call and its connection live, the other name is called.
            switch.planner.plan_now = FixedPlanner(bad).plan_now
            other = Talk(caller, vendor.party, to)
            other.say("INVITE", 1, OFFER)
            await caller.response(503)
            await until(lambda: len(switch.events.ended) == 1)
            (attempt,) = switch.events.ended[0].attempts
            assert attempt.end_reason == EndReason.VENDOR_UNREACHABLE
            assert vendor.party.nothing_came()
            # Two trunks with two names, both certified, have two connections.
            accepted = vendor.accepted
            switch.planner.plan_now = FixedPlanner(good).plan_now
            await talk.hang_up()
            await whole_call(Talk(caller, vendor.party, to), switch)
            assert vendor.accepted == accepted


@on_uvloop
async def test_the_policy_of_a_vendor(authority: Authority) -> None:
    async with (
        TlsParty.certified(VENDOR, authority.server("sbc.example")) as vendor,
        secured(authority, to_vendor(vendor.address, "tls")) as (switch, to),
    ):
        caller = await TlsParty.connect(to, authority.client(), CALLER)
        # By his address he is not certified: the call goes on to nobody.
        caller.send(message(caller, "INVITE", to, call_id="p", body=OFFER), to)
        await caller.response(503)
        for tls in (VendorTls(server_name="sbc.example"), VendorTls(verify=False)):
            switch.switch.trunks = table(VendorSip(tls=tls))
            await whole_call(Talk(caller, vendor.party, to), switch)


@on_uvloop
async def test_a_certificate_is_replaced_under_live_calls(authority: Authority) -> None:
    async with (
        Party.at(VENDOR) as vendor,
        secured(authority, to_vendor(vendor.address)) as (switch, to),
    ):
        caller = await TlsParty.connect(to, authority.client(), CALLER)
        talk = Talk(caller, vendor, (HOST, switch.port))
        talk.switch = to
        talk.say("INVITE", 1, OFFER)
        asked = await vendor.request("INVITE")
        authority.issue(HOST, "second.example")
        assert switch.tcp._contexts is not None
        assert switch.tcp._contexts.reload()
        vendor.send(reply(vendor, asked, 486), (HOST, switch.port))
        await caller.response(486)  # over the connection that began before
        second = await TlsParty.connect(to, authority.client(), CALLER, name="second.example")
        second.transport.close()


# --- WebSocket ------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_a_call_from_a_browser(authority: Authority, transport: str) -> None:
    @on_uvloop
    async def run() -> None:
        async with Party.at(VENDOR) as vendor:
            candidate = to_vendor(vendor.address)
            async with secured(authority, candidate, transport=transport) as (switch, to):
                context = authority.client() if transport == "wss" else None
                caller = await WebSocketParty.connect(to, context, CALLER)
                caller.address = ("df7jal23ls0d.invalid", 5060)
                talk = Talk(caller, vendor, (HOST, switch.port))
                await talk.ring()
                await talk.answer()
                # A request towards the browser finds him by his connection alone.
                assert talk.invite is not None
                info = message(
                    vendor, "INFO", talk.switch, call_id=talk.invite.call_id, cseq=1,
                    to_tag=talk.invite.from_tag, from_tag="callee",
                )  # fmt: skip
                vendor.send(info, talk.switch)
                passed = await caller.request("INFO")
                assert passed.via.transport == transport.upper()
                assert passed.uri.startswith("sip:1000@df7jal23ls0d.invalid")
                caller.send(reply(caller, passed, 200), to)
                await vendor.response(200)
                await talk.hang_up()
                await settled(switch)
                record = switch.events.ended[0]
                assert record.source.endswith(f";{transport}")
                assert record.end_reason == EndReason.NORMAL
                caller.ping()
                caller.send(b"\r\n\r\n", to)
                assert await asyncio.wait_for(caller.inbox.get(), PATIENCE_S) == b"\r\n"
                assert caller.pongs == 1

    run()


@on_uvloop
async def test_a_browser_sends_messages_without_length_and_in_parts(authority: Authority) -> None:
    async with secured(authority, transport="wss") as (_, to):
        caller = await WebSocketParty.connect(to, authority.client(), CALLER)
        asked = message(caller, "OPTIONS", to, call_id="o").replace(b"Content-Length: 0\r\n", b"")
        caller.send_in_parts(asked[:40], asked[40:41], asked[41:])
        assert (await caller.response(200)).via.transport == "WSS"


# --- IPv6 and IPv4 --------------------------------------------------------------------------


@on_uvloop
async def test_a_call_from_ipv6_to_ipv4() -> None:
    v4, v6 = free_port(), free_port("::1")
    async with Party.at("::1") as caller, Party.at(VENDOR) as vendor:
        port = caller.address[1]
        switch = LoopbackSwitch(
            FixedPlanner(to_vendor(vendor.address)), sip=f"udp:{HOST}:{v4},udp:[::1]:{v6}"
        )
        switch.switch.trunks = table(caller="::1")
        async with serving(switch):
            talk = Talk(caller, vendor, ("::1", v6))
            talk.say("INVITE", 1, OFFER)
            invite = await vendor.request("INVITE")
            assert invite.via.sent_by == f"{HOST}:{v4}"
            assert invite.contact is not None
            assert invite.contact.uri == f"sip:{HOST}:{v4}"
            assert invite.from_.uri.endswith(f"@{HOST}:{v4}")
            assert not [line for line in invite.lines if "::1" in line]
            vendor.send(reply(vendor, invite, 200, OFFER), (HOST, v4))
            ok = await caller.response(200)
            assert ok.contact is not None
            assert ok.contact.uri == f"sip:[::1]:{v6}"
            talk.to_tag = ok.to_tag
            await vendor.request("ACK")
            talk.say("ACK", 1)
            talk.say("BYE", 2)
            bye = await vendor.request("BYE")
            vendor.send(reply(vendor, bye, 200), (HOST, v4))
            await caller.response(200)
            await settled(switch)
            record = switch.events.ended[0]
            assert record.source == f"[::1]:{port};udp"
            assert record.attempts[0].target == f"{VENDOR}:{vendor.address[1]};udp"


@on_uvloop
async def test_a_call_from_ipv4_to_ipv6_and_requests_back() -> None:
    v4, v6 = free_port(), free_port("::1")
    async with Party.at(CALLER) as caller, Party.at("::1") as vendor:
        switch = LoopbackSwitch(
            FixedPlanner(to_vendor(vendor.address)), sip=f"udp:{HOST}:{v4},udp:[::1]:{v6}"
        )
        switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=["::1"])
        async with serving(switch):
            caller.send(message(caller, "INVITE", (HOST, v4), call_id="6", body=OFFER), (HOST, v4))
            invite = await vendor.request("INVITE")
            assert invite.uri == f"sip:2000@[::1]:{vendor.address[1]}"
            assert invite.via.sent_by == f"[::1]:{v6}"
            vendor.send(reply(vendor, invite, 200, OFFER), ("::1", v6))
            ok = await caller.response(200)
            ack = message(caller, "ACK", (HOST, v4), call_id="6", to_tag=ok.to_tag)
            caller.send(ack, (HOST, v4))
            await vendor.request("ACK")
            bye = message(
                vendor, "BYE", ("::1", v6), call_id=invite.call_id, cseq=1,
                to_tag=invite.from_tag, from_tag="callee",
            )  # fmt: skip
            vendor.send(bye, ("::1", v6))
            await vendor.response(200)
            passed = await caller.request("BYE")
            assert passed.via.sent_by == f"{HOST}:{v4}"
            caller.send(reply(caller, passed, 200), (HOST, v4))
            await settled(switch)


# --- several listeners ------------------------------------------------------------------------


@on_uvloop
async def test_each_listener_goes_by_its_own_address() -> None:
    one, two = free_port(), free_port()
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        switch = LoopbackSwitch(
            FixedPlanner(to_vendor(vendor.address)),
            sip=f"udp:{HOST}:{one}=203.0.113.1:5060,udp:{HOST}:{two}=203.0.113.2:5062",
        )
        switch.switch.trunks = table()
        async with serving(switch):
            for port, outside in ((one, "203.0.113.1:5060"), (two, "203.0.113.2:5062")):
                to = (HOST, port)
                caller.send(message(caller, "INVITE", to, call_id=f"l{port}", body=OFFER), to)
                invite = await vendor.request("INVITE")
                assert invite.via.sent_by == "203.0.113.1:5060"
                vendor.send(reply(vendor, invite, 180), (HOST, one))
                ringing = await caller.response(180)
                assert ringing.contact is not None
                assert ringing.contact.uri == f"sip:{outside}"
