"""Which webhooks there are, while they are being read and changed at once."""

import asyncio

import pytest

from services.api.app.webhooks import Subscriptions
from services.api.ports import Subscription
from services.common.errors import Unavailable


def webhook(number: int) -> Subscription:
    return Subscription(f"whk_{number}", "https://example.net/", (), ("whsec_x",))


class Table:
    """The webhooks; each read waits until the test lets it see what is there."""

    def __init__(self) -> None:
        self.reads: list[asyncio.Future[tuple[list[Subscription], bool]]] = []
        self.is_away = False

    async def subscriptions(self) -> tuple[list[Subscription], bool]:
        if self.is_away:
            raise Unavailable("config database")
        self.reads.append(asyncio.get_running_loop().create_future())
        return await self.reads[-1]


class Scene:
    """Subscriptions on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.table = Table()
        self.seen = Subscriptions(self.table, lambda: self.now)  # type: ignore[arg-type]  # one method

    async def read(self, number: int, *, allow_private: bool = False) -> list[str]:
        """What is current, when this read finds the webhook ``number``."""
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self.ask())
            await asyncio.sleep(0)
            self.table.reads[-1].set_result(([webhook(number)], allow_private))
        return asking.result()

    async def ask(self) -> list[str]:
        return [one.id for one in await self.seen.current()]


async def test_what_was_read_stands_until_it_is_old() -> None:
    scene = Scene()
    assert await scene.read(1, allow_private=True) == ["whk_1"]
    assert scene.seen.allow_private
    scene.now += 4.9
    assert await scene.ask() == ["whk_1"]
    assert len(scene.table.reads) == 1
    scene.now += 0.2
    assert await scene.read(2) == ["whk_2"]
    assert not scene.seen.allow_private


async def test_a_change_is_read_at_once() -> None:
    scene = Scene()
    await scene.read(1)
    scene.seen.forget()
    assert await scene.read(2) == ["whk_2"]
    assert await scene.ask() == ["whk_2"]


async def test_a_change_during_a_read_is_read_too() -> None:
    scene = Scene()
    async with asyncio.TaskGroup() as tasks:
        early = tasks.create_task(scene.ask())
        await asyncio.sleep(0)
        scene.seen.forget()
        scene.table.reads[0].set_result(([webhook(1)], False))
    assert early.result() == ["whk_1"]
    assert await scene.read(2) == ["whk_2"]


async def test_a_read_overtaken_by_a_later_one_changes_nothing() -> None:
    scene = Scene()
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(scene.ask())
        await asyncio.sleep(0)
        scene.seen.forget()
        assert await scene.read(2, allow_private=True) == ["whk_2"]
        scene.table.reads[0].set_result(([webhook(1)], False))
    assert slow.result() == ["whk_2"]
    assert scene.seen.allow_private
    assert await scene.ask() == ["whk_2"]


async def test_without_the_database_the_change_is_not_forgotten() -> None:
    scene = Scene()
    await scene.read(1)
    scene.seen.forget()
    scene.table.is_away = True
    with pytest.raises(Unavailable):
        await scene.ask()
    scene.table.is_away = False
    assert await scene.read(2) == ["whk_2"]
