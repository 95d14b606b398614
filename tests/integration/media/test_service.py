"""The whole service as a process, asked over its link."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from proto.media.v1.media_pb2 import Describe, Forget, MediaEvent, MediaItem, MediaReply, Release
from services.common.clock import utc_now
from services.common.link import Link
from services.common.link_methods import MEDIA_LINK
from services.media.core.sdp import parse
from tests.integration.media.parties import Party, exchange

ROOT = Path(__file__).parents[3]
Make = Callable[..., Party]
MediaLink = Link[MediaItem, MediaReply, MediaEvent]
CALLER, CALLEE = 1, 2


@dataclass
class Media:
    process: asyncio.subprocess.Process
    address: str
    link: MediaLink
    events: "asyncio.Queue[MediaEvent]"

    async def ask(self, item: MediaItem) -> MediaReply:
        replied: asyncio.Future[MediaReply | None] = asyncio.get_running_loop().create_future()
        self.link.request(item, replied.set_result)
        async with asyncio.timeout(10):
            reply = await replied
        assert reply is not None
        return reply

    async def offer(self, call_id: str, sdp: bytes) -> MediaReply:
        return await self.ask(MediaItem(call_id=call_id, offer=describe(CALLER, sdp)))

    async def connect(self, call_id: str, caller: Party, callee: Party) -> None:
        offered = await self.offer(call_id, caller.sdp())
        answer = MediaItem(call_id=call_id, answer=describe(CALLEE, callee.sdp()))
        answered = await self.ask(answer)
        callee.relay = ("127.0.0.1", parse(offered.sdp).media[0].port)
        caller.relay = ("127.0.0.1", parse(answered.sdp).media[0].port)


def describe(side: int, sdp: bytes, silence_timeout_ms: int = 0) -> Describe:
    message = Describe(sdp=sdp, attempt=1, silence_timeout_ms=silence_timeout_ms)
    setattr(message, "from", side)  # a keyword of Python
    return message


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[MediaLink, "asyncio.Queue[MediaEvent]"]]:
    events: asyncio.Queue[MediaEvent] = asyncio.Queue()
    link: MediaLink = Link(MEDIA_LINK, address, on_event=events.put_nowait)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        async with asyncio.timeout(20):
            while not link.connected:  # noqa: ASYNC110 - the link tells nobody
                await asyncio.sleep(0.01)
        yield link, events
        running.cancel()


@pytest.fixture
async def media(tmp_path: Path) -> AsyncIterator[Media]:
    address = f"unix:{tmp_path}/media.sock"
    settings = {
        "TANDEM_GRPC_ADDRESS": address,
        "TANDEM_OPS_ADDRESS": f"127.0.0.1:{free_port()}",
        "TANDEM_RTP": "127.0.0.1:23800-23839",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.media", cwd=ROOT, env={**os.environ, **settings}
    )
    try:
        async with connected(address) as (link, events):
            yield Media(process, address, link, events)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
