"""Audio through real sockets and a real worker process."""

import asyncio
import gc
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.causes import EndReason
from services.common.clock import monotonic
from services.media.adapters.relay.user_space import Interface, _bind_pair
from services.media.core.exchange import Describe, Side
from services.media.core.reception import Report
from services.media.core.sdp import Family
from tests.integration.media.parties import Owner, Party, Switch, exchange, rtcp, rtp

Make = Callable[..., Party]


async def test_audio_and_reports_pass_both_ways_and_are_counted(
    switch: Switch, party: Make
) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    await exchange(caller, callee, 50)
    for one, other in ((caller, callee), (callee, caller)):
        packet = one.report(rtcp())
        assert await other.heard_report() == packet
    heard, said = await switch.release()
    assert (heard.packets, heard.size_bytes, heard.lost, heard.refused) == (50, 8_600, 0, 0)
    assert (said.packets, said.lost) == (50, 0)
    assert heard.source == f"127.0.0.1:{caller.port}"
    assert 0 < heard.first_ns < heard.last_ns
    assert caller.pending == callee.pending == []


async def test_loss_is_counted(switch: Switch, party: Make) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    for sequence in (1, 2, 5, 6):
        caller.talk(rtp(sequence))
        await callee.heard()
    heard, said = await switch.release()
    assert (heard.packets, heard.lost) == (4, 2)
    assert said == Report()


async def test_packets_come_from_the_described_port(switch: Switch, party: Make) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    caller.talk()
    async with asyncio.timeout(10):
        loop = asyncio.get_running_loop()
        _, source = await loop.sock_recvfrom(callee.rtp, 2_000)
    assert source == callee.relay


async def test_large_and_odd_packets_are_relayed_whole(switch: Switch, party: Make) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    await exchange(caller, callee)
    for size in (0, 1, 1_460, 9_000):
        packet = caller.talk(rtp(9, payload=b"x" * size))
        assert await callee.heard() == packet


async def test_peer_behind_nat_is_found_by_where_its_sip_came_from(
    switch: Switch, party: Make
) -> None:
    caller, callee = party("127.0.0.5"), party()
    described = caller.sdp(host="10.1.2.3", port=4_000)
    callee.relay = switch.offer(Side.CALLER, described, source_host="127.0.0.5")
    caller.relay = switch.answer(Side.CALLEE, callee.sdp())
    await exchange(caller, callee, 5)
    heard, _ = await switch.release()
    assert heard.source == f"127.0.0.5:{caller.port}"


async def test_described_port_takes_a_learned_one_back(switch: Switch, party: Make) -> None:
    caller, neighbour, callee = party(), party(), party()
    switch.connect(caller, callee)
    await exchange(neighbour_of(neighbour, caller), callee)
    await exchange(caller, callee, 3)
    neighbour.talk()
    await exchange(caller, callee, 3)
    assert neighbour.pending == callee.pending == []


def neighbour_of(neighbour: Party, caller: Party) -> Party:
    neighbour.relay = caller.relay
    return neighbour


async def test_attempts_switch_audio(switch: Switch, party: Make) -> None:
    caller, first, second = party(), party(), party()
    first.relay = switch.offer(Side.CALLER, caller.sdp(), attempt=1)
    caller.relay = switch.answer(Side.CALLEE, first.sdp(), attempt=1)
    await exchange(caller, first)
    switch.calls.forget("call", 1, switch.owner)
    second.relay = switch.offer(Side.CALLER, caller.sdp(), attempt=2)
    assert second.relay != first.relay
    assert switch.answer(Side.CALLEE, second.sdp(), attempt=2) == caller.relay
    await switch.settle()
    first.talk()
    await exchange(caller, second)
    assert first.pending == []


