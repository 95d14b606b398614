"""A whole switch over real sockets, with ports that answer in process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from services.signaling.server import random_token
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.transaction.timers import RFC3261_TIMERS, TimerValues
from tests.support.signaling.ports import (
    EchoMedia,
    FixedCredits,
    FixedPlanner,
    MemoryEvents,
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
        self.credits = FixedCredits()
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
        )
        self.switch = Switch(
            context=self.context,
            layer=self.layer,
            network=Sockets(udp, self.tcp),
            services=Services(planner, self.credits, EchoMedia(), self.events),
            events=self.events,
            observer=self.observations,
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
