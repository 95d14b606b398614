"""Balances and the ledger in Postgres. Implements :class:`services.rating.ports.Ledger`.

Lock order as in :mod:`services.rating.adapters.leases`: accounts by id, then leases by id.
"""

from collections.abc import Sequence
from decimal import Decimal

import asyncpg

from services.common.errors import Invalid
from services.common.postgres import Connection, Pool, transaction
from services.rating.core.settle import BOOKS, CASH, CORRECTION
from services.rating.ports import Debit, Paid, Payment, Rejected, Unbookable

_WHAT = "money database"
_ATTEMPTS = 5

_ENSURE_ACCOUNTS = """
INSERT INTO money.account (account_id)
SELECT id FROM unnest($1::text[]) AS a (id)
 WHERE NOT EXISTS (SELECT FROM money.account m WHERE m.account_id = a.id)
 ORDER BY id
ON CONFLICT DO NOTHING
"""

_LOCK_ACCOUNTS = """
SELECT account_id, balance FROM money.account
 WHERE account_id = ANY($1) ORDER BY account_id FOR UPDATE
"""

# Balances and leases move only for the transfers inserted here and now: a repetition finds its
# keys taken and changes nothing. `leased` follows what was really taken from the leases.
_BOOK = """
WITH asked AS (
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::text[], $6::text[],
                       $7::text[])
             AS t (key, debit, credit, amount, currency, call_id, lease_id)
), booked AS (
  INSERT INTO money.transfer (key, debit, credit, amount, currency, kind, call_id)
  SELECT key, debit, credit, amount, currency, 'call', call_id FROM asked
  ON CONFLICT (key) DO NOTHING
  RETURNING key, debit, credit, amount
), moved AS (
  SELECT account_id, sum(amount) AS amount
    FROM (SELECT debit AS account_id, -amount AS amount FROM booked
          UNION ALL
          SELECT credit, amount FROM booked) both_sides
   GROUP BY account_id
), backed AS (
  SELECT l.id, l.account_id, LEAST(l.amount, used.amount) AS taken
    FROM money.lease l
    JOIN (SELECT lease_id, debit, sum(booked.amount) AS amount
            FROM booked JOIN asked USING (key, debit)
           WHERE lease_id <> '' GROUP BY lease_id, debit) used
      ON used.lease_id = l.id AND used.debit = l.account_id
   ORDER BY l.id
     FOR UPDATE OF l
), lowered AS (
  UPDATE money.lease l SET amount = l.amount - backed.taken FROM backed WHERE l.id = backed.id
), freed AS (
  SELECT account_id, sum(taken) AS taken FROM backed GROUP BY account_id
), balances AS (
  UPDATE money.account m
     SET balance = m.balance + moved.amount,
         leased = m.leased - coalesce(freed.taken, 0),
         updated_at = now()
    FROM moved LEFT JOIN freed USING (account_id)
   WHERE m.account_id = moved.account_id
)
SELECT key FROM asked WHERE key NOT IN (SELECT key FROM booked)
"""

_PAY = """
INSERT INTO money.transfer (key, debit, credit, amount, currency, kind, note, actor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (key) DO NOTHING
RETURNING id
"""

_ADD = """
UPDATE money.account SET balance = balance + $2, updated_at = now()
 WHERE account_id = $1 RETURNING balance
"""

_REJECT = """
INSERT INTO money.rejected_event (message_id, position, reason, payload)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::bytea[])
ON CONFLICT DO NOTHING
"""

_RETRIED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


class PostgresLedger:
    """``timeout_s`` bounds each transaction, the wait for a connection included."""

    def __init__(self, pool: Pool, *, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self.retried = 0

    async def book(self, debits: Sequence[Debit]) -> frozenset[str]:
        """See :meth:`services.rating.ports.Ledger.book`."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._book(debits)
            except _RETRIED:
                self.retried += 1
        return await self._book(debits)

    async def _book(self, debits: Sequence[Debit]) -> frozenset[str]:
        transfers = [debit.transfer for debit in debits]
        parties = {book for one in transfers for book in (one.debit, one.credit)} - BOOKS
        columns = (
            [one.key for one in transfers],
            [one.debit for one in transfers],
            [one.credit for one in transfers],
            [one.amount for one in transfers],
            [one.currency for one in transfers],
            [one.call_id for one in transfers],
            [debit.lease_id for debit in debits],
        )
        try:
            async with transaction(self._pool, _WHAT, timeout_s=self._timeout_s) as connection:
                await _lock(connection, sorted(parties))
                rows = await connection.fetch(_BOOK, *columns)
        except _REFUSED as error:
            raise Unbookable(f"{type(error).__name__}: {error}") from error
        return frozenset(row["key"] for row in rows)

    async def pay(self, payment: Payment) -> Paid:
        """See :meth:`services.rating.ports.Ledger.pay`."""
        async with transaction(self._pool, _WHAT, timeout_s=self._timeout_s) as connection:
            currency = await connection.fetchval(
                "SELECT currency FROM config.account WHERE id = $1", payment.account_id
            )
            if currency is None:
                raise Invalid("account_id", "there is no such account")
            if currency != payment.currency:
                raise Invalid("currency", f"the account is in {currency}")
            await _lock(connection, [payment.account_id])
            return await _pay(connection, payment)

    async def reject(self, events: Sequence[Rejected]) -> None:
        """See :meth:`services.rating.ports.Ledger.reject`."""
        async with transaction(self._pool, _WHAT, timeout_s=self._timeout_s) as connection:
            await connection.execute(
                _REJECT,
                [_text(one.message_id) for one in events],
                [one.position for one in events],
                [_text(one.reason)[:2000] for one in events],
                [one.payload for one in events],
            )


async def _lock(connection: Connection, accounts: list[str]) -> None:
    locked = await connection.fetch(_LOCK_ACCOUNTS, accounts)
    if len(locked) < len(accounts):
        await connection.execute(_ENSURE_ACCOUNTS, accounts)
        await connection.execute(_LOCK_ACCOUNTS, accounts)


async def _pay(connection: Connection, payment: Payment) -> Paid:
    book = CORRECTION if payment.kind == CORRECTION else CASH
    account = payment.account_id
    debit, credit = (book, account) if payment.amount > 0 else (account, book)
    amount = abs(payment.amount)
    booked = await connection.fetchval(
        _PAY,
        payment.payment_id,
        debit,
        credit,
        amount,
        payment.currency,
        payment.kind,
        payment.note,
        payment.actor,
    )
    if booked is None:
        await _check_same(connection, payment.payment_id, (debit, credit, amount, payment.kind))
    moved = Decimal(0) if booked is None else payment.amount
    balance = await connection.fetchval(_ADD, account, moved)
    return Paid(balance, is_duplicate=booked is None)


async def _check_same(
    connection: Connection, payment_id: str, asked: tuple[str, str, Decimal, str]
) -> None:
    row = await connection.fetchrow(
        "SELECT debit, credit, amount, kind FROM money.transfer WHERE key = $1", payment_id
    )
    if row is None or tuple(row) != asked:
        raise Invalid("payment_id", "was used for another payment")


def _text(text: str) -> str:
    return text.replace("\x00", "")
