"""Pools, limits on waiting, and the configuration watch, on a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.common.bus import Bus
from services.common.config_watch import ConfigWatch
from services.common.errors import Unavailable
from services.common.last_known import LastKnownFile
from services.common.postgres import (
    READER,
    Pool,
    bounded,
    close_pool,
    lazy_pool,
    open_pool,
    transaction,
    translated,
)
from tests.integration.common.test_bus import running
from tests.support.cable import cable_to

PATIENCE_S = 20.0


@asynccontextmanager
async def pool_of(dsn: str, role: str, *, max_size: int = 4) -> AsyncIterator[Pool]:
    pool = await open_pool(dsn, role=role, name="test", max_size=max_size)
    try:
        yield pool
    finally:
        await close_pool(pool)


async def test_connections_act_as_their_role(database: str) -> None:
    async with pool_of(database, READER) as pool:
        assert await pool.fetchval("SELECT current_user") == "tandem_reader"
        assert await pool.fetchval("SELECT current_setting('application_name')") == "test"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("UPDATE config.revision SET n = n + 1")


async def test_server_that_is_away_is_waited_for(free_port: int) -> None:
    dsn = f"postgresql://tandem@127.0.0.1:{free_port}/tandem"
    async with asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(open_pool(dsn, role=READER, name="test"))
        done, _ = await asyncio.wait([opening], timeout=0.5)
        assert not done
        opening.cancel()


async def test_wait_for_an_exhausted_pool_is_bounded(database: str) -> None:
    async with pool_of(database, READER, max_size=1) as pool, pool.acquire():
        with pytest.raises(Unavailable) as caught:
            async with bounded("config database", 0.05):
                await pool.fetchval("SELECT 1")
    assert caught.value.what == "config database"


async def test_slow_statement_is_bounded(database: str) -> None:
    async with pool_of(database, READER) as pool:
        with pytest.raises(Unavailable):
            async with bounded("config database", 0.05):
                await pool.fetchval("SELECT pg_sleep(60)")
        assert await pool.fetchval("SELECT 1") == 1


async def test_connection_killed_in_a_transaction_is_unavailable(database: str) -> None:
    async with pool_of(database, "tandem_api") as pool:
        with pytest.raises(Unavailable):  # noqa: PT012 - the end of the block is part of it
            async with transaction(pool, "money database", timeout_s=PATIENCE_S) as connection:
                pid = await connection.fetchval("SELECT pg_backend_pid()")
                await terminate(database, pid)
                await connection.execute("SELECT 1")
        assert await pool.fetchval("SELECT 1") == 1


async def terminate(dsn: str, pid: int) -> None:
    other = await asyncpg.connect(dsn)
    try:
        await other.execute("SELECT pg_terminate_backend($1, 10000)", pid)
    finally:
        await other.close()


async def test_transaction_that_fails_leaves_nothing(database: str) -> None:
    async with pool_of(database, "tandem_api") as pool:
        before = await pool.fetchval("SELECT n FROM config.revision")
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with transaction(pool, "config database", timeout_s=PATIENCE_S) as connection:
                await connection.execute("UPDATE config.revision SET n = n + 1")
                raise ZeroDivisionError
        assert await pool.fetchval("SELECT n FROM config.revision") == before


async def test_our_own_mistakes_are_not_called_unavailable(database: str) -> None:
    async with pool_of(database, READER) as pool:
        with pytest.raises(asyncpg.UndefinedTableError), translated("config database"):
            await pool.fetchval("SELECT * FROM config.no_such_table")
        with pytest.raises(asyncpg.InterfaceError), translated("config database"):
            await pool.fetchval("SELECT $1::int")


class Watcher:
    """Takes revisions, or refuses them first."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.taken: list[int] = []
        self._refusals = refusals
        self._changed = asyncio.Event()

    async def take(self, revision: int) -> None:
        if self._refusals:
            self._refusals -= 1
            raise Unavailable("config database")
        self.taken.append(revision)
        self._changed.set()

    async def until(self, revision: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while revision not in self.taken:
                self._changed.clear()
                await self._changed.wait()


async def bump(pool: Pool) -> int:
    revision = await pool.fetchval("UPDATE config.revision SET n = n + 1 RETURNING n")
    return int(revision)


async def test_change_told_over_the_bus_is_taken_at_once(database: str, nats_url: str) -> None:
    watcher = Watcher()
    async with pool_of(database, "tandem_api") as pool, running(nats_url) as bus:
        # Polling alone would take longer than the test's patience.
        watch = ConfigWatch(pool, bus, watcher.take, poll_s=PATIENCE_S * 10)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(watch.run())
            await watch.begin(PATIENCE_S)
            revision = await bump(pool)
            async with running(nats_url, "teller") as teller:
                telling = tasks.create_task(tell(teller))
                await watcher.until(revision)
                telling.cancel()
            following.cancel()
    assert watch.revision == revision
    assert watcher.taken == sorted(set(watcher.taken))


async def tell(bus: Bus) -> None:
    # Until heard: the watch may not have subscribed yet, and core messages are not kept.
    while True:
        await bus.publish_core("config.changed", b'{"revision":1}')
        await asyncio.sleep(0.05)


async def test_change_nobody_told_is_found_by_polling(database: str) -> None:
    watcher = Watcher()
    async with pool_of(database, "tandem_api") as pool:
        watch = ConfigWatch(pool, None, watcher.take, poll_s=0.02)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(watch.run())
            await watch.begin(PATIENCE_S)
            await watcher.until(await bump(pool))
            following.cancel()


async def test_revision_that_could_not_be_taken_is_tried_again(database: str) -> None:
    watcher = Watcher(refusals=2)
    async with pool_of(database, "tandem_api") as pool:
        watch = ConfigWatch(pool, None, watcher.take, poll_s=0.02)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(watch.run())
            await watcher.until(await bump(pool))
            following.cancel()
    assert len(watcher.taken) == len(set(watcher.taken))


class Kept:
    """What a service would keep: its name."""

    shape = "word"

    def __init__(self, text: bytes) -> None:
        self.text = text

    def write(self) -> bytes:
        return self.text

    def sweep(self) -> None:
        pass

    def read(self, payload: bytes) -> Callable[[], None]:
        def take() -> None:
            self.text = b"from disk: " + payload

        return take


async def test_a_start_without_postgres_goes_by_the_last_known_until_it_is_back(
    database: str, tmp_path: Path
) -> None:
    """The server is refused, then there: the next revision is taken whatever was kept."""
    path = tmp_path / "configuration"
    await LastKnownFile(path, "word", Kept(b"one")).keep(10**9)
    watcher, kept = Watcher(), Kept(b"")
    async with cable_to(database) as (cable, dsn):
        pool = await lazy_pool(dsn, role=READER, name="test")
        watch = ConfigWatch(
            pool, None, watcher.take, poll_s=0.02, kept=LastKnownFile(path, "word", kept)
        )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(watch.run())
            await watch.begin(0.05)
            assert (kept.text, watcher.taken, watch.revision) == (b"from disk: one", [], 0)
            assert watch.stale is not None
            assert watch.stale.revision == 10**9
            assert watch.notes["stale_configuration"].startswith("revision 1000000000, last known")
            await cable.mend()
            assert await watch.taken_within(PATIENCE_S)
            # Older than what was kept: the database is right, it may have been restored.
            assert watch.revision == watcher.taken[0] < 10**9
            assert not watch.notes
            following.cancel()
        await close_pool(pool)


async def test_a_start_without_postgres_and_without_file_waits(free_port: int) -> None:
    watcher = Watcher()
    pool = await lazy_pool(
        f"postgresql://tandem@127.0.0.1:{free_port}/tandem", role=READER, name="test"
    )
    nowhere = LastKnownFile(Path("/nowhere/configuration"), "word", Kept(b""))
    watch = ConfigWatch(pool, None, watcher.take, poll_s=0.02, kept=nowhere)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(watch.run())
        beginning = tasks.create_task(watch.begin(0.0))
        done, _ = await asyncio.wait([beginning], timeout=0.3)
        assert not done
        beginning.cancel()
        following.cancel()
    await close_pool(pool)


async def test_refused_login_is_the_server_away(database: str) -> None:
    """A role not made yet, a database not restored yet, a password changed meanwhile."""
    parts = urlsplit(database)
    gone = parts._replace(path="/no_such_database").geturl()
    wrong = parts._replace(netloc=f"tandem:wrong@{parts.hostname}:{parts.port}").geturl()
    for dsn, role in ((database, "no_such_role"), (gone, READER), (wrong, READER)):
        pool = await lazy_pool(dsn, role=role, name="test")
        with pytest.raises(Unavailable):
            async with bounded("config database", PATIENCE_S):
                await pool.fetchval("SELECT 1")
        await close_pool(pool)


async def test_a_configuration_that_cannot_be_taken_ends_nothing(database: str) -> None:
    """A bug of ours, or a schema half restored: the one before stays, and it is tried again."""
    taken: list[int] = []

    async def take(revision: int) -> None:
        if watch.failures < 2:
            raise ZeroDivisionError("a row nobody foresaw")
        taken.append(revision)

    async with pool_of(database, READER) as pool:
        watch = ConfigWatch(pool, None, take, poll_s=0.02)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(watch.run())
            assert await watch.taken_within(PATIENCE_S)
            following.cancel()
    assert (taken, watch.failures) == ([watch.revision], 2)


async def test_a_database_that_was_never_changed_is_taken_too(database: str) -> None:
    watcher = Watcher()
    async with pool_of(database, "tandem_api") as pool:
        await pool.execute("UPDATE config.revision SET n = 0")
        watch = ConfigWatch(pool, None, watcher.take, poll_s=0.02)
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(watch.run())
            assert await watch.taken_within(PATIENCE_S)
            await watcher.until(await bump(pool))
            following.cancel()
    assert watcher.taken == [0, 1]
