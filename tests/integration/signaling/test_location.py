"""Registered contacts over a real bus: shared, and there again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.bus import Bus
from services.signaling.adapters.location import BusLocations
from services.signaling.core.location import Binding
from tests.support.signaling.party import until
from tests.unit.signaling.core.test_location import binding


class Node:
    """One process, as far as its bindings go."""

    def __init__(self, bus: Bus, origin: str) -> None:
        self.seen: dict[str, Binding | None] = {}
        self.locations = BusLocations(bus, origin, self._take)

    def _take(self, username: str, identity: str, stored: Binding | None) -> None:
        assert username == "alice"
        self.seen[identity] = stored


@asynccontextmanager
async def running(url: str, *origins: str) -> AsyncIterator[list[Node]]:
    bus = Bus(url, "test")
    nodes = [Node(bus, origin) for origin in origins]
    async with asyncio.TaskGroup() as tasks:
        work = [tasks.create_task(bus.run())]
        work += [tasks.create_task(node.locations.run()) for node in nodes]
        yield nodes
        for task in work:
            task.cancel()


async def test_shared_and_kept_over_a_restart(nats_url: str) -> None:
    one, two = binding("sip:one@192.0.2.1"), binding("sip:two@192.0.2.1", path=("<sip:e;lr>",))
    async with running(nats_url, "a-1", "b-1") as (here, there):
        here.locations.put(one)
        here.locations.put(one)
        there.locations.put(two)
        await until(lambda: one.id in there.seen and two.id in here.seen)
        assert there.seen == {one.id: one}
        assert here.seen == {two.id: two}  # not what it wrote itself
        here.locations.remove(one)
        await until(lambda: there.seen == {one.id: None})
        await until(lambda: here.locations.backlog == 0)
    # The node is started again, under another name of its run.
    async with running(nats_url, "a-2") as (again,):
        await until(lambda: again.seen == {one.id: None, two.id: two})


async def test_written_before_there_is_a_bus(nats_url: str) -> None:
    many = [binding(f"sip:n{number}@192.0.2.1") for number in range(150)]
    async with running(nats_url, "c-1", "d-1") as (here, there):
        for one in many:
            here.locations.put(one)
        assert here.locations.backlog == 150
        await until(lambda: all(one.id in there.seen for one in many))
        await until(lambda: here.locations.backlog == 0)
