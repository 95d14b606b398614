"""The whole service as a process, and the link to it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from proto.media.v1.media_pb2 import Describe, MediaEvent, MediaItem, MediaReply
from services.common.link import Link
from services.common.link_methods import MEDIA_LINK
from services.media.core.sdp import parse
from tests.integration.media.parties import Party
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
MediaLink = Link[MediaItem, MediaReply, MediaEvent]
CALLER, CALLEE = 1, 2


@dataclass
class Media:
    process: asyncio.subprocess.Process
    address: str
    link: MediaLink
    events: "asyncio.Queue[MediaEvent]"

    async def ask(self, item: MediaItem) -> MediaReply:
        reply = await self.try_to_ask(item)
        assert reply is not None
        return reply

    async def try_to_ask(self, item: MediaItem) -> MediaReply | None:
        replied: asyncio.Future[MediaReply | None] = asyncio.get_running_loop().create_future()
        self.link.request(item, replied.set_result)
        async with asyncio.timeout(10):
            return await replied

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


async def start(folder: Path) -> asyncio.subprocess.Process:
    """The service on a folder; its workers outlive it if it is killed, see :func:`end`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.media", cwd=ROOT, env=settings(folder)
    )


def settings(folder: Path) -> dict[str, str]:
    """Its environment."""
    own = {
        "TANDEM_DATA_DIR": str(folder / "data"),
        "TANDEM_GRPC_ADDRESS": address_of(folder),
        "TANDEM_OPS_ADDRESS": f"127.0.0.1:{free_port()}",
        "TANDEM_RTP": "127.0.0.1:23800-23839",
    }
    return {**os.environ, **own}


def address_of(folder: Path) -> str:
    return f"unix:{folder}/media.sock"


async def end(process: asyncio.subprocess.Process, workers: list[int]) -> None:
    """End it and its workers at once."""
    if process.returncode is None:
        workers = [*workers, *children(process.pid)]
        process.kill()
    await process.wait()
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
