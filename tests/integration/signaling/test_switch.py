"""The driver over real sockets: UDP, TCP, ICMP, strangers, rubbish."""

from __future__ import annotations

import asyncio
import socket

from services.common.causes import EndReason
from services.signaling.core.trunks import TrunkTable
from services.signaling.core.values import Plan
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import TimerValues
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import (
    PATIENCE_S,
    Party,
    StreamParty,
    Talk,
    message,
    on_uvloop,
    reply,
    until,
)
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import (
    CALLER,
    STRANGER,
    TABLE,
    VENDOR,
    LoopbackSwitch,
    running,
    to_vendor,
    two_parties,
)


async def settled(switch: LoopbackSwitch, calls: int = 1) -> None:
    """Wait until this many calls have their records and none is left."""
    await until(lambda: len(switch.events.ended) >= calls and not switch.switch.calls)


@on_uvloop
async def test_a_call_through_udp() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        await talk.hang_up()
        await settled(switch)
        (record,) = switch.events.ended
        assert (record.end_reason, record.end_side) == (EndReason.NORMAL, "caller")
        assert record.source == f"{CALLER}:{caller.address[1]};udp"
        assert record.attempts[0].target == f"{VENDOR}:{vendor.address[1]};udp"
        steps = switch.switch.ladders.steps(record.call_id)
        assert [(step.leg, step.sent, step.summary.split()[0]) for step in steps] == [
            ("A", False, "INVITE"), ("A", True, "100"), ("B1", True, "INVITE"),
            ("B1", False, "180"), ("A", True, "180"), ("B1", False, "200"), ("B1", True, "ACK"),
            ("A", True, "200"), ("A", False, "ACK"), ("A", False, "BYE"), ("A", True, "200"),
            ("B1", True, "BYE"), ("B1", False, "200"),
        ]  # fmt: skip
        assert steps[0].raw.startswith(b"INVITE sip:2000@127.0.0.1")
        assert switch.context.dialogs == {}
        assert (switch.switch._owners, switch.switch._invites) == ({}, {})


@on_uvloop
async def test_repetitions_make_no_second_call() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        invite = message(caller, "INVITE", talk.switch, call_id="twice", body=OFFER, branch="same")
        for _ in range(5):
            caller.send(invite, talk.switch)
        first = await vendor.request("INVITE")
        vendor.send(reply(vendor, first, 486), talk.switch)
        await vendor.request("ACK")
        busy = await caller.response(486)
        for _ in range(5):
            caller.send(invite, talk.switch)
        assert (await caller.response(486)).to_tag == busy.to_tag
        await settled(switch)
        assert switch.switch.counters.invites == 1
        assert vendor.nothing_came()


@on_uvloop
async def test_cancel_before_the_vendor_s_first_word_waits_for_it() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        invite = message(caller, "INVITE", talk.switch, call_id="c", body=OFFER, branch="cc")
        caller.send(invite, talk.switch)
        heard = await vendor.request("INVITE")
        caller.send(message(caller, "CANCEL", talk.switch, call_id="c", branch="cc"), talk.switch)
        await caller.response(200)
        await caller.response(487)
        vendor.send(reply(vendor, heard, 100), talk.switch)
        cancel = await vendor.request("CANCEL")
        vendor.send(reply(vendor, cancel, 200), talk.switch)
        vendor.send(reply(vendor, heard, 487), talk.switch)
        await vendor.request("ACK")
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.CANCELLED
        assert switch.events.ended[0].attempts[0].sip_code == 487


@on_uvloop
async def test_an_answer_after_the_call_is_gone_is_hung_up() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        assert talk.invite is not None
        fork = reply(vendor, talk.invite, 200, OFFER).replace(b"tag=callee", b"tag=fork")
        vendor.send(fork, talk.switch)
        ack = await vendor.request("ACK")
        assert ack.to_tag == "fork"
        bye = await vendor.request("BYE")
        assert bye.to_tag == "fork"
        vendor.send(reply(vendor, bye, 200), talk.switch)
        await talk.hang_up()
        await settled(switch)
        assert caller.nothing_came()


