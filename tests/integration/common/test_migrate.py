"""Migrations against the real stores."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from clickhouse_driver import Client

from deploy.local.settings import Addresses
from services.common.errors import Unavailable
from services.common.migrate import (
    Migration,
    MigrationRefused,
    find,
    migrate_clickhouse,
    migrate_postgres,
)

FIRST = Migration(1, "0001_first.sql", "CREATE TABLE a (x int);\nINSERT INTO a VALUES (1);\n")
BROKEN = Migration(2, "0002_broken.sql", "CREATE TABLE b (x int);\nSELECT nonsense;\n")
REPAIRED = Migration(2, "0002_broken.sql", "CREATE TABLE b (x int);\n")

CLICKHOUSE_FIRST = Migration(
    1,
    "0001_first.sql",
    "-- two statements; one comment\n"
    "CREATE TABLE a (x UInt8) ENGINE = MergeTree ORDER BY x; -- done\n"
    "INSERT INTO a SELECT 1;\n",
)


@pytest.fixture
async def empty(postgres_dsn: str) -> AsyncIterator[str]:
    name = f"empty_{uuid.uuid4().hex}"
    server = await asyncpg.connect(postgres_dsn)
    await server.execute(f"CREATE DATABASE {name}")
    yield urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


@pytest.fixture
def empty_clickhouse(servers: Addresses) -> Iterator[str]:
    name = f"empty_{uuid.uuid4().hex}"
    with Client.from_url(servers.clickhouse_dsn) as client:
        client.execute(f"CREATE DATABASE {name}")
        yield urlsplit(servers.clickhouse_dsn)._replace(path=f"/{name}").geturl()
        client.execute(f"DROP DATABASE {name} SYNC")


async def fetchval(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_each_migration_is_applied_once(empty: str) -> None:
    assert await migrate_postgres(empty, [FIRST]) == ["0001_first.sql"]
    assert await migrate_postgres(empty, [FIRST, REPAIRED]) == ["0002_broken.sql"]
    assert await migrate_postgres(empty, [FIRST, REPAIRED]) == []
    assert await fetchval(empty, "SELECT count(*) FROM a") == 1


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty: str) -> None:
    with pytest.raises(MigrationRefused, match=r"0002_broken\.sql: .*nonsense"):
        await migrate_postgres(empty, [FIRST, BROKEN])
    assert await fetchval(empty, "SELECT to_regclass('a')::text") == "a"
    assert await fetchval(empty, "SELECT to_regclass('b')::text") is None
    assert await migrate_postgres(empty, [FIRST, REPAIRED]) == ["0002_broken.sql"]


async def test_a_changed_file_is_refused(empty: str) -> None:
    await migrate_postgres(empty, [FIRST])
    changed = Migration(1, FIRST.name, FIRST.sql + "-- harmless\n")
    with pytest.raises(MigrationRefused, match="was changed"):
        await migrate_postgres(empty, [changed, REPAIRED])
    assert await fetchval(empty, "SELECT to_regclass('b')::text") is None


async def test_two_runners_at_once_apply_everything_once(empty: str) -> None:
    applied = await asyncio.gather(*(migrate_postgres(empty, [FIRST, REPAIRED]) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, 2]
    assert await fetchval(empty, "SELECT count(*) FROM a") == 1


async def test_wrong_credentials_and_absent_servers_are_told_apart(empty: str) -> None:
    with pytest.raises(MigrationRefused, match="does not exist"):
        await migrate_postgres(urlsplit(empty)._replace(path="/nowhere").geturl(), [])
    with pytest.raises(Unavailable):
        await migrate_postgres("postgresql://tandem@127.0.0.1:1/tandem", [])


def test_clickhouse_statements_are_applied_once(empty_clickhouse: str) -> None:
    assert migrate_clickhouse(empty_clickhouse, [CLICKHOUSE_FIRST]) == ["0001_first.sql"]
    assert migrate_clickhouse(empty_clickhouse, [CLICKHOUSE_FIRST]) == []
    with Client.from_url(empty_clickhouse) as client:
        assert client.execute("SELECT x FROM a") == [(1,)]


def test_a_changed_clickhouse_file_is_refused(empty_clickhouse: str) -> None:
    migrate_clickhouse(empty_clickhouse, [CLICKHOUSE_FIRST])
    with pytest.raises(MigrationRefused, match="was changed"):
        migrate_clickhouse(empty_clickhouse, [Migration(1, "0001_first.sql", "SELECT 1")])


def test_a_clickhouse_statement_that_fails_names_its_file(empty_clickhouse: str) -> None:
    with pytest.raises(MigrationRefused, match=r"0002_broken\.sql"):
        migrate_clickhouse(empty_clickhouse, [CLICKHOUSE_FIRST, BROKEN])
    assert migrate_clickhouse(empty_clickhouse, [CLICKHOUSE_FIRST]) == []


async def test_the_real_migrations_apply(database: str, clickhouse_dsn: str) -> None:
    assert await migrate_postgres(database, find("postgres")) == []
    assert migrate_clickhouse(clickhouse_dsn, find("clickhouse")) == []
    assert await fetchval(database, "SELECT count(*) FROM public.migration") == len(
        find("postgres")
    )
