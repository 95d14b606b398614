"""A whole switch over real sockets, with ports that answer in process."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from services.common.clock import monotonic, utc_now
from services.common.ids import CALL, new_id
from services.signaling.adapters.network import Sockets
from services.signaling.adapters.tcp import TcpTransport
from services.signaling.adapters.udp import UdpSocket
from services.signaling.app.services import Services
from services.signaling.app.switch import Switch
from services.signaling.core.context import CAPABILITIES, Context
from services.signaling.core.ladder import Ladders
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import Candidate
from services.signaling.server import random_token
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.transaction.timers import RFC3261_TIMERS, TimerValues
from tests.support.signaling.party import Party, Talk
from tests.support.signaling.ports import (
    EchoMedia,
    FixedCredits,
    FixedPlanner,
    FixedRouteServers,
    MemoryEvents,
    MemoryLocations,
    Observations,
)


class LoopbackSwitch:
    """Listens at a UDP port of 127.0.0.1."""

    def __init__(
        self,
        planner: FixedPlanner,
        *,
        port: int = 0,
        events: MemoryEvents | None = None,
        ladder_calls: int = 1000,
        trunks: Mapping[str, CustomerTrunk] | None = None,
        timers: TimerValues = RFC3261_TIMERS,
    ) -> None:
        self.planner = planner
        self.events = events or MemoryEvents()
        self.observations = Observations()
        self.locations = MemoryLocations()
        self.credits = FixedCredits()
        self.route_servers = FixedRouteServers()
        udp: list[UdpSocket] = []
        self.udp = UdpSocket(
            ("127.0.0.1", port),
            1,
            on_datagrams=lambda batch: self.switch.receive(batch),
            on_refused=lambda branch: self.switch.on_refused(branch),
        )
        udp.append(self.udp)
        self.tcp = TcpTransport(
            on_messages=lambda batch: self.switch.receive(batch),
            on_failed=lambda key: self.switch.on_transport_error(key),
            on_lost=lambda peer: self.switch.on_peer_lost(peer),
        )
        self.port = self.udp.address[1]
        advertised = f"127.0.0.1:{self.port}"
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
            network=Sockets(udp, self.tcp),
            services=Services(planner, self.credits, EchoMedia(), self.events, self.route_servers),
            events=self.events,
            observer=self.observations,
            locations=self.locations,
            ladders=Ladders(calls=ladder_calls),
            new_call_id=partial(new_id, CALL),
            monotonic=monotonic,
            utc_now=utc_now,
        )
        table = {"127.0.0.1": CustomerTrunk(id="ctr_1", account_id="acc_1")}
        self.switch.trunks = TrunkTable(table if trunks is None else trunks)

    def start(self) -> None:
        self.udp.start()

    def close(self) -> None:
        self.switch.close()
        self.udp.close()
        self.tcp.close()


@contextmanager
def running(switch: LoopbackSwitch) -> Iterator[LoopbackSwitch]:
    switch.start()
    try:
        yield switch
    finally:
        switch.close()


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
    timers: TimerValues = RFC3261_TIMERS,
) -> AsyncIterator[tuple[Party, Party, LoopbackSwitch, Talk]]:
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        switch = LoopbackSwitch(FixedPlanner(to_vendor(vendor.address)), timers=timers)
        switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR])
        with running(switch):
            yield caller, vendor, switch, Talk(caller, vendor, ("127.0.0.1", switch.port))
        assert switch.observations.errors == []
