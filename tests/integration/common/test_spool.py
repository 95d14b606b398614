"""The spool on a real disk, through kill -9 and through a disk that refuses."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from services.common.bus import Bus, Message
from services.common.errors import Unavailable
from services.common.spool import Spool
from services.common.spool.segments import FolderInUse
from tests.integration.common.test_bus import Sink, running

PATIENCE_S = 20.0


class Stream:
    """Keeps what is published, by id, as JetStream does."""

    def __init__(self) -> None:
        self.batches: dict[str, tuple[str, bytes]] = {}
        self.is_away = False
        self.attempts = 0
        self._changed = asyncio.Event()

    async def publish(self, subject: str, payload: bytes, msg_id: str) -> None:
        self.attempts += 1
        self._changed.set()
        if self.is_away:
            raise Unavailable("bus")
        known = self.batches.setdefault(msg_id, (subject, payload))
        assert known == (subject, payload), "a batch came again with other content"

    def events(self, subject: str) -> list[object]:
        return [
            event
            for to, payload in self.batches.values()
            if to == subject
            for event in json.loads(payload)["events"]
        ]

    async def until(self, subject: str, count: int) -> list[object]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.events(subject)) < count:
                await self.attempt()
        return self.events(subject)

    async def attempt(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@asynccontextmanager
async def spooling(folder: Path, stream: Stream) -> AsyncIterator[Spool]:
    spool = Spool(folder, "n1", stream.publish)
    await spool.open()
    async with asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(spool.run())
        yield spool
        await spool.close(timeout_s=0.5 if stream.is_away else PATIENCE_S)
        publishing.cancel()


async def durable(spool: Spool, subject: str, event: bytes) -> bool:
    told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    spool.append(subject, event, told.set_result)
    async with asyncio.timeout(PATIENCE_S):
        return await told


async def test_events_arrive_in_order_and_the_folder_is_empty_afterwards(tmp_path: Path) -> None:
    stream = Stream()
    async with spooling(tmp_path, stream) as spool:
        for n in range(2000):
            spool.append("calls.ended", b"%d" % n)
            spool.append("calls.progress", b"%d" % -n)
        assert await durable(spool, "calls.ended", b"2000")
        assert await stream.until("calls.ended", 2001) == list(range(2001))
        assert await stream.until("calls.progress", 2000) == [-n for n in range(2000)]
        assert len(stream.batches) < 20
    assert segments(tmp_path) == []


async def test_ids_are_node_epoch_and_sequence(tmp_path: Path) -> None:
    stream = Stream()
    async with spooling(tmp_path, stream) as spool:
        await durable(spool, "calls.ended", b"1")
        await stream.until("calls.ended", 1)
        assert list(stream.batches) == [f"n1/{spool.epoch}/1"]
    async with spooling(tmp_path, stream) as again:
        assert again.epoch > spool.epoch


async def test_without_bus_events_wait_on_disk_and_go_out_after_a_restart(tmp_path: Path) -> None:
    stream = Stream()
    stream.is_away = True
    async with spooling(tmp_path, stream) as spool:
        for n in range(100):
            assert await durable(spool, "calls.ended", b"%d" % n)
    assert stream.batches == {}
    stream.is_away = False
    async with spooling(tmp_path, stream) as spool:
        assert await stream.until("calls.ended", 100) == list(range(100))
    assert segments(tmp_path) == []


async def test_more_than_memory_may_hold_is_read_back_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.common.spool.spool.MOST_HELD_BYTES", 1000)
    stream = Stream()
    stream.is_away = True
    events = [json.dumps({"n": n, "filler": "x" * 500}).encode() for n in range(200)]
    async with spooling(tmp_path, stream) as spool:
        for event in events:
            spool.append("calls.ended", event)
            spool.append("calls.progress", event)
        assert await durable(spool, "calls.ended", b"null")
        await stream.attempt()
        stream.is_away = False
        received = await stream.until("calls.ended", 201)
        assert received == [*map(json.loads, events), None]
        assert len(await stream.until("calls.progress", 200)) == 200


async def test_batch_that_failed_goes_out_again_unchanged(tmp_path: Path) -> None:
    stream = Stream()
    stream.is_away = True
    async with spooling(tmp_path, stream) as spool:
        await durable(spool, "calls.ended", b"1")
        await stream.attempt()
        await durable(spool, "calls.ended", b"2")
        stream.is_away = False
        assert await stream.until("calls.ended", 2) == [1, 2]
        assert spool.retries > 0


async def test_folder_of_a_running_spool_is_refused(tmp_path: Path) -> None:
    async with spooling(tmp_path, Stream()):
        with pytest.raises(FolderInUse):
            await Spool(tmp_path, "n1", Stream().publish).open()


def segments(folder: Path) -> list[Path]:
    return list(folder.glob("*.seg"))


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """Make every write beyond that size fail, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_failed_disk_is_told_at_once_and_unhurried_events_survive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.common.spool.spool._RETRY_DISK_S", 0.05)
    stream = Stream()
    async with spooling(tmp_path, stream) as spool:
        assert await durable(spool, "calls.ended", b"1")
        await stream.until("calls.ended", 1)
        with files_limited_to(300_000):
            spool.append("calls.ended", b"2")
            assert not await durable(spool, "calls.progress", b"1" * 400_000)
            health = [spool.healthy]
            assert not await durable(spool, "calls.progress", b'"never"')
        assert await stream.until("calls.ended", 2) == [1, 2]
        assert [*health, spool.healthy] == [False, True]
        assert await durable(spool, "calls.progress", b'"later"')
        assert await stream.until("calls.progress", 1) == ["later"]
        assert spool.lost == 0


