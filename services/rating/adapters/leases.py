"""Leases in Postgres. Implements :class:`services.rating.ports.Leases`.

Lock order everywhere: accounts by id, then leases by id. Whatever changes an amount locks the
account first, so the sum of its leases and its ``leased`` column move together.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import asyncpg

from services.common.errors import Unavailable
from services.common.postgres import Connection, Pool, bounded
from services.common.pricing.charge import from_units, to_units
from services.rating.core.lease import GiveBack
from services.rating.ports import Adopted, Policy, Refill, Refilled, Renewed

_WHAT = "money database"

# One statement, one round trip. The row lock is taken in `locked`, which under READ COMMITTED
# sees the newest committed balance.
_REFILL = """
WITH locked AS (
  SELECT m.account_id, m.balance + c.credit_limit - m.leased AS room,
         c.enabled, c.reserve_s, c.currency
    FROM money.account m JOIN config.account c ON c.id = m.account_id
   WHERE m.account_id = $1
     FOR UPDATE OF m
), granted AS (
  SELECT locked.*,
         CASE WHEN room < $4 THEN 0
              WHEN room <= $5 THEN room
              WHEN room < 32 * $5 THEN $5
              ELSE $5 + LEAST($6, trunc(room / 32, 10)) END AS amount
    FROM locked
), account AS (
  UPDATE money.account m
     SET leased = m.leased + granted.amount, updated_at = now()
    FROM granted
   WHERE m.account_id = granted.account_id AND granted.amount > 0
), lease AS (
  INSERT INTO money.lease AS l (id, account_id, holder, amount, expires_at)
  SELECT $2, account_id, $3, amount,
         now() + make_interval(secs => GREATEST($7::float8, reserve_s + $8::float8))
    FROM granted WHERE amount > 0
  ON CONFLICT (id) DO UPDATE
     SET amount = l.amount + EXCLUDED.amount, expires_at = EXCLUDED.expires_at
  RETURNING (xmax = 0) AS is_new
)
SELECT amount, room - amount AS headroom, enabled, reserve_s, currency,
       coalesce((SELECT is_new FROM lease), false) AS is_new,
       EXISTS (SELECT FROM money.lease o
                WHERE o.account_id = $1 AND o.id <> $2 AND o.amount > 0) AS is_shared
  FROM granted
"""

_ENSURE_ACCOUNT = """
INSERT INTO money.account (account_id) SELECT id FROM config.account WHERE id = $1
ON CONFLICT DO NOTHING
"""

_LOCK_ACCOUNTS = """
SELECT account_id FROM money.account WHERE account_id = ANY($1) ORDER BY account_id FOR UPDATE
"""

_ADOPT_FROM = """
WITH other AS (
  SELECT id, LEAST(amount, $3) AS moved FROM money.lease
   WHERE id = $1 AND account_id = $2 FOR UPDATE
)
UPDATE money.lease l SET amount = l.amount - other.moved FROM other WHERE l.id = other.id
RETURNING other.moved
"""

_ADOPT_INTO = """
INSERT INTO money.lease AS l (id, account_id, holder, amount, expires_at)
SELECT $1, a.account_id, $3, $4,
       now() + make_interval(secs => GREATEST($5::float8, coalesce(c.reserve_s, 60) + $6::float8))
  FROM money.account a LEFT JOIN config.account c ON c.id = a.account_id
 WHERE a.account_id = $2
ON CONFLICT (id) DO UPDATE
   SET amount = l.amount + EXCLUDED.amount, expires_at = EXCLUDED.expires_at
RETURNING (xmax = 0)
"""

# A NULL amount closes the lease: whatever the row holds goes back.
_GIVE_BACK = """
WITH given AS (
  SELECT l.id, l.account_id, l.amount, b.amount IS NULL AS is_closed,
         LEAST(l.amount, coalesce(b.amount, l.amount)) AS back
    FROM money.lease l JOIN unnest($1::text[], $2::numeric[]) AS b (id, amount) ON b.id = l.id
   ORDER BY l.id
     FOR UPDATE OF l
), closed AS (
  DELETE FROM money.lease l USING given WHERE l.id = given.id AND given.is_closed
), lowered AS (
  UPDATE money.lease l SET amount = l.amount - given.back
    FROM given WHERE l.id = given.id AND NOT given.is_closed
)
UPDATE money.account m SET leased = m.leased - total.back, updated_at = now()
  FROM (SELECT account_id, sum(back) AS back FROM given GROUP BY account_id) total
 WHERE m.account_id = total.account_id
"""

_RENEW = """
WITH ours AS (
  SELECT l.id, GREATEST($2::float8, coalesce(c.reserve_s, 60) + $3::float8) AS life_s,
         m.leased > m.balance + coalesce(c.credit_limit, 0) AS is_short
    FROM money.lease l JOIN money.account m USING (account_id)
    LEFT JOIN config.account c ON c.id = l.account_id
   WHERE l.id = ANY($1)
   ORDER BY l.id
     FOR UPDATE OF l
)
UPDATE money.lease l SET expires_at = now() + make_interval(secs => ours.life_s)
  FROM ours WHERE l.id = ours.id
