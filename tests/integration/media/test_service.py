"""The whole service as a process, asked over its link."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from proto.media.v1.media_pb2 import Describe, Forget, MediaItem, Release
from services.common.clock import utc_now
from tests.integration.media.parties import Party, exchange
from tests.integration.media.service import (
    CALLEE,
    CALLER,
    Media,
    address_of,
    children,
    connected,
    describe,
    end,
    is_alive,
    start,
)

Make = Callable[..., Party]


@pytest.fixture
async def media(tmp_path: Path) -> AsyncIterator[Media]:
    process = await start(tmp_path)
    try:
        async with connected(address_of(tmp_path)) as (link, events):
            yield Media(process, address_of(tmp_path), link, events)
    finally:
        await end(process, [])


async def test_call_over_the_link(media: Media, party: Make) -> None:
    caller, callee = party(), party()
    started_ms = utc_now().timestamp() * 1_000
    await media.connect("one", caller, callee)
    await exchange(caller, callee, 10)
    figures = await media.ask(MediaItem(call_id="one", release=Release()))
    ended_ms = utc_now().timestamp() * 1_000
    assert figures.error == ""
    for stats, peer in ((figures.caller, caller), (figures.callee, callee)):
        assert (stats.packets, stats.bytes, stats.lost) == (10, 1_720, 0)
        assert stats.source == f"127.0.0.1:{peer.port}"
        assert started_ms - 1 <= stats.first_at_unix_ms <= stats.last_at_unix_ms <= ended_ms + 1
    again = await media.ask(MediaItem(call_id="one", release=Release()))
    assert (again.error, again.caller.packets, again.caller.first_at_unix_ms) == ("", 0, 0)


async def test_refusals_name_their_reason(media: Media, party: Make) -> None:
    sdp = party().sdp()
    bad = await media.offer("bad", b"junk")
    assert (bad.error, bad.sdp) == ("codec_mismatch", b"")
    unknown = MediaItem(call_id="unknown", answer=describe(CALLEE, sdp))
    assert (await media.ask(unknown)).error == "media_unavailable"
    nobody = MediaItem(call_id="x", offer=Describe(sdp=sdp))
    assert (await media.ask(nobody)).error == "internal_error"
    assert (await media.ask(MediaItem(call_id="x"))).error == "internal_error"
    errors = [(await media.offer(str(number), sdp)).error for number in range(11)]
    assert errors == [""] * 10 + ["no_rtp_ports"]


async def test_forget_is_answered(media: Media, party: Make) -> None:
    offered = await media.offer("one", party().sdp())
    reply = await media.ask(MediaItem(call_id="one", forget=Forget(attempt=1)))
    assert (offered.error, reply.error) == ("", "")


async def test_silence_is_told_unasked(media: Media, party: Make) -> None:
    item = describe(CALLER, party().sdp(), silence_timeout_ms=1)
    await media.ask(MediaItem(call_id="mute", offer=item))
    await media.ask(MediaItem(call_id="mute", answer=describe(CALLEE, party().sdp())))
    async with asyncio.timeout(20):
        event = await media.events.get()
    assert (event.call_id, event.kind, event.side) == ("mute", "silence", 0)


async def test_calls_survive_the_loss_of_the_link(media: Media, party: Make) -> None:
    caller, callee = party(), party()
    async with connected(media.address) as (link, events):
        await Media(media.process, "", link, events).connect("one", caller, callee)
        await exchange(caller, callee)
    await exchange(caller, callee)
    figures = await media.ask(MediaItem(call_id="one", release=Release()))
    assert figures.caller.packets == 4


async def test_drains_and_leaves_nothing_running(media: Media, party: Make) -> None:
    caller, callee = party(), party()
    await media.connect("one", caller, callee)
    await exchange(caller, callee)
    workers = children(media.process.pid)
    assert workers
    media.process.send_signal(signal.SIGTERM)
    while not (await media.offer("new", caller.sdp())).error:
        await media.ask(MediaItem(call_id="new", release=Release()))
    await exchange(caller, callee)
    figures = await media.ask(MediaItem(call_id="one", release=Release()))
    assert figures.caller.packets == 4
    async with asyncio.timeout(20):
        assert await media.process.wait() == 0
    assert not any(is_alive(pid) for pid in workers)
