"""The bus against a real NATS server, its kill -9 included."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from services.common.bus import Bus, Message
from services.common.errors import Unavailable
from tests.integration.common.conftest import KillableNats

PATIENCE_S = 20.0


@asynccontextmanager
async def running(url: str, name: str = "test") -> AsyncIterator[Bus]:
    bus = Bus(url, name)
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(bus.run())
        async with asyncio.timeout(PATIENCE_S):
            await bus.wait_connected()
        yield bus
        keeping.cancel()


class Sink:
    """Remembers what it was handed, and lets a test wait for it."""

    def __init__(self, *, failures: Sequence[Exception] = ()) -> None:
        self.messages: list[Message] = []
        self.calls = 0
        self._failures = list(failures)
        self._more = asyncio.Event()

    async def __call__(self, messages: Sequence[Message]) -> None:
        self.calls += 1
        if self._failures:
            raise self._failures.pop(0)
        self.messages += messages
        self._more.set()

    async def until_has(self, payload: bytes) -> list[bytes]:
        """The different payloads in order of arrival, once ``payload`` is among them."""
        async with asyncio.timeout(PATIENCE_S):
            while payload not in [message.payload for message in self.messages]:
                self._more.clear()
                await self._more.wait()
        return list(dict.fromkeys(message.payload for message in self.messages))

    async def until(self, count: int) -> list[bytes]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.messages) < count:
                self._more.clear()
                await self._more.wait()
        return [message.payload for message in self.messages]


async def consume(bus: Bus, durable: str, sink: Sink, count: int) -> list[bytes]:
    async with asyncio.TaskGroup() as tasks:
        consuming = tasks.create_task(bus.consume("CALLS", f"calls.{durable}", durable, sink))
        payloads = await sink.until(count)
        consuming.cancel()
    return payloads


async def test_message_is_stored_and_delivered_with_its_id(nats_url: str) -> None:
    async with running(nats_url) as bus:
        await bus.publish("calls.plain", b"one", "n/1/1")
        sink = Sink()
        assert await consume(bus, "plain", sink, 1) == [b"one"]
    [message] = sink.messages
    assert (message.subject, message.msg_id, message.deliveries) == ("calls.plain", "n/1/1", 1)


async def test_repeated_id_is_stored_once(nats_url: str) -> None:
    async with running(nats_url) as bus:
        for _ in range(3):
            await bus.publish("calls.repeated", b"same", "n/2/1")
        await bus.publish("calls.repeated", b"other", "n/2/2")
        assert await consume(bus, "repeated", Sink(), 2) == [b"same", b"other"]


async def test_unacknowledged_messages_come_again_in_whole(nats_url: str) -> None:
    async with running(nats_url) as bus:
        for n in range(3):
            await bus.publish("calls.again", b"%d" % n, f"n/3/{n}")
        sink = Sink(failures=[Unavailable("database"), ValueError("our bug")])
        assert sorted(await consume(bus, "again", sink, 3)) == [b"0", b"1", b"2"]
    assert all(message.deliveries > 1 for message in sink.messages[:1])


async def test_durable_continues_where_it_stopped(nats_url: str) -> None:
    async with running(nats_url, "first") as bus:
        await bus.publish("calls.durable", b"one", "n/4/1")
        assert await consume(bus, "durable", Sink(), 1) == [b"one"]
        await bus.publish("calls.durable", b"two", "n/4/2")
    async with running(nats_url, "second") as bus:
        assert await consume(bus, "durable", Sink(), 1) == [b"two"]


async def test_backlog_is_handed_over_in_batches(nats_url: str) -> None:
    async with running(nats_url) as bus:
        async with asyncio.TaskGroup() as tasks:
            for n in range(300):
                tasks.create_task(bus.publish("calls.backlog", b"%03d" % n, f"n/5/{n}"))
        sink = Sink()
        payloads = await consume(bus, "backlog", sink, 300)
    assert sorted(payloads) == [b"%03d" % n for n in range(300)]
    assert sink.calls < 100


async def test_spaced_out_handler_gets_the_first_at_once_and_others_together(
    nats_url: str,
) -> None:
    sink = Sink()
    async with running(nats_url) as bus, asyncio.TaskGroup() as tasks:
        consuming = tasks.create_task(
            bus.consume("CALLS", "calls.spaced", "spaced", sink, spacing_s=1.0)
        )
        for n in range(30):
            await bus.publish("calls.spaced", b"%02d" % n, f"n/6/{n}")
            await sink.until(1)
        assert await sink.until(30) == [b"%02d" % n for n in range(30)]
        consuming.cancel()
    assert sink.calls < 10


async def test_full_batch_waits_for_no_spacing_and_a_rest_goes_to_the_next_consumer(
    nats_url: str,
) -> None:
    sink, heir = Sink(), Sink()
    async with running(nats_url) as bus:
        for n in range(10):
            await bus.publish("calls.heap", b"%d" % n, f"n/7/{n}")
        async with asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(
                bus.consume("CALLS", "calls.heap", "heap", sink, batch=3, spacing_s=3600.0)
            )
            assert len(await sink.until(9)) == 9
            await handed_out(nats_url, "heap", 1)
            await bus.publish("calls.barrier", b"", "n/7/barrier")
            consuming.cancel()
        assert await consume(bus, "heap", heir, 1) == [b"9"]


async def test_core_message_reaches_a_subscription_made_before_the_connection(
    nats_url: str,
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    bus = Bus(nats_url, "listener")
    await bus.subscribe_core("config.changed", heard.put)
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(bus.run())
        await bus.wait_connected()
        async with running(nats_url, "teller") as teller:
            await teller.publish_core("config.changed", json.dumps({"revision": 2}).encode())
            async with asyncio.timeout(PATIENCE_S):
                assert await heard.get() == b'{"revision": 2}'
        keeping.cancel()


async def test_without_a_server_it_fails_at_once_and_keeps_trying(free_port: int) -> None:
    bus = Bus(f"nats://127.0.0.1:{free_port}", "lonely")
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(bus.run())
        with pytest.raises(Unavailable):
            await bus.publish("calls.x", b"", "n/1/1")
        with pytest.raises(Unavailable):
            await bus.publish_core("config.changed", b"")
        assert not bus.connected
        assert not keeping.done()
        keeping.cancel()


async def test_stored_messages_and_consumers_survive_the_death_of_the_server(
    own_nats: KillableNats,
) -> None:
    sink = Sink()
    async with running(own_nats.url) as bus:
        async with asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(bus.consume("CALLS", "calls.ended", "d", sink))
            await bus.publish("calls.ended", b"before", "n/1/1")
            await sink.until(1)
            await bus.publish("calls.progress", b"unread", "n/1/2")
            own_nats.kill()
            with pytest.raises(Unavailable):
                await bus.publish("calls.ended", b"during", "n/1/3")
            own_nats.start()
            async with asyncio.timeout(PATIENCE_S):
                while not await published(bus, "calls.ended", b"after", "n/1/4"):
                    pass
            # The ack may have died with the server: then the first one comes again.
            assert await sink.until_has(b"after") == [b"before", b"after"]
            consuming.cancel()
        late = Sink()
        async with asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(bus.consume("CALLS", "calls.progress", "e", late))
            assert await late.until(1) == [b"unread"]
            consuming.cancel()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (JetStreamContext, "add_consumer"),
        (JetStreamContext, "add_stream"),
        (Client, "subscribe"),
        (Client, "connect"),
        (Client, "close"),
    ],
)
async def test_what_is_cancelled_ends_wherever_the_library_swallows_it(
    owner: Any, name: str, own_nats: KillableNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    swallowing = asyncio.Event()
    called = getattr(owner, name)
    is_of_consumer = name in {"add_consumer", "subscribe"}

    async def swallow(*args: Any, **named: Any) -> Any:
        swallowing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if is_of_consumer:  # as requests do; and the connection is gone
                bus._up.clear()
                raise nats.errors.TimeoutError from None
            return await called(*args, **named)

    async with running(own_nats.url) as bus:
        monkeypatch.setattr(owner, name, swallow)
        own = Bus(own_nats.url, "own")
        doing = bus.consume("CALLS", "calls.ended", "d", Sink()) if is_of_consumer else own.run()
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(doing)
            if name == "close":
                await own.wait_connected()
                own._closed.set()  # as if the connection had been lost for good
            await swallowing.wait()
            monkeypatch.undo()
            task.cancel()


async def handed_out(url: str, durable: str, count: int) -> None:
    """Wait until so many messages are with the consumer, unacknowledged."""
    client = await nats.connect(url)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            state = await client.jetstream().consumer_info("CALLS", durable)
            if state.num_ack_pending == count:
                break
    await client.close()


async def published(bus: Bus, subject: str, payload: bytes, msg_id: str) -> bool:
    try:
        await bus.publish(subject, payload, msg_id)
    except Unavailable:
        await asyncio.sleep(0.05)  # until the server is back, whose time it is
        return False
    return True
