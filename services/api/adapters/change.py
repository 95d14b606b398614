"""One transaction on the configuration. Implements :class:`services.api.ports.Change`."""

import datetime as dt
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg

from services.api.adapters import sheets
from services.api.adapters.database import as_record
from services.api.adapters.tables import REFERENCES, TABLES, Table
from services.api.core.kinds import TRAITS, Kind
from services.api.core.problems import AlreadyExists, InUse, NotFound
from services.api.core.rate_sheet import Mode, SheetRate
from services.api.core.rates import Merged
from services.api.core.records import Record
from services.api.ports import Author
from services.common import ids
from services.common.errors import Invalid
from services.common.postgres import Connection

# Any constant: every change of the configuration takes this lock, so changes happen one after
# the other and cannot deadlock, whatever they touch in whatever order.
_ONE_AT_A_TIME = 0x7A4D

_AUDIT = """
    INSERT INTO api.audit_event (id, actor, source, action, object_type, object_id, before, after)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_BUMP = "UPDATE config.revision SET n = n + 1 RETURNING n"
_MONEY_OF = """
    SELECT EXISTS (SELECT FROM money.account
                    WHERE account_id = $1 AND (balance <> 0 OR leased <> 0))
        OR EXISTS (SELECT FROM money.transfer WHERE debit = $1)
        OR EXISTS (SELECT FROM money.transfer WHERE credit = $1)
