"""kill -9 of media's processes: audio goes on, and so does everything that is known of a call."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploy.local import launch
from proto.media.v1.media_pb2 import Attach, MediaItem, Release
from services.common.causes import EndReason
from services.common.clock import monotonic
from services.media.adapters.relay.records import Records, open_file
from services.media.core.exchange import Describe, Side
from services.media.core.reception import Report
from tests.integration.media.parties import Party, Switch, exchange, rtcp, rtp
from tests.integration.media.service import (
    CALLEE,
    CALLER,
    ROOT,
    Media,
    address_of,
    children,
    connected,
    describe,
    end,
    is_alive,
    settings,
    start,
)

Make = Callable[..., Party]
LOW, HIGH = 23_900, 23_959


def kill_worker(switch: Switch) -> None:
    (pid,) = switch.relay.worker_pids
    os.kill(pid, signal.SIGKILL)


async def on_record(folder: Path, party: Party, packets: int) -> None:
    """Return once a worker has put on record what came from ``party``."""
    descriptor = open_file(folder)
    try:
        record = Records(descriptor).of(party.relay[1], is_v6=False)
    finally:
        os.close(descriptor)
    async with asyncio.timeout(20):
        while record.read().counted.packets < packets:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while is_alive(pid):  # noqa: ASYNC110 - another process's child
            await asyncio.sleep(0.01)


# --- a worker dies ----------------------------------------------------------------------


async def test_killed_worker_goes_on_where_it_was(
    switch: Switch, party: Make, tmp_path: Path
) -> None:
    caller, callee = party(), party()
    switch.connect(caller, callee)
    await exchange(caller, callee, 3)
    await on_record(tmp_path, caller, 3)
    await on_record(tmp_path, callee, 3)
    (first,) = switch.relay.worker_pids
    kill_worker(switch)
    await gone(first)
    sent = [caller.talk() for _ in range(20)]
    assert [await callee.heard() for _ in sent] == sent, "what came meanwhile has waited"
    await exchange(caller, callee, 5)
    assert caller.report(rtcp()) == await callee.heard_report()
    assert switch.relay.worker_pids != [first]
    assert switch.relay.restarts == 1
    heard, said = await switch.release()
    assert (heard.packets, heard.lost, heard.source) == (28, 0, f"127.0.0.1:{caller.port}")
    assert (said.packets, said.lost) == (8, 0)
    assert caller.pending == callee.pending == []


async def test_what_was_learned_behind_nat_outlives_a_worker(switch: Switch, party: Make) -> None:
    caller, callee = party("127.0.0.5"), party()
    described = caller.sdp(host="10.1.2.3", port=4_000)
    callee.relay = switch.offer(Side.CALLER, described, source_host="127.0.0.5")
    caller.relay = switch.answer(Side.CALLEE, callee.sdp())
    await exchange(caller, callee)
    assert caller.report(rtcp()) == await callee.heard_report()
    kill_worker(switch)
    # The caller is silent: only what was learned of him says where he is.
    packet = callee.talk()
    assert await caller.heard() == packet
    assert callee.report(rtcp(2)) == await caller.heard_report()


async def test_release_while_the_worker_is_dead_tells_what_was_counted(
    switch: Switch, party: Make, tmp_path: Path
) -> None:
    caller, callee = party(), party()
    free = switch.relay.free_ports
    switch.connect(caller, callee)
    await exchange(caller, callee)
    await on_record(tmp_path, caller, 2)
    await on_record(tmp_path, callee, 2)
    kill_worker(switch)
    heard, said = await switch.release()
    assert (heard.packets, said.packets) == (2, 2)
    assert switch.relay.free_ports == free
    assert switch.relay.open_endpoints == 0


async def test_new_calls_do_not_inherit_the_figures_of_old_ones(
    party: Make, tmp_path: Path
) -> None:
    switch = Switch(tmp_path, LOW, LOW + 3, rest_s=0.0)
    try:
        caller, callee = party(), party()
        switch.connect(caller, callee)
        await exchange(caller, callee)
        await switch.release()
        switch.connect(caller, callee)
        kill_worker(switch)
        assert await switch.release() == (Report(), Report())
    finally:
        switch.relay.stop()


# --- the control process dies -----------------------------------------------------------


async def test_next_process_takes_calls_back_from_the_worker(party: Make, tmp_path: Path) -> None:
    switch = Switch(tmp_path, LOW, HIGH, rest_s=0.0)
    caller, callee = party(), party()
    switch.connect(caller, callee)
    switch.calls.flush()
    await exchange(caller, callee)
    unanswered = Describe(Side.CALLER, party().sdp())
    assert isinstance(switch.calls.offer("young", unanswered, switch.owner, monotonic()), bytes)
    await switch.settle()
    pids, free = switch.relay.worker_pids, switch.relay.free_ports
    switch.relay.detach()
    await exchange(caller, callee)
    switch = Switch(tmp_path, LOW, HIGH, rest_s=0.0)
    try:
        assert switch.relay.worker_pids == pids
        assert (switch.calls.live, switch.calls.restored) == (1, 1)
        assert switch.calls.attach("call", switch.owner)
        assert not switch.calls.attach("young", switch.owner)
        await switch.settle()
        assert switch.relay.free_ports == free + 2, "what nobody kept is closed"
        await exchange(caller, callee)
        taken = {caller.relay[1], callee.relay[1]}
        for number in range(switch.relay.free_ports // 2):
            new = switch.calls.offer(f"new {number}", unanswered, switch.owner, monotonic())
            assert isinstance(new, bytes)
        assert switch.relay.free_ports == 0
        refused = switch.calls.offer("more", unanswered, switch.owner, monotonic())
        assert refused is EndReason.NO_RTP_PORTS
        opened = [each.port for call in switch.calls._calls.values() for each in
                  call.session.endpoints]  # fmt: skip
        assert len(opened) == len(set(opened))
        assert taken <= set(opened)
        # Hold, resume, and the end, as if nothing had been.
        switch.offer(Side.CALLER, caller.sdp("a=sendonly"))
        switch.answer(Side.CALLEE, callee.sdp("a=recvonly"))
        assert switch.offer(Side.CALLER, caller.sdp()) == callee.relay
        assert switch.answer(Side.CALLEE, callee.sdp()) == caller.relay
        await exchange(caller, callee)
        heard, said = await switch.release()
        assert (heard.packets, said.packets) == (8, 8)
    finally:
        switch.relay.stop()


async def test_offer_that_was_under_way_is_answered_by_the_next_process(
    party: Make, tmp_path: Path
) -> None:
    switch = Switch(tmp_path, LOW, HIGH)
    caller, moved, callee = party(), party("127.0.0.3"), party()
    switch.connect(caller, callee)
    await exchange(caller, callee)
    assert switch.offer(Side.CALLER, moved.sdp()) == callee.relay
    switch.calls.flush()
    switch.relay.detach()
    switch = Switch(tmp_path, LOW, HIGH)
    try:
        moved.relay = switch.answer(Side.CALLEE, callee.sdp())
        assert moved.relay == caller.relay
        await switch.settle()
        await exchange(moved, callee)
    finally:
        switch.relay.stop()


async def test_ports_are_bound_again_when_both_died(party: Make, tmp_path: Path) -> None:
    switch = Switch(tmp_path, LOW, HIGH)
    caller, callee, stranger = party(), party(), party("127.0.0.66")
    switch.connect(caller, callee)
    switch.calls.flush()
    await exchange(caller, callee)
    await on_record(tmp_path, caller, 2)
    await on_record(tmp_path, callee, 2)
    (first,) = switch.relay.worker_pids
    os.kill(first, signal.SIGKILL)
    switch.relay.detach()
    await gone(first)
    switch = Switch(tmp_path, LOW, HIGH)
    try:
        assert (switch.calls.live, switch.relay.worker_pids != [first]) == (1, True)
        await switch.settle()
        stranger.talk(to=caller.relay)
        await exchange(caller, callee)
        assert stranger.pending == callee.pending == []
        heard, said = await switch.release()
        assert (heard.packets, said.packets) == (4, 4)
    finally:
        switch.relay.stop()


async def test_call_whose_port_was_taken_meanwhile_is_unknown(party: Make, tmp_path: Path) -> None:
    switch = Switch(tmp_path, LOW, HIGH)
    caller, callee = party(), party()
    free = switch.relay.free_ports
    switch.connect(caller, callee)
    switch.calls.flush()
    await switch.settle()
    (first,) = switch.relay.worker_pids
    os.kill(first, signal.SIGKILL)
    switch.relay.detach()
    await gone(first)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(caller.relay)
        for _ in range(2):  # the next process finds it gone as well
            switch = Switch(tmp_path, LOW, HIGH)
            try:
                assert not switch.calls.attach("call", switch.owner)
                await switch.settle()
                assert switch.relay.free_ports == free
                assert switch.relay.open_endpoints == 0
            finally:
                switch.relay.detach()


async def test_another_number_of_workers_binds_everything_anew(
    party: Make, tmp_path: Path
) -> None:
    switch = Switch(tmp_path, LOW, HIGH)
    caller, callee = party(), party()
    switch.connect(caller, callee)
    switch.calls.flush()
    await exchange(caller, callee)
    (first,) = switch.relay.worker_pids
    switch.relay.detach()
    switch = Switch(tmp_path, LOW, HIGH, workers=2)
    try:
        assert first not in switch.relay.worker_pids
        await switch.settle()
        await exchange(caller, callee)
    finally:
        switch.relay.stop()
    await gone(first)


async def test_worker_that_hangs_is_replaced(
    party: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.media.adapters.relay.rendezvous._ANSWER_S", 0.1)
    switch = Switch(tmp_path, LOW, HIGH)
    caller, callee = party(), party()
    switch.connect(caller, callee)
    switch.calls.flush()
    await exchange(caller, callee)
    (first,) = switch.relay.worker_pids
    os.kill(first, signal.SIGSTOP)
    switch.relay.detach()
    switch = Switch(tmp_path, LOW, HIGH)
    try:
        assert switch.relay.worker_pids != [first]
        await exchange(caller, callee)
    finally:
        switch.relay.stop()


async def test_folder_is_of_one_process(switch: Switch, tmp_path: Path) -> None:
    await switch.settle()
    with pytest.raises(BlockingIOError):
        Switch(tmp_path, LOW, HIGH)


async def test_disk_without_room_costs_the_figures_only(
    party: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    await goes_on_after_a_kill(tmp_path, party)


async def test_folder_that_cannot_be_made_costs_the_figures_only(
    party: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    await goes_on_after_a_kill(tmp_path / "file" / "folder", party)


async def goes_on_after_a_kill(folder: Path, party: Make) -> None:
    switch = Switch(folder, LOW, HIGH)
    try:
        caller, callee = party(), party()
        switch.connect(caller, callee)
        await exchange(caller, callee)
        kill_worker(switch)
        await exchange(caller, callee)
        heard, _ = await switch.release()
        assert heard.packets == 2
    finally:
        switch.relay.stop()


async def test_audio_that_was_awaited_is_told_once(switch: Switch, party: Make) -> None:
    caller, callee = party(), party()
    for attempt, awaits in ((1, False), (2, True)):
        offered = Describe(Side.CALLER, caller.sdp(), attempt=attempt, awaits_rtp=awaits)
        assert isinstance(switch.calls.offer("call", offered, switch.owner, monotonic()), bytes)
        ports = switch.calls._calls["call"].session._attempts[attempt].endpoints
        callee.relay = ("127.0.0.1", ports[0].port)
        early = Describe(Side.CALLEE, callee.sdp(), attempt=attempt, provisional=True)
        answer = switch.calls.answer("call", early, switch.owner, monotonic())
        assert isinstance(answer, bytes)
        await switch.settle()
        for sequence in range(3):
            callee.talk(rtp(sequence))
            await caller.heard()
    await switch.settle()
    assert switch.owner.started == [("call", 2)]


# --- as processes -----------------------------------------------------------------------


@pytest.fixture
async def media(tmp_path: Path) -> AsyncIterator[Media]:
    process = await start(tmp_path)
    async with connected(address_of(tmp_path)) as (link, events):
        media = Media(process, address_of(tmp_path), link, events)
        try:
            yield media
        finally:
            await end(media.process, [])


async def reconnected(media: Media) -> None:
    async with asyncio.timeout(20):
        while not media.link.connected:  # noqa: ASYNC110 - the link tells nobody
            await asyncio.sleep(0.01)


async def test_killed_service_loses_no_packet(media: Media, party: Make, tmp_path: Path) -> None:
    caller, callee = party(), party()
    await media.connect("one", caller, callee)
    await exchange(caller, callee)
    (worker,) = children(media.process.pid)
    media.process.kill()
    await media.process.wait()
    await exchange(caller, callee, 5)
    media.process = await start(tmp_path)
    async with asyncio.timeout(20):
        while await media.try_to_ask(MediaItem(call_id="one", attach=Attach())) is None:
            await exchange(caller, callee)
    assert children(media.process.pid) == [], "the worker is another's child"
    await exchange(caller, callee)
    figures = await media.ask(MediaItem(call_id="one", release=Release()))
    assert (figures.caller.lost, figures.callee.lost) == (0, 0)
    assert figures.caller.packets == caller.sent
    assert figures.callee.packets == callee.sent
    again = await media.ask(MediaItem(call_id="one", attach=Attach()))
    assert again.error == EndReason.MEDIA_UNAVAILABLE
    media.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await media.process.wait() == 0
    await gone(worker)


async def test_killed_service_still_notices_silence(
    media: Media, party: Make, tmp_path: Path
) -> None:
    offer = describe(CALLER, party().sdp(), silence_timeout_ms=1_000)
    await media.ask(MediaItem(call_id="mute", offer=offer))
    await media.ask(MediaItem(call_id="mute", answer=describe(CALLEE, party().sdp())))
    (worker,) = children(media.process.pid)
    media.process.kill()
    await media.process.wait()
    media.process = await start(tmp_path)
    await reconnected(media)
    assert not (await media.ask(MediaItem(call_id="mute", attach=Attach()))).error
    async with asyncio.timeout(20):
        event = await media.events.get()
    assert (event.call_id, event.kind) == ("mute", "silence")
    os.kill(worker, signal.SIGKILL)


async def test_killed_supervisor_leaves_nothing_behind(party: Make, tmp_path: Path) -> None:
    """As the switch on one machine starts it: the service dies with its supervisor."""
    service = [sys.executable, "-m", "services.media"]
    script = (
        "import os, subprocess, sys\n"
        "ends = [sys.executable, sys.argv[1], str(os.getpid()), '9', '-1', '-1']\n"
        "subprocess.run([*ends, *sys.argv[2:]])\n"
    )
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, launch.__file__, *service),
        cwd=ROOT,
        env=settings(tmp_path),
    )
    async with connected(address_of(tmp_path)) as (link, events):
        (pid,) = children(supervisor.pid)
        (worker,) = children(pid)
        await Media(supervisor, "", link, events).connect("one", party(), party())
        supervisor.kill()
        await supervisor.wait()
        await gone(pid)
        await gone(worker)


async def test_worker_without_calls_ends_with_its_control_process(
    media: Media,
) -> None:
    (idle,) = children(media.process.pid)
    media.process.kill()
    await media.process.wait()
    await gone(idle)
