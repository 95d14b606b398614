"""Real servers for the tests beside this file: started once, thrown away with their folder.

``database`` and ``clickhouse_dsn`` are databases of a module's own with every migration applied;
``nats_url`` is the one bus, emptied of streams for each module.
"""

import asyncio
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest
from clickhouse_driver import Client

from deploy.local.settings import Addresses, Options
from deploy.local.switch import LocalSwitch
from services.common import migrate


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """NATS, Postgres and ClickHouse, without any service."""
    options = Options(data=tmp_path_factory.mktemp("servers"), services=(), fsync=False)
    with LocalSwitch(options) as switch:
        yield switch.addresses


@pytest.fixture(scope="session")
def postgres_dsn(servers: Addresses) -> str:
    """The server's own database, for tests that create others."""
    return servers.postgres_dsn


@pytest.fixture(scope="module")
def database(postgres_dsn: str) -> Iterator[str]:
    """A new Postgres database with every migration applied."""
    name = f"test_{uuid.uuid4().hex}"
    dsn = urlsplit(postgres_dsn)._replace(path=f"/{name}").geturl()
    asyncio.run(_on_postgres(postgres_dsn, f"CREATE DATABASE {name}"))
    asyncio.run(migrate.migrate_postgres(dsn, migrate.find("postgres")))
    yield dsn
    asyncio.run(_on_postgres(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def clickhouse_dsn(servers: Addresses) -> Iterator[str]:
    """A new ClickHouse database with every migration applied."""
    name = f"test_{uuid.uuid4().hex}"
    dsn = urlsplit(servers.clickhouse_dsn)._replace(path=f"/{name}").geturl()
    with Client.from_url(servers.clickhouse_dsn) as client:
        client.execute(f"CREATE DATABASE {name}")
        migrate.migrate_clickhouse(dsn, migrate.find("clickhouse"))
        yield dsn
        client.execute(f"DROP DATABASE {name} SYNC")


@pytest.fixture(scope="module")
def nats_url(servers: Addresses) -> str:
    """The bus, with no streams on it."""
    asyncio.run(_delete_streams(servers.nats_url))
    return servers.nats_url


async def _on_postgres(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _delete_streams(url: str) -> None:
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            await jetstream.delete_stream(str(stream.config.name))
    finally:
        await client.close()
