"""Compares three books that are kept apart: records, ledger, balances."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

import asyncpg

from tests.support.lab import Lab, eventually

_CALLS = "SELECT key, amount FROM money.transfer WHERE kind = 'call' AND call_id = ANY($1)"
_MONEY = """
    SELECT a.balance, a.leased, c.credit_limit,
           coalesce((SELECT sum(amount) FROM money.lease l WHERE l.account_id = c.id), 0) AS leases
      FROM config.account c JOIN money.account a ON a.account_id = c.id
     WHERE c.name = $1
"""


def query(lab: Lab, sql: str, *arguments: object) -> list[Any]:
    """Rows straight from Postgres."""

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(lab.switch.addresses.postgres_dsn)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    return asyncio.run(ask())


def movements(lab: Lab, call_ids: Collection[str]) -> dict[str, Decimal]:
    """Ledger transfers of calls: key to amount."""
    return {row["key"]: row["amount"] for row in query(lab, _CALLS, list(call_ids))}


def money(lab: Lab, account: str) -> Mapping[str, Decimal]:
    """Balance, credit limit and what is leased of an account, at one instant."""
    rows = query(lab, _MONEY, account)
    zero = Decimal(0)
    if not rows:
        return {"balance": zero, "leased": zero, "credit_limit": zero, "leases": zero}
    return dict(rows[0])


def total(records: Iterable[Mapping[str, Any]], field: str) -> Decimal:
    """Sum of an amount over records."""
    return sum((Decimal(record[field]) for record in records), Decimal(0))


def assert_exact(
    lab: Lab, records: list[Any], before: Mapping[str, Decimal], *, customer: str = "customer"
) -> None:
    """Records, ledger and balances say the same, to the last digit, on both sides."""
    price, cost = total(records, "price"), total(records, "cost")
    wanted = before["customer"] - price
    eventually(lambda: lab.balance(customer) == wanted or None, what="all calls settled")
    assert lab.balance("vendors") == before["vendors"] + cost
    moved = movements(lab, {record["call_id"] for record in records})
    by_side = {"customer": Decimal(0), "vendor": Decimal(0)}
    for key, amount in moved.items():
        by_side[key.rpartition("/")[2]] += amount
    assert by_side == {"customer": price, "vendor": cost}
