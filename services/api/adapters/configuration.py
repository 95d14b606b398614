"""Configuration in Postgres. Implements :class:`services.api.ports.Configuration`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from services.api.adapters.change import PostgresChange
from services.api.adapters.database import WHAT, Database, as_record
from services.api.adapters.tables import TABLES
from services.api.core.kinds import Kind
from services.api.core.problems import NotFound
from services.api.core.records import Record
from services.api.ports import Author
from services.common.errors import Invalid
from services.common.postgres import bounded

# A million rates from a slow uplink, then their merge.
_IMPORT_TIMEOUT_S = 3600.0

_AUDIT = """
    SELECT id, at, actor, source, action, object_type, object_id, before, after
      FROM api.audit_event
     WHERE ($1 = '' OR id < $1) AND ($3 = '' OR actor = $3 OR actor LIKE $3 || '/%')
       AND ($4 = '' OR object_type = $4) AND ($5 = '' OR object_id = $5)
     ORDER BY id DESC
     LIMIT $2
"""


class PostgresConfiguration:
    """Reads objects one by one and in pages; changes them in transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def change(
        self, author: Author, *, dry_run: bool = False, is_import: bool = False
    ) -> AsyncIterator[PostgresChange]:
        """See :meth:`services.api.ports.Configuration.change`."""
        timeout_s = _IMPORT_TIMEOUT_S if is_import else self._database.timeout_s * 6
        async with (
            bounded(WHAT, timeout_s),
            self._database.pool.acquire(timeout=self._database.timeout_s) as connection,
        ):
            transaction = connection.transaction()
            await transaction.start()
            change = PostgresChange(connection, author, timeout_s)
            try:
                if not is_import:
                    await change.serialise()
                yield change
                revision = await change.finish()
            except BaseException:
                await transaction.rollback()
                raise
            if dry_run:
                await transaction.rollback()
            else:
                await transaction.commit()
                change.revision = revision

    async def get(self, kind: Kind, identity: str | int) -> Record:
        """See :meth:`services.api.ports.Configuration.get`."""
        table = TABLES[kind]
        row = await self._database.fetchrow(f"{table.select} WHERE t.{table.key} = $1", identity)
        if row is None:
            raise NotFound(kind, str(identity))
        return as_record(row)

    async def page(
        self, kind: Kind, *, after: str, limit: int, filters: Mapping[str, str]
    ) -> list[Record]:
        """See :meth:`services.api.ports.Configuration.page`."""
        table = TABLES[kind]
        args: list[object] = [after, limit]
        conditions = [f"t.{table.key} > $1"]
        for name, value in filters.items():
            if name not in table.filters:
                raise Invalid(name, "is no filter of this list")
            args.append(value)
            conditions.append(f"t.{table.column(name)} = ${len(args)}")
        where = " AND ".join(conditions)
        query = f"{table.select} WHERE {where} ORDER BY t.{table.key} LIMIT $2"
        return [as_record(row) for row in await self._database.fetch(query, *args)]

    async def audit_page(
        self, *, before: str, limit: int, filters: Mapping[str, str]
    ) -> list[Record]:
        """See :meth:`services.api.ports.Configuration.audit_page`."""
        chosen = [filters.get(name, "") for name in ("actor", "object_type", "object_id")]
        return [
            as_record(row) for row in await self._database.fetch(_AUDIT, before, limit, *chosen)
        ]