"""


class PostgresChange:
    """Writes through one connection inside one transaction."""

    def __init__(self, connection: Connection, author: Author, timeout_s: float) -> None:
        self._connection = connection
        self._author = author
        self._timeout_s = timeout_s
        self._written = False
        self.revision: int | None = None

    async def serialise(self) -> None:
        """Wait for the change in progress, if any, to end."""
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock($1)", _ONE_AT_A_TIME, timeout=self._timeout_s
        )

    async def finish(self) -> int | None:
        """Bump the revision if anything was written; the last thing before the commit."""
        if not self._written:
            return None
        revision: int = await self._connection.fetchval(_BUMP)
        return revision

    async def get(self, kind: Kind, identity: str) -> Record:
        """See :meth:`services.api.ports.Change.get`."""
        return await self._read(kind, identity, "FOR UPDATE OF t")

    async def all(self, kind: Kind) -> dict[str, Record]:
        """See :meth:`services.api.ports.Change.all`."""
        table, identity = TABLES[kind], TRAITS[kind].identity
        rows = await self._connection.fetch(f"{table.select} ORDER BY t.{table.key} DESC")
        return {str(row[identity]): as_record(row) for row in rows}

    async def insert(self, kind: Kind, fields: Record) -> Record:
        """See :meth:`services.api.ports.Change.insert`."""
        table = TABLES[kind]
        own = {name: value for name, value in fields.items() if name in table.writable}
        columns = ", ".join(table.column(name) for name in own)
        holes = ", ".join(f"${number}" for number in range(1, len(own) + 1))
        query = f"INSERT INTO {table.name} ({columns}) VALUES ({holes}) RETURNING {table.key}"  # noqa: S608
        async with self._guarded(kind, fields):
            key = await self._connection.fetchval(query, *own.values())
            await self._write_children(table, str(key), fields)
        self._written = True
        return await self._read(kind, key)

    async def update(self, kind: Kind, identity: str, fields: Record) -> Record:
        """See :meth:`services.api.ports.Change.update`."""
        table = TABLES[kind]
        own = {name: value for name, value in fields.items() if name in table.writable}
        parts = [f"{table.column(name)} = ${number}" for number, name in enumerate(own, start=2)]
        parts += ["updated_at = now()"] if table.stamped else []
        query = f"UPDATE {table.name} SET {', '.join(parts)} WHERE {table.key} = $1"  # noqa: S608
        async with self._guarded(kind, fields):
            if parts:
                await self._connection.execute(query, _key(kind, identity), *own.values())
            await self._write_children(table, identity, fields)
        self._written = True
        return await self._read(kind, identity)

    async def delete(self, kind: Kind, identity: str) -> None:
        """See :meth:`services.api.ports.Change.delete`."""
        for other, source, column in REFERENCES.get(kind, ()):
            query = f"SELECT name FROM {source} AS r WHERE {column} = $1 ORDER BY 1 LIMIT 1"  # noqa: S608
            if (name := await self._connection.fetchval(query, identity)) is not None:
                raise InUse(kind, identity, f"{other} {name!r}")
        if kind is Kind.ACCOUNT and await self._connection.fetchval(_MONEY_OF, identity):
            raise InUse(kind, identity, "its ledger: disable it instead")
        table = TABLES[kind]
        query = f"DELETE FROM {table.name} WHERE {table.key} = $1"  # noqa: S608
        await self._connection.execute(query, _key(kind, identity))
        self._written = True

    async def audit(
        self, action: str, kind: str, identity: str, before: Record | None, after: Record | None
    ) -> None:
        """See :meth:`services.api.ports.Change.audit`."""
        author = self._author
        event = ids.new_id(ids.AUDIT_EVENT)
        await self._connection.execute(
            _AUDIT, event, author.actor, author.source, action, kind, identity, before, after
        )

    async def stage(self, rates: AsyncIterable[SheetRate], at: dt.datetime) -> None:
        """See :meth:`services.api.ports.Change.stage`."""
        await sheets.stage(self._connection, rates, at, timeout_s=self._timeout_s)

    async def merge(self, deck_id: str, mode: Mode, at: dt.datetime) -> Merged:
        """See :meth:`services.api.ports.Change.merge`."""
        await self.serialise()
        merged = await sheets.merge(self._connection, deck_id, mode, at, timeout_s=self._timeout_s)
        if merged.touched:
            await self.touch_deck(deck_id)
        return merged

    async def touch_deck(self, deck_id: str) -> None:
        """Tell readers that the rates of a deck changed."""
        await self._connection.execute(
            "UPDATE config.deck SET version = version + 1, updated_at = now() WHERE id = $1",
            deck_id,
        )
        self._written = True

    async def rate_at(self, deck_id: str, prefix: str, at: dt.datetime) -> Record:
        """See :meth:`services.api.ports.Change.rate_at`."""
        query = f"""{TABLES[Kind.RATE].select}
            WHERE t.deck_id = $1 AND t.prefix = $2 AND t.valid_from <= $3 AND t.valid_till > $3
            ORDER BY t.valid_from DESC LIMIT 1"""
        row = await self._connection.fetchrow(query, deck_id, prefix, at)
        if row is None:
            raise NotFound(Kind.RATE, prefix)
        return as_record(row)

    async def _read(self, kind: Kind, identity: object, lock: str = "") -> Record:
        table = TABLES[kind]
        query = f"{table.select} WHERE t.{table.key} = $1 {lock}"
        row = await self._connection.fetchrow(query, _key(kind, identity))
        if row is None:
            raise NotFound(kind, str(identity))
        return as_record(row)

    async def _write_children(self, table: Table, owner: str, fields: Record) -> None:
        for child in table.children:
            if child.field not in fields:
                continue
            gone = f"DELETE FROM {child.table} WHERE {child.owner} = $1"  # noqa: S608
            await self._connection.execute(gone, owner)
            await self._connection.execute(child.insertion, owner, fields[child.field])

    @asynccontextmanager
    async def _guarded(self, kind: Kind, fields: Record) -> AsyncIterator[None]:
        """Says in our words what the constraints of the tables refuse."""
        try:
            # A savepoint: the owner of what is taken can be asked for afterwards.
            async with self._connection.transaction():
                yield
        except asyncpg.UniqueViolationError as error:
            raise await self._taken(kind, fields, str(error.constraint_name)) from error
        except asyncpg.ForeignKeyViolationError as error:
            raise _dangling(kind, fields, str(error.constraint_name)) from error
        except asyncpg.CheckViolationError as error:
            raise Invalid("", f"breaks the rule {error.constraint_name}") from error

    async def _taken(self, kind: Kind, fields: Record, constraint: str) -> AlreadyExists:
        """Names who has the value that must be unique."""
        if constraint in _OWNERS:
            name, query = _OWNERS[constraint]
            wanted = [
                str(one["username"]) if isinstance(one, Mapping) else str(one)
                for one in _list(fields.get(name))
            ]
            row = await self._connection.fetchrow(query, wanted)
            value, owner = (row["value"], row["name"]) if row else ("", "")
            return AlreadyExists(kind, name, value, repr(owner))
        table, field = TABLES[kind], TRAITS[kind].identity
        value = str(fields.get(field, ""))
        query = f"SELECT {table.key} FROM {table.name} WHERE {field} = $1"  # noqa: S608
        owner = "" if kind is Kind.RATE else await self._connection.fetchval(query, value)
        return AlreadyExists(kind, field, value, str(owner))


_OWNERS = {
    "customer_trunk_address_pkey": (
        "addresses",
        """
        SELECT a.address AS value, t.name FROM config.customer_trunk_address a
          JOIN config.customer_trunk t ON t.id = a.customer_trunk_id
         WHERE a.address = ANY($1::text[]) LIMIT 1
        """,
    ),
    "customer_trunk_credential_pkey": (
        "credentials",
        """
        SELECT c.username AS value, t.name FROM config.customer_trunk_credential c
          JOIN config.customer_trunk t ON t.id = c.customer_trunk_id
         WHERE c.username = ANY($1::text[]) LIMIT 1
        """,
    ),
}
"""Who has what must be unique: the field and the question, by constraint."""


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _dangling(kind: Kind, fields: Record, constraint: str) -> Invalid:
    for name in ("account_id", "rate_deck_id", "user_id", "vendor_trunk_ids"):
        if name in fields and TABLES[kind].column(name).removesuffix("s") in constraint:
            return Invalid(
                name,
                f"there is no {name.removesuffix('_ids').removesuffix('_id')} {fields[name]!r}",
            )
    return Invalid("", f"refers to nothing ({constraint})")


def _key(kind: Kind, identity: object) -> object:
    return int(str(identity)) if kind is Kind.RATE else identity
