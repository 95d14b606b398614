"""A captured answer to a digest challenge, played at another node, over a real bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from services.common.bus import Bus
from services.signaling.adapters.shared_nonces import (
    MOST_TOLD,
    MOST_WAITING,
    SUBJECT,
    SharedNonces,
    Used,
)
from services.signaling.core.authentication import Admitted, Authenticator, Challenged
from services.signaling.core.nonces import Nonces
from tests.support.signaling.party import until
from tests.unit.signaling.core.test_authentication import NOW, PHONE, TABLE, ask, gate, respond


class Node:
    """One process, as far as proofs go."""

    def __init__(self, bus: Bus, name: str) -> None:
        self.gate: Authenticator = gate()
        self.shared = SharedNonces(bus, name, self.gate.nonces, lambda: NOW)


@asynccontextmanager
async def running(url: str, *names: str) -> AsyncIterator[tuple[Bus, list[Node]]]:
    bus = Bus(url, "test")
    nodes = [Node(bus, name) for name in names]
    async with asyncio.TaskGroup() as tasks:
        work = [tasks.create_task(bus.run())]
        await bus.wait_connected()
        work += [tasks.create_task(node.shared.run()) for node in nodes]
        yield bus, nodes
        for task in work:
            task.cancel()


def uses_of(nonces: Nonces) -> int:
    return sum(seen.bit_count() for _, seen in nonces._used.values())


async def test_an_answer_used_at_one_node_is_refused_at_the_others(nats_url: str) -> None:
    async with running(nats_url, "a", "b", "c") as (_, nodes):
        first, *others = nodes
        challenge = ask(first.gate)
        captured = respond(challenge)
        assert isinstance(first.gate.prove(TABLE, captured, PHONE, NOW), Admitted)
        await until(lambda: all(uses_of(node.gate.nonces) == 1 for node in others))
        for node in nodes:
            replayed = node.gate.prove(TABLE, captured, PHONE, NOW)
            assert isinstance(replayed, Challenged)
            assert replayed.is_stale
        # The telephone itself goes on wherever it likes.
        for number, node in enumerate(others, start=2):
            again = respond(challenge, count=number)
            assert isinstance(node.gate.prove(TABLE, again, PHONE, NOW), Admitted)
        await until(lambda: all(uses_of(node.gate.nonces) == 3 for node in nodes))


async def test_a_replay_quicker_than_the_word_is_noticed(nats_url: str) -> None:
    async with running(nats_url, "a", "b") as (_, (here, there)):
        captured = respond(ask(here.gate))
        for node in (here, there):
            assert isinstance(node.gate.prove(TABLE, captured, PHONE, NOW), Admitted)
        await until(lambda: (here.shared.doubled, there.shared.doubled) == (1, 1))


async def test_rubbish_on_the_bus_is_ignored(nats_url: str) -> None:
    nonce = Nonces(lambda: "0" * 16).make(b"k", "a", int(NOW))
    rubbish = [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"node":"x","uses":[["' + b"a" * 300 + b'",1]]}',
        b'{"node":"x","uses":[["a",0]]}',
        b'{"node":"x","uses":[["a",4294967296]]}',
        b'{"node":"x","uses":[["a",1e400]]}',
        msgspec.json.encode({"node": "x", "uses": [["a", 1]] * (MOST_TOLD + 1)}),
    ]
    async with running(nats_url, "a") as (bus, (here,)):
        while not uses_of(here.gate.nonces):  # it may not have subscribed yet
            for payload in rubbish:
                await bus.publish_core(SUBJECT, payload)
            await bus.publish_core(SUBJECT, msgspec.json.encode(Used("b", [(nonce, 7)])))
        assert list(here.gate.nonces._used) == [nonce]


@pytest.mark.parametrize("uses", [1, MOST_WAITING + 10])
async def test_without_a_bus_uses_are_dropped_and_counted(uses: int) -> None:
    node = Node(Bus("nats://127.0.0.1:9", "test"), "a")
    nonce = node.gate.nonces.make(b"k", "a", int(NOW))
    for number in range(1, uses + 1):
        assert node.gate.nonces.use(nonce, number, int(NOW))
        assert not node.gate.nonces.use(nonce, number, int(NOW))  # refused here all the same
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(node.shared.run())
        await until(lambda: node.shared.untold == uses)
        running.cancel()
