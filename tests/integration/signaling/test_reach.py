"""Vendors with several addresses, probes and routing servers, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from proto.signaling.v1 import signaling_pb2 as pb
from services.common.causes import EndReason
from services.common.clock import monotonic
from services.common.sip_options.dns import VendorDns
from services.common.sip_options.probe import VendorProbe
from services.common.sip_options.routing import CustomerRouting
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.adapters.dns import DnsLookups
from services.signaling.adapters.names import VendorNames
from services.signaling.app.probes import Probes
from services.signaling.core.commands import AskServer
from services.signaling.core.offered_routes import Refusal
from services.signaling.core.probing import Prober
from services.signaling.core.reach import Reach
from services.signaling.core.targets import Service
from services.signaling.core.trunks import CustomerTrunk, TrunkTable, VendorPlace
from services.signaling.core.values import OfferedRoute
from services.signaling.core.vendor_view import vendor_views
from services.signaling.entrypoints.grpc import SignalingServicer
from services.signaling.sip.message import Request
from tests.support.dns_server import DnsServer
from tests.support.signaling.party import Party, Talk, on_uvloop, reply, until
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import (
    CALLER,
    TABLE,
    VENDOR,
    LoopbackSwitch,
    running,
    to_vendor,
    two_parties,
)

SRV = VendorSip(dns=VendorDns(lookup="srv"))
SERVICE = Service("vendor.example", "udp", "srv")


@asynccontextmanager
async def named_vendor(server: DnsServer) -> AsyncIterator[tuple[LoopbackSwitch, VendorNames]]:
    """A switch whose one vendor is found by SRV records."""
    names = VendorNames(lambda: DnsLookups([server.address]), monotonic=monotonic)
    names.want({"vendor.example"}, {SERVICE})
    candidate = msgspec.structs.replace(to_vendor(("vendor.example", 5060)), trying_timeout_ms=500)
    switch = LoopbackSwitch(FixedPlanner(candidate))
    switch.context.reach = Reach(names.addresses, names.services, draw=lambda: 0.0)
    switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR], vendors={"vtr_1": SRV})
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(names.run())
        with running(switch):
            yield switch, names
        task.cancel()
    assert switch.observations.errors == []


@on_uvloop
async def test_dns_srv_failover_to_the_next_target() -> None:
    async with (
        DnsServer.started() as server,
        Party.at(CALLER) as caller,
        Party.at(VENDOR) as deaf,
        Party.at(VENDOR) as busy,
        Party.at(VENDOR) as good,
    ):
        server.set("gw.example", "A", VENDOR)
        server.set("_sip._udp.vendor.example", "SRV", *(
            f"{priority} 0 {party.address[1]} gw.example."
            for priority, party in enumerate((deaf, busy, good))
        ))  # fmt: skip
        async with named_vendor(server) as (switch, names):
            await until(lambda: len(names.services.get(SERVICE, ())) == 3)
            talk = Talk(caller, good, ("127.0.0.1", switch.port))
            ringing = asyncio.gather(talk.ring(), _refuse(busy, talk))
            await deaf.request("INVITE")
            await ringing
            await talk.answer()
            await talk.hang_up()
            await until(lambda: bool(switch.events.ended))
            (record,) = switch.events.ended
            assert [(each.target, each.end_reason) for each in record.attempts] == [
                (f"{VENDOR}:{deaf.address[1]};udp", EndReason.VENDOR_TIMEOUT),
                (f"{VENDOR}:{busy.address[1]};udp", EndReason.REJECTED),
                (f"{VENDOR}:{good.address[1]};udp", EndReason.NORMAL),
            ]


async def _refuse(party: Party, talk: Talk) -> None:
    invite = await party.request("INVITE")
    party.send(reply(party, invite, 503), talk.switch)
    await party.request("ACK")


@on_uvloop
async def test_probes_take_a_vendor_down_and_bring_it_back() -> None:
    async with Party.at(VENDOR) as vendor:
        place = VendorPlace(
            "vtr_1", "north", VENDOR, vendor.address[1],
            sip=VendorSip(probe=VendorProbe(every_s=1, down_after=1, up_after=1)),
        )  # fmt: skip
        switch = LoopbackSwitch(FixedPlanner())
        switch.switch.trunks = TrunkTable({}, places=(place,))
        probes = Probes(
            Prober(switch.context), switch.switch.outside, switch.observations, monotonic
        )
        servicer = SignalingServicer(
            switch.switch,
            node="n1",
            monotonic=monotonic,
            unix_us=lambda _: 1_000_000_000,
            local=lambda _: switch.udp.address,
            vendors=partial(vendor_views, switch.context),
        )

        async def state() -> pb.VendorState:
            listed = await servicer.ListVendors(pb.ListVendorsRequest(), None)  # type: ignore[arg-type]
            return listed.vendors[0]

        with running(switch):
            probes.use(switch.switch.trunks.places)
            to = ("127.0.0.1", switch.port)
            vendor.send(reply(vendor, await vendor.request("OPTIONS"), 503), to)
            await until(lambda: any(True for _ in switch.context.reach.health.seen(0.0)))
            down = await state()
            assert (down.state, down.why) == ("down", "503 to OPTIONS")
            assert (down.name, down.node, down.since_unix_ms > 0) == ("north", "n1", True)
            assert down.targets[0].target == f"{VENDOR}:{vendor.address[1]};udp"
            vendor.send(reply(vendor, await vendor.request("OPTIONS"), 404), to)
            await until(
                lambda: {each.state for each in switch.context.reach.health.seen(0.0)} == {"up"}
            )
            assert (await state()).state == "up"
            probes.close()
        target = f"{VENDOR}:{vendor.address[1]};udp"
        assert switch.observations.changes == [
            ("vtr_1", target, "503 to OPTIONS"),
            ("vtr_1", target, ""),
        ]
        assert switch.observations.errors == []


def ask_outside(switch: LoopbackSwitch, server: str) -> None:
    """The customer of ``switch`` has his routing decided by ``server``."""
    routing = CustomerRouting(server=server, timeout_ms=500)
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=CustomerSip(routing=routing))
    switch.switch.trunks = TrunkTable({CALLER: trunk}, vendor_hosts=[VENDOR])


async def redirect(server: Party, switch: LoopbackSwitch, *contacts: str) -> Request:
    """Answer the next INVITE with a 302."""
    invite = await server.request("INVITE")
    lines = b"".join(f"Contact: {contact}\r\n".encode() for contact in contacts)
    head, _, _ = reply(server, invite, 302).partition(b"Contact:")
    server.send(head + lines + b"Content-Length: 0\r\n\r\n", ("127.0.0.1", switch.port))
    await server.request("ACK")
    return invite


@on_uvloop
async def test_a_sip_redirect_server_decides() -> None:
    async with two_parties() as (_, _, switch, talk), Party.at("127.0.0.5") as server:
        ask_outside(switch, f"sip:127.0.0.5:{server.address[1]}")
        ringing = asyncio.gather(
            talk.ring(), redirect(server, switch, "<sip:2001@north>;q=0.1", "<sip:2002@south>")
        )
        await ringing
        assert switch.planner.asked[0].offered == (
            OfferedRoute(vendor="south", called="2002"),
            OfferedRoute(vendor="north", called="2001"),
        )
        await talk.answer()
        await talk.hang_up()
        await until(lambda: bool(switch.events.ended))
        assert switch.events.ended[0].end_reason == EndReason.NORMAL
        steps = switch.switch.ladders.steps(switch.events.ended[0].call_id)
        assert [step.summary.split()[0] for step in steps if step.leg == "R"] == [
            "INVITE", "302", "ACK",
        ]  # fmt: skip


@on_uvloop
async def test_a_sip_redirect_server_that_is_not_there_costs_its_timeout() -> None:
    async with two_parties() as (_, _, switch, talk), Party.at("127.0.0.5") as deaf:
        ask_outside(switch, f"sip:127.0.0.5:{deaf.address[1]}")
        await talk.ring()
        assert switch.planner.asked[0].note == "routing server did not answer in time"
        await talk.answer()
        await talk.hang_up()


@on_uvloop
async def test_an_http_server_is_asked_and_may_refuse() -> None:
    async with two_parties() as (caller, _, switch, talk):
        ask_outside(switch, "http://127.0.0.5/routes")
        switch.route_servers.ruling = Refusal(404)
        talk.say("INVITE", 1, b"")
        await caller.response(404)
        assert isinstance(switch.route_servers.asked[0], AskServer)
        await until(lambda: bool(switch.events.ended))
        assert switch.events.ended[0].end_reason == EndReason.ROUTING_SERVER_REFUSED


@on_uvloop
async def test_the_switch_is_a_redirect_server() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        routing = CustomerRouting(answer_with_redirect=True)
        trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=CustomerSip(routing=routing))
        switch.switch.trunks = TrunkTable({CALLER: trunk}, vendor_hosts=[VENDOR])
        talk.say("INVITE", 1, b"")
        told = await caller.response(302)
        assert told.headers("contact") == [f"<sip:2000@{VENDOR}:{vendor.address[1]}>;q=1.00"]
        await until(lambda: bool(switch.events.ended))
        (record,) = switch.events.ended
        assert (record.end_reason, record.sip_code_out) == (EndReason.REDIRECTED, 302)
        assert record.attempts == ()
        assert record.reservation_id == ""
        assert vendor.nothing_came()
