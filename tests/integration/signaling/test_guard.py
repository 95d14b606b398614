"""What operators see and do about strangers, over real gRPC; and what other nodes are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proto.signaling.v1 import guard_pb2 as pb
from proto.signaling.v1 import guard_pb2_grpc as pb_grpc
from services.common.bus import Bus
from services.common.clock import monotonic
from services.common.errors import Invalid
from services.common.grpc import Server, open_channel, translated_rpc
from services.signaling.adapters.defence import Defence
from services.signaling.adapters.shared_bans import SUBJECT, SharedBans
from services.signaling.core.flood import FloodMeters
from services.signaling.core.guard import Action, Ban, Guard, Unban
from services.signaling.core.trunks import TrunkTable
from services.signaling.entrypoints.guard import GuardServicer
from services.signaling.sip.message import Response
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import Party, StreamParty, message, until
from tests.support.signaling.switch import (
    CALLER,
    STRANGER,
    TABLE,
    LoopbackSwitch,
    two_parties,
)

ECHOED = ("Via", "Fro", "To:", "Cal", "CSe")
SCANNER = b"User-Agent: friendly-scanner\r\nContent-Length"


@asynccontextmanager
async def guard_of(switch: LoopbackSwitch, address: str) -> AsyncIterator[pb_grpc.GuardStub]:
    server = Server(address)
    servicer = GuardServicer(
        switch.switch.gate,
        switch.switch.shedding.overload,
        FloodMeters(),
        node="n1",
        listeners=[("127.0.0.1", switch.port)],
        trusted=lambda: switch.switch.trunks.hosts,
        firewall_state=lambda: "off",
        monotonic=monotonic,
    )
    server.add(pb_grpc.add_GuardServicer_to_server, servicer)
    async with asyncio.TaskGroup() as tasks:
        await server.start(tasks)
        async with open_channel(address) as channel:
            yield pb_grpc.GuardStub(channel)  # type: ignore[no-untyped-call]  # generated
        await server.stop(0)


async def test_scanner_is_seen_banned_and_let_in_again(tmp_path: Path) -> None:
    async with (
        two_parties() as (_, _vendor, switch, talk),
        Party.at(STRANGER) as stranger,
        guard_of(switch, f"unix:{tmp_path}/g") as guard,
    ):
        probe = message(stranger, "OPTIONS", talk.switch, call_id="s1")
        stranger.send(probe.replace(b"Content-Length", SCANNER), talk.switch)
        await until(lambda: switch.switch.counters.scanners_dropped == 1)
        stranger.send(probe, talk.switch)
        await until(lambda: switch.switch.counters.banned_dropped == 1)
        shown = await guard.Show(pb.ShowGuardRequest())
        (ban,) = shown.bans
        assert (ban.target, ban.reason, ban.hits) == (STRANGER, "scanner", 1)
        assert 170 < ban.seconds_left <= 180
        assert shown.counters["scanners_dropped"] == shown.counters["banned_scanner"] == 1
        assert (shown.node, shown.firewall, shown.admitted_share) == ("n1", "off", 1.0)
        assert (await guard.Unban(pb.UnbanRequest(target=STRANGER))).found
        assert not (await guard.Unban(pb.UnbanRequest(target=STRANGER))).found
        stranger.send(probe, talk.switch)
        await until(lambda: switch.switch.counters.unknown_dropped == 1)
        counted = (await guard.Show(pb.ShowGuardRequest())).counted
        assert ("unknown_source", STRANGER, 1) in [(c.kind, c.key, c.count) for c in counted]
        assert stranger.nothing_came()


async def test_banned_source_is_not_let_in_by_stream_either() -> None:
    async with two_parties() as (_, _vendor, switch, _talk):
        port = await switch.tcp.listen(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        for host in (STRANGER, CALLER):
            switch.switch.gate.guard.ban(host, 60, monotonic())
        for host, refused in ((STRANGER, 1), (CALLER, 1)):
            _, stream = await loop.create_connection(
                StreamParty, "127.0.0.1", port, local_addr=(host, 0)
            )
            await until(lambda: switch.tcp.connections + switch.tcp.refused >= 1)
            assert switch.tcp.refused == refused
            if host == STRANGER:
                await stream.closed.wait()
            else:  # a trunk
                await until(lambda: switch.tcp.connections == 1)
                stream.transport.close()


async def test_operator_bans_but_no_trunk(tmp_path: Path) -> None:
    async with (
        two_parties() as (_, _vendor, switch, _talk),
        guard_of(switch, f"unix:{tmp_path}/g") as guard,
    ):
        reply = await guard.Ban(pb.BanRequest(target="[2001:DB8::1]", seconds=60))
        assert reply.target == "2001:db8::1"
        for target, seconds in ((CALLER, 60), ("192.0.2.0/20", 60), (STRANGER, 0), ("x", 60)):
            with pytest.raises(Invalid), translated_rpc("signaling"):
                await guard.Ban(pb.BanRequest(target=target, seconds=seconds))
        assert [ban.target for ban in switch.switch.gate.guard.bans(monotonic())] == [reply.target]
        with pytest.raises(Invalid), translated_rpc("signaling"):
            await guard.Unban(pb.UnbanRequest(target="everybody"))


async def test_rules_name_our_port_and_our_trunks(tmp_path: Path) -> None:
    async with (
        two_parties() as (_, _vendor, switch, _talk),
        guard_of(switch, f"unix:{tmp_path}/g") as guard,
    ):
        for form in ("nftables", "iptables"):
            text = (await guard.Rules(pb.RulesRequest(format=form))).text
            assert f"dport {switch.port}" in text
            assert CALLER in text
        with pytest.raises(Invalid), translated_rpc("signaling"):
            await guard.Rules(pb.RulesRequest(format="pf"))


async def test_banned_source_cannot_touch_a_call_of_others(tmp_path: Path) -> None:
    async with two_parties() as (_, _vendor, switch, talk), Party.at(STRANGER) as stranger:
        await talk.ring()
        for n in range(60):
            stranger.send(
                message(stranger, "INVITE", talk.switch, call_id=f"s{n}", body=OFFER), talk.switch
            )
        await until(lambda: switch.switch.counters.banned_dropped > 0)
        await talk.answer()
        await talk.hang_up()
        assert stranger.nothing_came()
        del tmp_path


async def test_answers_to_strangers_tell_neither_who_exists_nor_what_we_are() -> None:
    async with two_parties() as (_, _vendor, switch, talk), Party.at(STRANGER) as stranger:
        switch.switch.trunks = TrunkTable(TABLE, reply_to_unknown=True)
        for method in ("REGISTER", "OPTIONS", "INVITE", "SUBSCRIBE"):
            answers = set()
            for number, user in enumerate(("1000", "2000", "nobody", "admin")):
                body = OFFER if method == "INVITE" else b""
                request = message(
                    stranger, method, talk.switch, call_id=f"{number}", number=user, body=body,
                    branch=f"{method}{user}", from_tag=user,
                )  # fmt: skip
                stranger.send(request, talk.switch)
                reply = await stranger.hear()
                while isinstance(reply, Response) and reply.status == 100:
                    reply = await stranger.hear()
                assert isinstance(reply, Response)
                own = [
                    re.sub('nonce="[^"]+"', "nonce", line)
                    for line in reply.lines
                    if line[:3] not in ECHOED
                ]
                answers.add((reply.status, reply.reason, *own))
                assert not any(map(reply.has, ("server", "user-agent")))
            assert len(answers) == 1, answers


class Node:
    """One of two nodes on a bus."""

    def __init__(self, url: str, name: str) -> None:
        self.bus = Bus(url, name)
        self.guard = Guard()
        self.followed: list[Action] = []
        self.shared = SharedBans(self.bus, name, self.guard, monotonic, self.followed.extend)


async def test_nodes_tell_each_other(nats_url: str) -> None:
    one, two = Node(nats_url, "one"), Node(nats_url, "two")
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(work)
            for node in (one, two)
            for work in (node.bus.run(), node.shared.run())
        ]
        await one.bus.wait_connected()
        await two.bus.wait_connected()
        # What is told before the server knows of a listener is lost: try until one is heard.
        tried = one.guard.ban("203.0.113.1", 60, monotonic(), "scanner")
        async with asyncio.timeout(20):
            while not two.followed:
                one.shared.on_guard(tried)
                await asyncio.sleep(0.02)
        await one.bus.publish_core(SUBJECT, b"nonsense")
        one.shared.on_guard(one.guard.ban("203.0.113.9", 60, monotonic(), "scanner"))
        await until(lambda: two.guard.is_banned("203.0.113.9", monotonic()))
        heard = [action for action in two.followed if action.target == "203.0.113.9"]
        assert heard == [Ban("203.0.113.9", 60, "scanner")]
        one.shared.on_guard(one.guard.unban("203.0.113.9"))
        await until(lambda: not two.guard.is_banned("203.0.113.9", monotonic()))
        assert two.followed[-1] == Unban("203.0.113.9")
        assert one.followed == []
        for task in running:
            task.cancel()


async def test_defence_without_firewall_follows_all_the_same(nats_url: str) -> None:
    logged: list[Action] = []
    defence = Defence(
        Guard(), Bus(nats_url, "x"), node="n1", listeners=[], mode="off", monotonic=monotonic,
        on_log=logged.extend,
    )  # fmt: skip
    defence.on_trusted(["192.0.2.1"])
    defence.on_guard([Ban("203.0.113.9", 60, "scanner")])
    assert logged == [Ban("203.0.113.9", 60, "scanner")]
    assert defence.firewall == "off"
    await defence.close()
