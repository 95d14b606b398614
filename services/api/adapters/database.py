"""The Postgres pool of this service, which is there once the server is."""

import datetime as dt
import json
from collections.abc import Sequence

import asyncpg

from services.api.core.records import Record
from services.common.errors import Unavailable
from services.common.postgres import Pool, bounded, close_pool, open_pool

WHAT = "config database"
"""What callers are told is away."""


class Database:
    """Opened in the background: requests that come sooner are told that it is away."""

    def __init__(self, dsn: str, *, max_size: int, timeout_s: float) -> None:
        self._dsn = dsn
        self._max_size = max_size
        self._pool: Pool | None = None
        self.timeout_s = timeout_s
        """The most any ordinary use may take, the wait for a connection included."""

    async def open(self) -> None:
        """Return once connected; waits for the server as long as it takes."""
        self._pool = await open_pool(
            self._dsn, role="tandem_api", name="api", max_size=self._max_size, setup=_codecs
        )

    async def close(self) -> None:
        """Let go of every connection."""
        if self._pool is not None:
            await close_pool(self._pool)

    @property
    def pool(self) -> Pool:
        """The pool.

        Raises:
            Unavailable: the server has not been reached yet.
        """
        if self._pool is None:
            raise Unavailable(WHAT)
        return self._pool

    async def fetch(self, query: str, *args: object) -> Sequence[asyncpg.Record]:
        """The rows of one statement. Raises: Unavailable."""
        async with bounded(WHAT, self.timeout_s):
            rows: Sequence[asyncpg.Record] = await self.pool.fetch(query, *args)
            return rows

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        """The first row of one statement. Raises: Unavailable."""
        async with bounded(WHAT, self.timeout_s):
            return await self.pool.fetchrow(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        """Run one statement. Raises: Unavailable."""
        async with bounded(WHAT, self.timeout_s):
            status: str = await self.pool.execute(query, *args)
            return status


def as_record(row: asyncpg.Record) -> Record:
    """The fields of a row; the driver's infinite instants are made aware like all others."""
    return {
        name: value.replace(tzinfo=dt.UTC)
        if isinstance(value, dt.datetime) and value.tzinfo is None
        else value
        for name, value in row.items()
    }


async def _codecs(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )
