"""Calls followed live by a capture server, both legs under one id."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest

from services.common.clock import utc_now
from services.signaling.adapters.hep import HepSink
from services.signaling.adapters.network import local_address
from services.signaling.core.ladder import Step
from services.signaling.core.loop import LOOP
from services.signaling.core.trace_choice import NO_TRACES, TraceChoice
from services.signaling.core.trunks import TrunkTable
from services.signaling.opening import outgoing_address
from services.signaling.server import unix_us
from services.signaling.sip.actions import Peer
from services.signaling.sip.listeners import Listeners, read_listeners
from services.signaling.sip.transaction.timers import TimerValues
from tests.support.hep import AF_INET, AF_INET6, Packet, decode
from tests.support.ports import free_port
from tests.support.signaling.machine import ANSWER
from tests.support.signaling.party import Party, StreamParty, Talk, on_uvloop, reply, until
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import (
    CALLER,
    HOST,
    TABLE,
    VENDOR,
    LoopbackSwitch,
    serving,
    to_vendor,
    two_parties,
)


class Server:
    """Takes what is captured."""

    def __init__(self, sip: str = "127.0.0.1:5060") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        port = self.socket.getsockname()[1]
        self.sink = HepSink(
            f"127.0.0.1:{port}",
            node="n1",
            agent=7,
            local=partial(local_address, Listeners(read_listeners(sip, "", outgoing_address))),
            unix_us=unix_us,
        )

    def taken(self) -> list[Packet]:
        found = []
        try:
            while True:
                found.append(decode(self.socket.recv(65_535)))
        except BlockingIOError:
            return found


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.sink.close()
    server.socket.close()


@on_uvloop
async def test_a_call_from_a_datagram_of_ipv4_to_a_stream_of_ipv6() -> None:
    inner, outer = free_port(), free_port("::1")
    sip = f"udp:{HOST}:{inner},tcp:[::1]:{outer}"
    server = Server(sip)
    async with Party.at(CALLER) as caller, StreamParty.serving("::1") as (vendor, _):
        candidate = to_vendor((vendor.address[0], vendor.address[1]), "tcp")
        switch = LoopbackSwitch(FixedPlanner(candidate), sink=server.sink, sip=sip)
        switch.switch.trunks = TrunkTable(TABLE, traces=TRACED)
        async with serving(switch):
            talk = Talk(caller, vendor, (HOST, inner))
            await talk.ring()
            await talk.answer()
            await talk.hang_up()
            await until(lambda: not switch.switch.calls)
    taken = server.taken()
    server.sink.close()
    server.socket.close()
    assert len({each.correlation for each in taken}) == 1
    near = [each for each in taken if each.family == AF_INET]
    far = [each for each in taken if each.family == AF_INET6]
    assert {each.protocol for each in near} == {"udp"}
    assert {each.protocol for each in far} == {"tcp"}
    ours, theirs = (HOST, inner), caller.address
    assert {(each.source, each.source_port) for each in near} == {ours, theirs}
    ours, theirs = ("::1", outer), vendor.address[:2]
    assert {(each.source, each.source_port) for each in far} == {ours, theirs}
    assert {(each.destination, each.destination_port) for each in far} == {ours, theirs}
    invites = [each for each in taken if each.payload.startswith(b"INVITE")]
    assert [each.protocol for each in invites] == ["udp", "tcp"]


def test_what_never_leaves_the_process_is_not_shown(server: Server) -> None:
    server.sink.take("cal_1", Step(1.0, "A2", True, LOOP, b"x"))
    assert (server.sink.sent, server.sink.dropped) == (0, 0)


TRACED = TraceChoice(trunks=["vtr_1"])


def test_both_legs_of_a_call_chosen_by_its_vendor_come_from_its_beginning(
    server: Server,
) -> None:
    @on_uvloop
    async def call() -> None:
        async with two_parties(sink=server.sink) as (_, _, switch, talk):
            switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR], traces=TRACED)
            await talk.ring()
            await talk.answer()
            await talk.hang_up()
            await until(lambda: not switch.switch.calls)

    call()
    taken = server.taken()
    starts = [each.payload.removeprefix(b"SIP/2.0 ")[:6] for each in taken]
    assert starts[:4] == [b"INVITE", b"100 Tr", b"INVITE", b"180 Ri"]
    assert len(taken) == 13
    assert len({each.correlation for each in taken}) == 1
    assert taken[0].correlation.startswith("cal_")
    assert (taken[0].source, taken[0].destination) == ("127.0.0.2", "127.0.0.1")
    assert (taken[2].source, taken[2].destination) == ("127.0.0.1", "127.0.0.3")
    assert {(each.node, each.agent, each.kind) for each in taken} == {("n1", 7, 1)}
    instants = [each.at for each in taken]
    assert instants == sorted(instants)
    assert abs((instants[-1] - utc_now()).total_seconds()) < 30
    assert server.sink.sent == 13


def test_other_calls_are_nobody_s_business(server: Server) -> None:
    @on_uvloop
    async def call() -> None:
        async with two_parties(sink=server.sink) as (_, _, switch, talk):
            choice = TraceChoice(prefixes=["4930"])
            switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR], traces=choice)
            await talk.ring()
            await talk.answer()
            await talk.hang_up()
            switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR], traces=NO_TRACES)
            await until(lambda: not switch.switch.calls)

    call()
    assert server.taken() == []


def test_what_we_repeat_is_shown_as_often_as_it_is_sent(server: Server) -> None:
    fast = TimerValues(t1=0.02, t2=0.08, t4=0.1)

    @on_uvloop
    async def call() -> None:
        async with two_parties(fast, server.sink) as (caller, vendor, switch, talk):
            choice = TraceChoice(is_all=True)
            switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR], traces=choice)
            await talk.ring()
            assert talk.invite is not None
            vendor.send(reply(vendor, talk.invite, 200, ANSWER), talk.switch)
            await caller.response(200)
            await caller.response(200)
            ok = await caller.response(200)
            (call_id,) = switch.switch.calls
            steps = switch.switch.ladders.steps(call_id)
            oks = [step for step in steps if step.sent and step.summary == "200 OK"]
            assert len(oks) >= 3
            talk.to_tag = ok.to_tag
            talk.say("ACK", 1)
            await until(lambda: not switch.switch._invites)
            talk.say("BYE", 2)
            await vendor.request("BYE")
            bye = await vendor.request("BYE")
            vendor.send(reply(vendor, bye, 200), talk.switch)
            await until(lambda: not switch.switch.calls)
            byes = [
                step
                for step in switch.switch.ladders.steps(call_id)
                if step.leg == "B1" and step.summary.startswith("BYE")
            ]
            assert len(byes) >= 2

    call()
    assert sum(each.payload.startswith(b"SIP/2.0 200") for each in server.taken()) >= 4


def test_a_server_that_is_away_costs_nothing_but_its_messages(server: Server) -> None:
    server.socket.close()
    step = Step(1.0, "A", True, Peer("udp", "192.0.2.1", 5060), b"x")
    for _ in range(10):
        server.sink.take("cal_1", step)
    assert server.sink.dropped > 0
    server.sink.take("cal_1", step._replace(peer=Peer("udp", "2001:db8::1", 5060)))
    assert server.sink.dropped + server.sink.sent == 11