async def test_port_change_moves_audio_and_closes_the_old_way(switch: Switch, party: Make) -> None:
    caller, moved, callee = party(), party("127.0.0.3"), party()
    switch.connect(caller, callee)
    await exchange(caller, callee)
    assert switch.offer(Side.CALLER, moved.sdp()) == callee.relay
    await exchange(caller, callee)  # not yet agreed
    moved.relay = switch.answer(Side.CALLEE, callee.sdp())
    assert moved.relay == caller.relay
    await switch.settle()
    caller.talk()
    await exchange(moved, callee)
    assert caller.pending == callee.pending == []


async def test_offer_that_is_refused_leaves_audio_alone(switch: Switch, party: Make) -> None:
    caller, moved, callee = party(), party("127.0.0.3"), party()
    switch.connect(caller, callee)
    await exchange(caller, callee)
    switch.offer(Side.CALLER, moved.sdp())
    moved.relay = caller.relay
    await switch.settle()
    moved.talk()
    await exchange(caller, callee, 3)
    assert moved.pending == []


async def test_hold_with_a_null_address_mutes_and_resume_speaks(
    switch: Switch, party: Make
) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    await exchange(caller, callee)
    switch.offer(Side.CALLER, caller.sdp(host="0.0.0.0"))
    switch.answer(Side.CALLEE, callee.sdp())
    await switch.settle()
    callee.talk()
    await switch.settle()  # also for what came before it on other sockets
    switch.offer(Side.CALLER, caller.sdp())
    switch.answer(Side.CALLEE, callee.sdp())
    await switch.settle()
    await exchange(caller, callee, 3)
    assert caller.pending == []


async def test_hold_keeps_the_latch(switch: Switch, party: Make) -> None:
    caller, callee, stranger = party(), party(), party("127.0.0.66")
    switch.connect(caller, callee)
    await exchange(caller, callee)
    switch.offer(Side.CALLER, caller.sdp("a=sendonly"))
    switch.answer(Side.CALLEE, callee.sdp("a=recvonly"))
    await switch.settle()
    stranger.talk(to=caller.relay)
    stranger.talk(to=callee.relay)
    await exchange(caller, callee)
    assert stranger.pending == callee.pending == []


async def test_garbage_on_every_port_harms_nothing(switch: Switch, party: Make) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    dice = random.Random(5)
    stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    client_hello = b"\x16\xfe\xff" + bytes(200)
    bad_tag = b"\x80\x00p("
    garbage = [b"", b"\x80", stun, client_hello, bad_tag, b"\x80\xc8" + bytes(30)]
    garbage += [bytes(dice.randrange(256) for _ in range(dice.randrange(60))) for _ in range(40)]
    for count in range(2):
        for each in garbage:
            packet = b"\x00" + each[1:]
            caller.talk(packet)
            caller.report(packet)
            callee.report(b"\x80\xc9\xff\xff" + each)
        for odd in (b"", b"\x80", b"\x80\xc9\x00\x00", b"\x80\xc9\x00\x01\x00\x00\x00", bad_tag):
            caller.report(odd)
        await exchange(caller, callee, 2 + count)
    assert caller.report(rtcp()) == await callee.heard_report()
    assert caller.pending == callee.pending == []
    heard, _ = await switch.release()
    assert heard.packets == 5
    assert heard.refused > 40


async def test_peer_that_closed_its_port_does_not_end_the_call(
    switch: Switch, party: Make
) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    await exchange(caller, callee)
    port = callee.port
    callee.rtp.close()
    for _ in range(20):
        caller.talk()
        await switch.settle()
    callee.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    callee.rtp.bind(("127.0.0.1", port))
    callee.talk()
    await caller.heard()
    await switch.settle()
    packet = caller.talk()
    assert await callee.heard() == packet