@on_uvloop
async def test_a_closed_port_moves_the_call_on_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind((VENDOR, 0))
        nobody = closed.getsockname()
    async with two_parties() as (_, vendor, switch, talk):
        planner = FixedPlanner(to_vendor(nobody), to_vendor(vendor.address))
        switch.planner.plan_now = planner.plan_now
        await talk.ring()
        await talk.answer()
        await talk.hang_up()
        await settled(switch)
        first, second = switch.events.ended[0].attempts
        assert first.end_reason == EndReason.VENDOR_UNREACHABLE
        assert (second.started_at - first.started_at).total_seconds() < 1.0
        assert second.sip_code == 200


@on_uvloop
async def test_strangers_are_dropped_or_answered_by_setting() -> None:
    async with two_parties() as (_, _vendor, switch, talk), Party.at(STRANGER) as stranger:
        stranger.send(
            message(stranger, "INVITE", talk.switch, call_id="s1", body=OFFER), talk.switch
        )
        stranger.send(message(stranger, "OPTIONS", talk.switch, call_id="s2"), talk.switch)
        stranger.send(b"\0" * 100, talk.switch)
        await until(lambda: switch.switch.counters.unknown_dropped == 3)
        assert stranger.nothing_came()
        assert switch.events.ended == []
        switch.switch.trunks = TrunkTable(TABLE, reply_to_unknown=True)
        stranger.send(
            message(stranger, "INVITE", talk.switch, call_id="s3", body=OFFER), talk.switch
        )
        await stranger.response(403)
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.UNKNOWN_CUSTOMER


@on_uvloop
async def test_out_of_dialog_requests() -> None:
    async with two_parties() as (caller, _, switch, talk):
        for method, status in (
            ("OPTIONS", 200), ("REGISTER", 401), ("MESSAGE", 405), ("INFO", 405), ("BYE", 481),
            ("WHATEVER", 501),
        ):  # fmt: skip
            caller.send(message(caller, method, talk.switch, call_id=f"o-{method}"), talk.switch)
            response = await caller.response(status)
            if status in {200, 405}:
                assert "INVITE" in (response.first("allow") or "")
        caller.send(
            message(caller, "INFO", talk.switch, call_id="x", to_tag="unknown"), talk.switch
        )
        await caller.response(481)
        assert switch.events.ended == []


@on_uvloop
async def test_a_malformed_invite_has_its_answer_and_one_record() -> None:
    async with two_parties() as (caller, _, switch, talk):
        bad = message(caller, "INVITE", talk.switch, call_id="bad", body=OFFER).replace(
            b"Max-Forwards: 70", b"Max-Forwards: many"
        )
        for _ in range(3):
            caller.send(bad, talk.switch)
            await caller.response(400)
        await settled(switch)
        (record,) = switch.events.ended
        assert (record.end_reason, record.sip_code_out) == (EndReason.MALFORMED, 400)
        assert (record.customer_trunk_id, record.sip_call_id) == ("ctr_1", "bad")


@on_uvloop
async def test_an_operator_hangs_up() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        (call_id,) = switch.switch.calls
        await until(lambda: not switch.switch._invites)
        assert switch.switch.hang_up(call_id, EndReason.ADMIN_DISCONNECT)
        for party in (caller, vendor):
            bye = await party.request("BYE")
            party.send(reply(party, bye, 200), talk.switch)
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.ADMIN_DISCONNECT
        assert not switch.switch.hang_up(call_id, EndReason.ADMIN_DISCONNECT)


@on_uvloop
async def test_a_draining_switch_refuses_and_finishes() -> None:
    async with two_parties() as (caller, _, switch, talk):
        await talk.ring()
        await talk.answer()
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(switch.switch.drain())
            await asyncio.sleep(0)
            caller.send(
                message(caller, "INVITE", talk.switch, call_id="late", body=OFFER), talk.switch
            )
            await caller.response(503)
            assert not draining.done()
            await talk.hang_up()
            async with asyncio.timeout(PATIENCE_S):
                await draining
        assert {event.end_reason for event in switch.events.ended} == {
            EndReason.NODE_SHUTDOWN, EndReason.NORMAL,
        }  # fmt: skip


@on_uvloop
async def test_routing_away_is_503_with_its_own_reason() -> None:
    async with two_parties() as (caller, _, switch, talk):
        switch.planner.plan_now = None
        talk.say("INVITE", 1, OFFER)
        await caller.response(503)
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.ROUTING_UNAVAILABLE


