"""RTP bleed and injection: strangers hear nothing and are heard by nobody."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.media.core.exchange import Side
from tests.integration.media.parties import Address, Party, Switch, exchange, rtcp, rtp

Make = Callable[..., Party]
SPRAYED = 60


def spray(stranger: Party, relays: list[Address]) -> None:
    """Valid-looking RTP with the victim's SSRC and sequence, and reports, to every port."""
    for relay in relays:
        for sequence in range(1, SPRAYED + 1):
            stranger.talk(rtp(sequence), to=relay)
            if sequence % 10 == 0:
                stranger.report(rtcp(), to=relay)
                stranger.talk(rtcp(), to=relay)
                stranger.report(rtp(sequence), to=relay)


async def reports_pass(one: Party, other: Party) -> None:
    for sender, receiver in ((one, other), (other, one)):
        packet = sender.report(rtcp(ssrc=9))
        assert await receiver.heard_report() == packet


@pytest.mark.parametrize("host", ["127.0.0.66", "127.0.0.1"], ids=["elsewhere", "same host"])
async def test_spray_mid_call(switch: Switch, party: Make, host: str) -> None:
    caller, callee, stranger = party(), party(), party(host)
    switch.connect(caller, callee)
    await exchange(caller, callee)
    await reports_pass(caller, callee)
    spray(stranger, [caller.relay, callee.relay])
    await exchange(caller, callee)
    await reports_pass(caller, callee)
    assert stranger.pending == caller.pending == callee.pending == []
    heard, said = await switch.release()
    for report in (heard, said):
        assert report.packets == 4
        # Of each ten: ten RTP and one report to the RTP port, two to the RTCP port.
        assert report.refused == SPRAYED + 3 * SPRAYED // 10


async def test_spray_before_the_first_packet(switch: Switch, party: Make) -> None:
    caller, callee, stranger = party(), party(), party("127.0.0.66")
    callee.relay = switch.offer(Side.CALLER, caller.sdp())
    spray(stranger, [callee.relay])
    caller.relay = switch.answer(Side.CALLEE, callee.sdp())
    spray(stranger, [caller.relay, callee.relay])
    await exchange(caller, callee)
    await reports_pass(caller, callee)
    spray(stranger, [caller.relay, callee.relay])
    await exchange(caller, callee)
    assert stranger.pending == caller.pending == callee.pending == []


async def test_spray_around_a_new_offer(switch: Switch, party: Make) -> None:
    caller, moved, callee, stranger = party(), party("127.0.0.3"), party(), party("127.0.0.66")
    switch.connect(caller, callee)
    await exchange(caller, callee)
    relays = [caller.relay, callee.relay]
    switch.offer(Side.CALLER, moved.sdp())
    spray(stranger, relays)
    moved.relay = switch.answer(Side.CALLEE, callee.sdp())
    spray(stranger, relays)
    await switch.settle()
    spray(stranger, relays)
    await exchange(moved, callee)
    await reports_pass(moved, callee)
    assert stranger.pending == moved.pending == callee.pending == caller.pending == []


async def test_spray_during_hold(switch: Switch, party: Make) -> None:
    caller, callee, stranger = party(), party(), party("127.0.0.66")
    switch.connect(caller, callee)
    await exchange(caller, callee)
    for held in (caller.sdp("a=inactive"), caller.sdp(host="0.0.0.0"), caller.sdp()):
        switch.offer(Side.CALLER, held)
        switch.answer(Side.CALLEE, callee.sdp())
        await switch.settle()
        spray(stranger, [caller.relay, callee.relay])
    await exchange(caller, callee)
    await reports_pass(caller, callee)
    assert stranger.pending == caller.pending == callee.pending == []


async def test_port_used_again_does_not_take_the_last_calls_packets(
    party: Make, tmp_path: Path
) -> None:
    switch = Switch(tmp_path, 23_500, 23_503)
    try:
        caller, callee, late = party(), party(), party("127.0.0.66")
        switch.connect(late, callee)
        await exchange(late, callee)
        await switch.release()
        relays = [late.relay, callee.relay]
    finally:
        switch.relay.stop()
    switch = Switch(tmp_path, 23_500, 23_503)
    try:
        switch.connect(caller, callee)
        assert {caller.relay, callee.relay} == set(relays)
        for relay in relays:
            late.talk(to=relay)
        await exchange(caller, callee)
        assert late.pending == callee.pending == []
    finally:
        switch.relay.stop()
