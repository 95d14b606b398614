"""Brings Postgres and ClickHouse to the schema this version expects: numbered SQL files, in order.

``python -m services.common.migrate`` applies ``services/*/migrations/postgres/NNNN_name.sql`` and
``services/*/migrations/clickhouse/NNNN_name.sql``, each store in the order of the numbers over all
services. What was applied is never applied again, and may never change: the runner keeps a
checksum of each file and refuses to go on when one differs.

In Postgres each file is one transaction, and one runner works at a time. ClickHouse has no
transactions: a file is recorded after its last statement, so statements are written to bear
repetition (``CREATE TABLE IF NOT EXISTS``).
"""

import asyncio
import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as ClickHouseError
from clickhouse_driver.errors import NetworkError, ServerException, SocketTimeoutError

from services.common.errors import SwitchError, Unavailable
from services.common.postgres import UNAVAILABLE, bounded

SERVICES = Path(__file__).resolve().parents[1]
"""The folder that holds every service, and so every migration."""

CONNECT_TIMEOUT_S = 10.0

TIMEOUT_S = 600.0
"""For all of a store's migrations, the wait for another runner included."""

_LOCK = 0x7461_6E64_656D
"""Postgres advisory lock that runners share ("tandem")."""

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_STATEMENT_END = re.compile(r";[ \t]*(?:--[^\n]*)?(?:\n|\Z)")

_POSTGRES_TABLE = """
    CREATE TABLE IF NOT EXISTS public.migration (
      number integer PRIMARY KEY,
      name text NOT NULL,
      checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )
"""

_CLICKHOUSE_TABLE = """
    CREATE TABLE IF NOT EXISTS migration (
      number UInt32,
      name String,
      checksum String,
      applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
    ) ENGINE = ReplacingMergeTree ORDER BY number
"""

_NO_CLICKHOUSE = (OSError, EOFError, NetworkError, SocketTimeoutError)


class MigrationRefused(SwitchError):
    """A migration cannot be applied; nothing after it was."""

    def __init__(self, migration: str, reason: str) -> None:
        super().__init__(f"{migration}: {reason}")
        self.migration = migration
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Changes whenever the file does."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The file cut at semicolons that end a line, a comment after them aside."""
        pieces = (piece.strip() for piece in _STATEMENT_END.split(self.sql))
        return [piece for piece in pieces if has_words(piece)]


def has_words(sql: str) -> bool:
    """Whether anything but comments and blanks is in ``sql``."""
    return any(line.strip() and not line.strip().startswith("--") for line in sql.splitlines())


def find(store: str, services: Path = SERVICES) -> list[Migration]:
    """Every migration of ``store``, by number.

    Raises:
        MigrationRefused: a file is misnamed, or two share a number.
    """
    found: dict[int, Migration] = {}
    for path in sorted(services.glob(f"*/migrations/{store}/*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationRefused(str(path), "not named like 0001_what_it_does.sql")
        number = int(match[1])
        if number in found:
            raise MigrationRefused(path.name, f"{found[number].name} has the same number")
        found[number] = Migration(number, path.name, path.read_text())
    return [found[number] for number in sorted(found)]


def pending(migrations: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """Those not in ``applied``, which gives the checksum under each number.

    A number unknown here is a newer version's, and no reason to stop: an older service runs
    on a newer schema while an upgrade is rolled out or taken back.

    Raises:
        MigrationRefused: a file is not what it was when it was applied.
    """
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise MigrationRefused(
                migration.name, "was changed after it had been applied: add a new one instead"
            )
    return [migration for migration in migrations if migration.number not in applied]


async def migrate_postgres(dsn: str, migrations: Sequence[Migration]) -> list[str]:
    """Apply what is missing; returns the names of what was applied.

    Raises:
        Unavailable: the server does not answer.
        MigrationRefused: see its reason.
    """
    try:
        async with bounded("the migrations' Postgres", TIMEOUT_S):
            connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
            try:
                return await _migrate_postgres(connection, migrations)
            finally:
                await connection.close(timeout=CONNECT_TIMEOUT_S)  # the lock goes with it
    except asyncpg.PostgresError as error:  # a wrong password, a database that is not there
        raise MigrationRefused("postgres", str(error)) from error


async def _migrate_postgres(
    connection: asyncpg.Connection, migrations: Sequence[Migration]
) -> list[str]:
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    await connection.execute(_POSTGRES_TABLE)
    rows = await connection.fetch("SELECT number, checksum FROM public.migration")
    missing = pending(migrations, {row["number"]: row["checksum"] for row in rows})
    for migration in missing:
        await _apply_to_postgres(connection, migration)
    return [migration.name for migration in missing]


async def _apply_to_postgres(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO public.migration (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        if isinstance(error, UNAVAILABLE):
            raise  # the server died of something else, or with us
        raise MigrationRefused(migration.name, str(error)) from error


def migrate_clickhouse(dsn: str, migrations: Sequence[Migration]) -> list[str]:
    """Apply what is missing; returns the names of what was applied.

    Raises:
        Unavailable: the server does not answer.
        MigrationRefused: see its reason.
    """
    client = Client.from_url(dsn)
    try:
        client.execute(_CLICKHOUSE_TABLE)
        applied = dict(client.execute("SELECT number, checksum FROM migration FINAL"))
        missing = pending(migrations, applied)
        for migration in missing:
            _apply_to_clickhouse(client, migration)
    except _NO_CLICKHOUSE as error:
        raise Unavailable("the migrations' ClickHouse") from error
    except ClickHouseError as error:
        raise MigrationRefused("clickhouse", str(error)) from error
    finally:
        client.disconnect()
    return [migration.name for migration in missing]


def _apply_to_clickhouse(client: Client, migration: Migration) -> None:
    try:
        for statement in migration.statements:
            client.execute(statement)
        client.execute(
            "INSERT INTO migration (number, name, checksum) VALUES",
            [(migration.number, migration.name, migration.checksum)],
        )
    except ServerException as error:
        raise MigrationRefused(migration.name, str(error)) from error


async def migrate(postgres_dsn: str, clickhouse_dsn: str, tell: Callable[[str], object]) -> None:
    """Bring both stores up to date; ``tell`` hears one line for each migration applied.

    Raises:
        Unavailable: a server does not answer.
        MigrationRefused: see its reason.
    """
    for name in await migrate_postgres(postgres_dsn, find("postgres")):
        tell(f"postgres {name}")
    for name in await asyncio.to_thread(migrate_clickhouse, clickhouse_dsn, find("clickhouse")):
        tell(f"clickhouse {name}")


def main() -> int:
    """Migrate the stores named by the environment; returns the exit status."""
    try:
        postgres_dsn = os.environ["TANDEM_POSTGRES_DSN"]
        clickhouse_dsn = os.environ["TANDEM_CLICKHOUSE_DSN"]
    except KeyError as missing:
        sys.stderr.write(f"{missing.args[0]} is not set\n")
        return 2
    try:
        asyncio.run(
            migrate(postgres_dsn, clickhouse_dsn, lambda line: sys.stdout.write(f"{line}\n"))
        )
    except SwitchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