@on_uvloop
async def test_an_answer_nobody_acknowledges_is_repeated_and_then_hung_up() -> None:
    async with two_parties(TimerValues(t1=0.01, t2=0.04, t4=0.05)) as (
        caller,
        vendor,
        switch,
        talk,
    ):
        await talk.ring()
        assert talk.invite is not None
        vendor.send(reply(vendor, talk.invite, 200, OFFER), talk.switch)
        for _ in range(5):
            assert (await caller.response(200)).cseq.method == "INVITE"
        for party in (caller, vendor):
            bye = await party.request("BYE")
            party.send(reply(party, bye, 200), talk.switch)
        await settled(switch)
        (record,) = switch.events.ended
        assert (record.end_reason, record.end_side) == (EndReason.NO_ACK, "server")
        assert record.talk_ms >= 640
        assert switch.switch._invites == {}


# --- TCP --------------------------------------------------------------------------------


@on_uvloop
async def test_a_call_through_tcp_on_both_sides() -> None:
    loop = asyncio.get_running_loop()
    vendor = StreamParty()
    server = await loop.create_server(lambda: vendor, VENDOR, 0)
    vendor.address = server.sockets[0].getsockname()
    switch = LoopbackSwitch(FixedPlanner(to_vendor(vendor.address, "tcp")))
    switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR])
    async with asyncio.TaskGroup() as tasks:
        with running(switch):
            await switch.tcp.listen(("127.0.0.1", switch.port))
            connecting = tasks.create_task(switch.tcp.run())
            _, caller = await loop.create_connection(
                StreamParty, "127.0.0.1", switch.port, local_addr=(CALLER, 0)
            )
            talk = Talk(caller, vendor, ("127.0.0.1", switch.port))
            await talk.ring()
            await talk.answer()
            # In-dialog requests towards the caller come over his own connection.
            assert talk.invite is not None
            info = message(
                vendor, "INFO", talk.switch, call_id=talk.invite.call_id, cseq=1,
                to_tag=talk.invite.from_tag, from_tag="callee",
            )  # fmt: skip
            vendor.send(info, talk.switch)
            caller.send(reply(caller, await caller.request("INFO"), 200), talk.switch)
            await vendor.response(200)
            await talk.hang_up()
            await settled(switch)
            assert switch.tcp.connections == 2
            record = switch.events.ended[0]
            assert record.attempts[0].target.endswith(";tcp")
            assert record.source.endswith(";tcp")
            connecting.cancel()
        await caller.closed.wait()
    server.close()
    assert switch.observations.errors == []


@on_uvloop
async def test_a_tcp_vendor_that_is_not_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as closed:
        closed.bind((VENDOR, 0))
        nobody = closed.getsockname()
    async with two_parties() as (caller, _, switch, talk), asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(switch.tcp.run())
        switch.planner.plan_now = Plan(candidates=(to_vendor(nobody, "tcp"),))
        talk.say("INVITE", 1, OFFER)
        await caller.response(503)
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.VENDOR_UNREACHABLE
        connecting.cancel()


@on_uvloop
async def test_a_stream_that_cannot_be_framed_is_closed() -> None:
    loop = asyncio.get_running_loop()
    async with two_parties() as (_, _vendor, switch, _talk):
        await switch.tcp.listen(("127.0.0.1", switch.port))
        transport, party = await loop.create_connection(StreamParty, "127.0.0.1", switch.port)
        transport.write(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: many\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            await party.closed.wait()


@on_uvloop
async def test_a_keep_alive_is_answered() -> None:
    async with two_parties() as (_, _vendor, switch, _talk):
        await switch.tcp.listen(("127.0.0.1", switch.port))
        reader, writer = await asyncio.open_connection("127.0.0.1", switch.port)
        writer.write(b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(2) == b"\r\n"
        writer.close()
        await writer.wait_closed()


@on_uvloop
async def test_a_vendor_that_hangs_up_over_a_lost_dialog() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        talk.say("INVITE", 2, OFFER)
        hold = await vendor.request("INVITE")
        vendor.send(reply(vendor, hold, 481), talk.switch)
        refused = await caller.hear()
        while isinstance(refused, Response) and refused.status == 100:
            refused = await caller.hear()
        assert isinstance(refused, Response)
        assert refused.status == 481
        bye = await caller.request("BYE")
        caller.send(reply(caller, bye, 200), talk.switch)
        await settled(switch)
        assert switch.events.ended[0].end_side == "callee"
