"""A whole switch over real sockets, with ports that answer in process."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from services.common.clock import monotonic, utc_now
from services.common.ids import CALL, new_id
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.adapters.network import Sockets
from services.signaling.adapters.tcp import StreamLimits, TcpTransport
from services.signaling.adapters.tls import TlsContexts
from services.signaling.adapters.udp import UdpSocket
from services.signaling.app.keep_alive import keep_alive
from services.signaling.app.services import Services
from services.signaling.app.switch import Switch
from services.signaling.app.takeover import Takeover
from services.signaling.core.context import CAPABILITIES, Context
from services.signaling.core.ladder import Ladders
from services.signaling.core.takeover import Left
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import Candidate
from services.signaling.opening import outgoing_address
from services.signaling.ports import TraceSink
from services.signaling.server import random_token
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.listeners import Listeners, read_listeners
from services.signaling.sip.transaction.timers import RFC3261_TIMERS, TimerValues
from tests.support.ports import free_port
from tests.support.signaling.party import Party, Talk, until
from tests.support.signaling.ports import (
    EchoMedia,
    FixedCredits,
    FixedPlanner,
    FixedRouteServers,
    MemoryEvents,
    MemoryJournal,
    MemoryLocations,
    Observations,
)
from tests.support.signaling.secure import Authority


class LoopbackSwitch:
    """Listens at a UDP port of 127.0.0.1, or where ``sip`` says."""

    def __init__(
        self,
        planner: FixedPlanner,
        *,
        port: int = 0,
        events: MemoryEvents | None = None,
        ladder_calls: int = 1000,
        trunks: Mapping[str, CustomerTrunk] | None = None,
        timers: TimerValues = RFC3261_TIMERS,
        left: Left | None = None,
        sink: TraceSink | None = None,
        sip: str = "",
        contexts: TlsContexts | None = None,
        limits: StreamLimits | None = None,
        resets: bool = False,
    ) -> None:
        self.planner = planner
        self.events = events or MemoryEvents()
        self.observations = Observations()
        self.locations = MemoryLocations()
        self.credits = FixedCredits()
        self.route_servers = FixedRouteServers()
        self.journal = MemoryJournal(left)
        self.media = EchoMedia()
        self.services = Services(
            planner, self.credits, self.media, self.events, self.journal, self.route_servers
        )
        self.listeners = read_listeners(
            sip or f"udp:127.0.0.1:{port or free_port()}", "", outgoing_address
        )
        self.sockets = [
            UdpSocket(
                (listener.host, listener.port),
                number,
                on_datagrams=lambda batch: self.switch.receive(batch),
                on_refused=lambda branch: self.switch.on_refused(branch),
                on_failed=lambda key: self.switch.on_transport_error(key),
            )
            for number, listener in enumerate(self.listeners, start=1)
            if listener.transport == "udp"
        ]
        self.udp = self.sockets[0]
        found = Listeners(self.listeners)
        self.tcp = TcpTransport(
            on_messages=lambda batch: self.switch.receive(batch),
            on_failed=lambda key: self.switch.on_transport_error(key),
            on_lost=lambda peer: self.switch.on_peer_lost(peer),
            on_closed=lambda peer: self.switch.registrations.on_peer_lost(peer),
            knows=lambda host: self.switch.trunks.knows(host),
            is_banned=lambda host: self.switch.gate.guard.is_banned(host, monotonic()),
            source=found.source,
            contexts=contexts,
            limits=limits,
            resets=resets,
        )
        self.port = self.udp.address[1]
        advertised = found if sip else f"127.0.0.1:{self.port}"
        self.network = Sockets(self.sockets, self.tcp, found)
        self.layer = TransactionLayer(
            sent_by=advertised, ids=random_token, capabilities=CAPABILITIES, timers=timers
        )
        self.context = Context(
            node="test",
            advertised=advertised,
            new_tag=random_token,
            new_call_id=lambda: os.urandom(12).hex(),
            chance=random.SystemRandom().random,
        )
        self.switch = Switch(
            context=self.context,
            layer=self.layer,
            network=self.network,
            sink=sink,
            services=self.services,
            events=self.events,
            observer=self.observations,
            locations=self.locations,
            ladders=Ladders(calls=ladder_calls),
            new_call_id=partial(new_id, CALL),
            monotonic=monotonic,
            utc_now=utc_now,
        )
        self.takeover = Takeover(self.switch, self.media, monotonic, utc_now)
        table = {"127.0.0.1": CustomerTrunk(id="ctr_1", account_id="acc_1")}
        self.switch.trunks = TrunkTable(table if trunks is None else trunks)

    def start(self) -> None:
        self.takeover.begin(self.context, self.layer, self.journal)
        for sock in self.sockets:
            sock.start()

    async def listen(self) -> None:
        """Accept connections at every stream listener of ``sip``."""
        for number, listener in enumerate(self.listeners, start=1):
            if listener.transport != "udp":
                address = (listener.host, listener.port)
                await self.tcp.listen(address, listener.transport, number)

    def close(self) -> None:
        self.switch.close()
        for sock in self.sockets:
            sock.close()
        self.tcp.close()


@contextmanager
def running(switch: LoopbackSwitch) -> Iterator[LoopbackSwitch]:
    switch.start()
    try:
        yield switch
    finally:
        switch.close()


HOST = "127.0.0.1"
CALLER, VENDOR, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.9"
TABLE = {CALLER: CustomerTrunk(id="ctr_1", account_id="acc_1")}


def to_vendor(address: tuple[str, int], transport: str = "udp") -> Candidate:
    return Candidate(
        vendor_trunk_id="vtr_1",
        account_id="acc_2",
        host=address[0],
        port=address[1],
        transport=transport,
        caller="1000",
        called="2000",
    )


@asynccontextmanager
async def two_parties(
    timers: TimerValues = RFC3261_TIMERS, sink: TraceSink | None = None
) -> AsyncIterator[tuple[Party, Party, LoopbackSwitch, Talk]]:
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        switch = LoopbackSwitch(FixedPlanner(to_vendor(vendor.address)), timers=timers, sink=sink)
        switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR])
        with running(switch):
            yield caller, vendor, switch, Talk(caller, vendor, ("127.0.0.1", switch.port))
        assert switch.observations.errors == []


@asynccontextmanager
async def serving(switch: LoopbackSwitch) -> AsyncIterator[LoopbackSwitch]:
    """The switch with its stream listeners, connecting and keeping alive as it does in service."""
    async with asyncio.TaskGroup() as tasks:
        with running(switch):
            await switch.listen()
            running_tasks = [
                tasks.create_task(switch.tcp.run()),
                tasks.create_task(
                    keep_alive(switch.network, switch.context.keep_alives, monotonic)
                ),
            ]
            yield switch
            for task in running_tasks:
                task.cancel()
    assert switch.observations.errors == []


def table(
    vendor: VendorSip | None = None,
    customer: CustomerSip | None = None,
    caller: str = CALLER,
    **more: object,
) -> TrunkTable:
    """One customer, one vendor, how they are spoken to."""
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=customer or CustomerSip())
    return TrunkTable(
        {caller: trunk},
        vendor_hosts=[VENDOR],
        vendors={"vtr_1": vendor or VendorSip()},
        **more,  # type: ignore[arg-type] # named in each test
    )


async def settled(switch: LoopbackSwitch, calls: int = 1) -> None:
    await until(lambda: len(switch.events.ended) >= calls and not switch.switch.calls)


@asynccontextmanager
async def secured(
    authority: Authority, *candidates: Candidate, transport: str = "tls"
) -> AsyncIterator[tuple[LoopbackSwitch, tuple[str, int]]]:
    """A switch with a secure listener beside its UDP."""
    port = free_port()
    switch = LoopbackSwitch(
        FixedPlanner(*candidates),
        sip=f"udp:{HOST}:{free_port()},{transport}:{HOST}:{port}",
        contexts=TlsContexts(authority.files(HOST)),
    )
    switch.switch.trunks = table()
    async with serving(switch):
        yield switch, (HOST, port)