RETURNING l.id, l.amount, ours.is_short
"""

_EXPIRED_ACCOUNTS = """
SELECT DISTINCT account_id FROM money.lease WHERE expires_at < now() ORDER BY account_id LIMIT 500
"""

_SWEEP = """
WITH dead AS (
  SELECT id, account_id, amount FROM money.lease
   WHERE account_id = ANY($1) AND expires_at < now()
   ORDER BY id
     FOR UPDATE
), gone AS (
  DELETE FROM money.lease l USING dead WHERE l.id = dead.id
), returned AS (
  UPDATE money.account m SET leased = m.leased - total.amount, updated_at = now()
    FROM (SELECT account_id, sum(amount) AS amount FROM dead GROUP BY account_id) total
   WHERE m.account_id = total.account_id
)
SELECT count(*) FROM dead
"""


@asynccontextmanager
async def _guarded(timeout_s: float) -> AsyncIterator[None]:
    """Bounded, and with a deadlock counted as a moment's unavailability: all is asked again."""
    try:
        async with bounded(_WHAT, timeout_s):
            yield
    except asyncpg.TransactionRollbackError as error:
        raise Unavailable(_WHAT) from error


@asynccontextmanager
async def _transaction(pool: Pool, timeout_s: float) -> AsyncIterator[Connection]:
    async with _guarded(timeout_s), pool.acquire() as connection, connection.transaction():
        yield connection


class PostgresLeases:
    """The leases of one holder.

    Args:
        holder: names this run of this process, for people.
        lease_s: how long a lease lives without renewal, at least; two thirds of it more than
            the talk time its account reserves ahead.
        timeout_s: of the statements a call waits for.
    """

    def __init__(self, pool: Pool, holder: str, *, lease_s: float, timeout_s: float) -> None:
        self._pool = pool
        self._holder = holder
        self._life = (lease_s, lease_s * 2 / 3)
        self._timeout_s = timeout_s
        self.unknown_s = 60.0
        """A statement the server received but never answered has long ended by then."""

    async def refill(self, wish: Refill) -> Refilled | None:
        """See :meth:`services.rating.ports.Leases.refill`."""
        async with _guarded(self._timeout_s), self._pool.acquire() as connection:
            row = await self._refill(connection, wish)
            if row is None:
                await connection.execute(_ENSURE_ACCOUNT, wish.account_id)
                row = await self._refill(connection, wish)
        if row is None:
            return None
        return Refilled(
            granted=to_units(row["amount"]),
            headroom=to_units(row["headroom"]),
            is_new=row["is_new"],
            is_shared=row["is_shared"],
            policy=Policy(row["enabled"], row["reserve_s"], row["currency"]),
        )

    async def _refill(self, connection: Connection, wish: Refill) -> asyncpg.Record | None:
        amounts = (from_units(units) for units in (wish.least, wish.wanted, wish.extra))
        return await connection.fetchrow(
            _REFILL, wish.account_id, wish.lease_id, self._holder, *amounts, *self._life
        )

    async def adopt(self, account_id: str, lease_id: str, from_lease: str, units: int) -> Adopted:
        """See :meth:`services.rating.ports.Leases.adopt`."""
        async with _transaction(self._pool, self._timeout_s) as connection:
            await connection.execute(_LOCK_ACCOUNTS, [account_id])
            moved = await connection.fetchval(
                _ADOPT_FROM, from_lease, account_id, from_units(units)
            )
            if not moved:
                return Adopted(0, is_new=False)
            is_new = await connection.fetchval(
                _ADOPT_INTO, lease_id, account_id, self._holder, moved, *self._life
            )
        return Adopted(to_units(moved), is_new=bool(is_new))

    async def give_back(self, returns: Sequence[GiveBack]) -> None:
        """See :meth:`services.rating.ports.Leases.give_back`."""
        names = [back.lease_id for back in returns]
        amounts: list[Decimal | None] = [
            None if back.units is None else from_units(back.units) for back in returns
        ]
        async with _transaction(self._pool, self._timeout_s) as connection:
            await connection.execute(_LOCK_ACCOUNTS, [back.account_id for back in returns])
            await connection.execute(_GIVE_BACK, names, amounts)

    async def renew(self, lease_ids: Sequence[str]) -> Mapping[str, Renewed]:
        """See :meth:`services.rating.ports.Leases.renew`."""
        async with _guarded(10 * self._timeout_s):
            rows = await self._pool.fetch(_RENEW, list(lease_ids), *self._life)
        return {row["id"]: Renewed(to_units(row["amount"]), row["is_short"]) for row in rows}

    async def sweep(self) -> int:
        """See :meth:`services.rating.ports.Leases.sweep`."""
        async with _transaction(self._pool, 10 * self._timeout_s) as connection:
            accounts = [row["account_id"] for row in await connection.fetch(_EXPIRED_ACCOUNTS)]
            if not accounts:
                return 0
            await connection.execute(_LOCK_ACCOUNTS, accounts)
            count = await connection.fetchval(_SWEEP, accounts)
        return int(count)


class PostgresPolicies:
    """Accounts as configured. Implements :class:`services.rating.ports.Policies`."""

    def __init__(self, pool: Pool, *, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s

    async def load(self) -> Mapping[str, Policy]:
        """See :meth:`services.rating.ports.Policies.load`."""
        async with bounded(_WHAT, self._timeout_s):
            rows = await self._pool.fetch(
                "SELECT id, enabled, reserve_s, currency FROM config.account"
            )
        return {
            row["id"]: Policy(row["enabled"], row["reserve_s"], row["currency"]) for row in rows
        }