_VICTIM = """
import asyncio, sys
from pathlib import Path
from services.common.errors import Unavailable
from services.common.spool import Spool

async def away(subject, payload, msg_id):
    raise Unavailable("bus")

async def main():
    spool = Spool(Path(sys.argv[1]), "n1", away)
    await spool.open()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(spool.run())
        n = 0
        while True:
            for _ in range(7):
                n += 1
                spool.append("calls.ended", b"%d" % n, lambda ok, n=n: ok and print(n, flush=True))
            await asyncio.sleep(0)

asyncio.run(main())
"""


def live_and_be_killed(folder: Path, *, lines: int) -> int:
    """Run a spool without a bus; returns the last event it reported durable."""
    with subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(folder)], stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None
        seen = [victim.stdout.readline() for _ in range(lines)]
        victim.send_signal(signal.SIGKILL)
        *whole, _ = victim.stdout.read().split(b"\n")
    return int([*seen, *whole][-1])


async def test_kill_loses_nothing_that_was_reported_durable(tmp_path: Path) -> None:
    reported = sum([live_and_be_killed(tmp_path, lines=500) for _ in range(3)])
    stream = Stream()
    async with spooling(tmp_path, stream):
        await stream.until("calls.ended", reported)
    epochs = {msg_id.split("/")[1] for msg_id in stream.batches}
    assert len(epochs) == 3
    assert_complete(stream, epochs)


def assert_complete(stream: Stream, epochs: set[str]) -> None:
    """Each life of the victim counted from one: nothing is missing, nothing is double."""
    for epoch in epochs:
        lived = [
            event
            for msg_id, (_, payload) in stream.batches.items()
            if msg_id.split("/")[1] == epoch
            for event in json.loads(payload)["events"]
        ]
        assert lived == list(range(1, len(lived) + 1))


async def test_killed_publisher_and_its_successor_store_each_batch_once(
    tmp_path: Path, nats_url: str
) -> None:
    """The batch goes out, its ack is lost with the process, and it goes out again."""
    async with running(nats_url) as bus:
        folder = tmp_path / "spool"

        async def publish_unaware(subject: str, payload: bytes, msg_id: str) -> None:
            await bus.publish(subject, payload, msg_id)
            published.set()
            raise Unavailable("bus")

        published = asyncio.Event()
        first = Spool(folder, "n9", publish_unaware)
        await first.open()
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(first.run())
            first.append("calls.spooled", b'"once"')
            await published.wait()
            await first.close(timeout_s=0.1)
            publishing.cancel()
        second = Spool(folder, "n9", bus.publish)
        await second.open()
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(second.run())
            second.append("calls.spooled", b'"after"')
            await second.close(timeout_s=PATIENCE_S)
            publishing.cancel()
        assert second.backlog == 0
        messages = await received(bus, 2)
    assert [json.loads(one.payload)["events"] for one in messages] == [["once"], ["after"]]


async def received(bus: Bus, count: int) -> list[Message]:
    sink = Sink()
    async with asyncio.TaskGroup() as tasks:
        consuming = tasks.create_task(bus.consume("CALLS", "calls.spooled", "spooled", sink))
        await sink.until(count)
        consuming.cancel()
    return sink.messages


def test_spool_folder_is_not_for_others_to_read(tmp_path: Path) -> None:
    folder = tmp_path / "spool"

    async def use() -> None:
        async with spooling(folder, Stream()):
            pass

    asyncio.run(use())
    assert os.stat(folder).st_mode & 0o007 == 0
