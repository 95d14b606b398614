"""The ledger in Postgres, read. Implements :class:`services.api.ports.Books`."""

from collections.abc import Sequence

from services.api.adapters.database import Database
from services.api.core.records import Record

_COLUMNS = "id, key, debit, credit, amount, currency, kind, call_id, note, actor, at"

# One index scan for each side of an account; a plain OR would read the whole ledger.
_OF_ACCOUNT = f"""
    (SELECT {_COLUMNS} FROM money.transfer
      WHERE debit = $1 AND id < $2 AND (cardinality($4::text[]) = 0 OR kind = ANY($4))
      ORDER BY id DESC LIMIT $3)
    UNION ALL
    (SELECT {_COLUMNS} FROM money.transfer
      WHERE credit = $1 AND id < $2 AND (cardinality($4::text[]) = 0 OR kind = ANY($4))
      ORDER BY id DESC LIMIT $3)
    ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - constants
_ALL = f"""
    SELECT {_COLUMNS} FROM money.transfer
     WHERE id < $1 AND (cardinality($3::text[]) = 0 OR kind = ANY($3))
     ORDER BY id DESC LIMIT $2
"""  # noqa: S608 - constants
_ONE = f"SELECT {_COLUMNS} FROM money.transfer WHERE key = $1"  # noqa: S608 - constants
_NEWEST = 2**63 - 1


class PostgresBooks:
    """Reads transfers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def transfers(
        self,
        *,
        before: int | None,
        limit: int,
        account_id: str = "",
        kinds: Sequence[str] = (),
    ) -> list[Record]:
        """See :meth:`services.api.ports.Books.transfers`."""
        below = _NEWEST if before is None else before
        if account_id:
            rows = await self._database.fetch(_OF_ACCOUNT, account_id, below, limit, list(kinds))
        else:
            rows = await self._database.fetch(_ALL, below, limit, list(kinds))
        return [dict(row) for row in rows]

    async def transfer(self, key: str) -> Record | None:
        """See :meth:`services.api.ports.Books.transfer`."""
        row = await self._database.fetchrow(_ONE, key)
        return None if row is None else dict(row)
