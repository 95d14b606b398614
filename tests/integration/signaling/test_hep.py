"""Calls followed live by a capture server, both legs under one id."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from services.common.clock import utc_now
from services.signaling.adapters.hep import HepSink
from services.signaling.core.ladder import Step
from services.signaling.core.trace_choice import NO_TRACES, TraceChoice
from services.signaling.core.trunks import TrunkTable
from services.signaling.server import unix_us
from services.signaling.sip.actions import Peer
from services.signaling.sip.transaction.timers import TimerValues
from tests.support.signaling.machine import ANSWER
from tests.support.signaling.party import on_uvloop, reply, until
from tests.support.signaling.switch import TABLE, VENDOR, two_parties
from tests.unit.signaling.core.test_hep import chunks


class Server:
    """Takes what is captured."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        port = self.socket.getsockname()[1]
        self.sink = HepSink(
            f"127.0.0.1:{port}",
            node="n1",
            agent=7,
            local=lambda _: ("127.0.0.1", 5060),
            unix_us=unix_us,
        )

    def taken(self) -> list[dict[int, bytes]]:
        found = []
        try:
            while True:
                found.append(chunks(self.socket.recv(65_535)))
        except BlockingIOError:
            return found


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.sink.close()
    server.socket.close()


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
    assert [each[15].split(b"\r\n")[0].replace(b"SIP/2.0 ", b"")[:6] for each in taken][:4] == [
        b"INVITE", b"100 Tr", b"INVITE", b"180 Ri",
    ]  # fmt: skip
    assert len(taken) == 13
    assert len({each[17] for each in taken}) == 1
    assert taken[0][17].startswith(b"cal_")
    assert (taken[0][3], taken[0][4]) == (bytes((127, 0, 0, 2)), bytes((127, 0, 0, 1)))
    assert (taken[2][3], taken[2][4]) == (bytes((127, 0, 0, 1)), bytes((127, 0, 0, 3)))
    instants = [int.from_bytes(each[9], "big") for each in taken]
    assert instants == sorted(instants)
    assert abs(instants[-1] - utc_now().timestamp()) < 30
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
    assert sum(each[15].startswith(b"SIP/2.0 200") for each in server.taken()) >= 4


def test_a_server_that_is_away_costs_nothing_but_its_messages(server: Server) -> None:
    server.socket.close()
    step = Step(1.0, "A", True, Peer("udp", "192.0.2.1", 5060), b"x")
    for _ in range(10):
        server.sink.take("cal_1", step)
    assert server.sink.dropped > 0
    server.sink.take("cal_1", step._replace(peer=Peer("udp", "2001:db8::1", 5060)))
    assert server.sink.dropped + server.sink.sent == 11