async def test_ports_of_other_programs_are_passed_over(party: Make, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 23_301))
        switch = Switch(tmp_path, 23_300, 23_305)
        try:
            caller, callee = party(), party()
            switch.connect(caller, callee)
            assert {caller.relay[1], callee.relay[1]} == {23_302, 23_304}
            describe = Describe(Side.CALLER, caller.sdp())
            refused = switch.calls.offer("another", describe, Owner(), monotonic())
            assert refused is EndReason.NO_RTP_PORTS
            await exchange(caller, callee)
        finally:
            switch.relay.stop()


async def test_many_calls_leave_no_descriptor_behind(party: Make, tmp_path: Path) -> None:
    switch = Switch(tmp_path, 23_600, 23_799, rest_s=0.0)
    try:
        await switch.settle()
        pids = (os.getpid(), *switch.relay.worker_pids)
        gc.collect()  # what tests before this one left open is not ours to count
        before = [descriptors(pid) for pid in pids]
        free = switch.relay.free_ports
        describe = Describe(Side.CALLER, party().sdp())
        before[0] += 2  # the party's own
        for number in range(1_000):
            call_id = f"call {number}"
            offered = switch.calls.offer(call_id, describe, switch.owner, monotonic())
            assert isinstance(offered, bytes)
            switch.calls.release(call_id, lambda _caller, _callee: None)
            if number % 20 == 0:
                await switch.settle()
        await switch.settle()
        assert [descriptors(pid) for pid in pids] == before
        assert switch.relay.free_ports == free
        assert switch.relay.open_endpoints == 0
    finally:
        switch.relay.stop()


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_ipv6(party: Make, tmp_path: Path) -> None:
    switch = Switch(tmp_path, 23_400, 23_420, host="::1")
    try:
        caller, callee = party("::1"), party("::1")
        switch.connect(caller, callee)
        assert caller.relay[0] == "::1"
        await exchange(caller, callee, 5)
        packet = caller.report(rtcp())
        assert await callee.heard_report() == packet
        heard, _ = await switch.release()
        assert (heard.packets, heard.source) == (5, f"::1:{caller.port}")
    finally:
        switch.relay.stop()


async def test_audio_between_ipv6_and_ipv4(party: Make, tmp_path: Path) -> None:
    switch = Switch(tmp_path, 23_460, 23_480, host="127.0.0.1", other_host="::1")
    try:
        for one, other in (("::1", "127.0.0.3"), ("127.0.0.3", "::1")):
            caller, callee = party(one), party(other)
            switch.connect(caller, callee)
            await switch.settle()  # or the first packet may come before the orders
            assert (":" in caller.relay[0], ":" in callee.relay[0]) == (":" in one, ":" in other)
            await exchange(caller, callee, 5)
            packet = caller.report(rtcp())
            assert await callee.heard_report() == packet
            heard, said = await switch.release()
            assert (heard.packets, said.packets) == (5, 5)
    finally:
        switch.relay.stop()


@pytest.mark.parametrize(
    ("host", "level", "name"),
    [
        ("127.0.0.1", socket.IPPROTO_IP, socket.IP_TOS),
        ("::1", socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    ],
)
def test_packets_carry_their_class_of_service(host: str, level: int, name: int) -> None:
    family = Family.IP6 if ":" in host else Family.IP4
    pair = _bind_pair(Interface(family, host, 23_440, 23_450, host, 46), 23_440)
    assert pair is not None
    for each in pair:
        assert each.getsockopt(level, name) == 46 << 2
        each.close()


async def test_wildcard_addresses_relay_too(party: Make, tmp_path: Path) -> None:
    switch = Switch(tmp_path, 23_420, 23_439, host="0.0.0.0")
    try:
        caller, callee, moved = party(), party(), party("127.0.0.3")
        for each in (caller, moved):
            callee.relay = ("127.0.0.1", switch.offer(Side.CALLER, each.sdp())[1])
            each.relay = ("127.0.0.1", switch.answer(Side.CALLEE, callee.sdp())[1])
            await switch.settle()
            await exchange(each, callee, 3)
    finally:
        switch.relay.stop()
