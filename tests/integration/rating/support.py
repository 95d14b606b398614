"""Accounts, calls and several rating processes on the real databases."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import asyncpg
import msgspec

from services.common.events import Attempt, CallEnded, EndedBatch, RatedBatch, encode
from services.common.ids import new_id
from services.common.postgres import close_pool, open_pool
from services.common.terms import Terms, encode_terms
from services.rating.adapters.leases import PostgresLeases, PostgresPolicies
from services.rating.adapters.ledger import PostgresLedger
from services.rating.app.credit import Authorized, CreditDesk, Extended
from services.rating.app.payments import Cashier
from services.rating.app.settlement import Delivery, Settler
from services.rating.app.upkeep import Rhythm, Upkeep
from services.rating.ports import Ending, Payment
from services.rating.server import ROLE

STARTED = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def sell_terms(account_id: str, **changes: object) -> bytes:
    """60 s cost 0.6 exactly: a unit per second of 0.01."""
    fields: dict[str, object] = {
        "account_id": account_id,
        "rate_id": 1,
        "deck_id": "dck_sell",
        "prefix": "44",
        "currency": "USD",
        "first_price": Decimal("0.6"),
        "next_price": Decimal("0.6"),
    }
    return encode_terms(Terms(**(fields | changes)))  # type: ignore[arg-type]  # Terms checks


def ended(
    call_id: str,
    terms: bytes,
    talk_ms: int,
    *,
    reservation_id: str = "",
    buy_terms: bytes = b"null",
    end_reason: str = "normal",
) -> CallEnded:
    """A call of ``talk_ms``, answered by one vendor when that is over zero."""
    attempt = Attempt(
        vendor_trunk_id="vtr_1",
        account_id="acc_vendor",
        target="192.0.2.9:5060;udp",
        started_at=STARTED,
        buy_terms=msgspec.Raw(buy_terms),
    )
    return CallEnded(
        call_id=call_id,
        node="sig-1",
        invited_at=STARTED,
        answered_at=STARTED if talk_ms else None,
        ended_at=STARTED + dt.timedelta(milliseconds=talk_ms),
        talk_ms=talk_ms,
        account_id="acc_customer",
        attempts=(attempt,),
        answered_attempt=0 if talk_ms else None,
        sell_terms=msgspec.Raw(terms),
        reservation_id=reservation_id,
        end_reason=end_reason,
    )


def delivery(seq: int, *calls: CallEnded) -> Delivery:
    """A message with these calls."""
    batch = EndedBatch(node="sig-1", epoch=1, seq=seq, events=list(calls))
    return Delivery(f"sig-1/1/{seq}", encode(batch))


@dataclass
class Published:
    """An outlet that keeps what it was given; the bus itself has tests of its own."""

    batches: list[tuple[RatedBatch, str]] = field(default_factory=list)

    async def publish(self, batch: RatedBatch, message_id: str) -> None:
        self.batches.append((batch, message_id))


class Town:
    """The crier of processes that live in one test.

    Calls for money everybody hears at once, settlements when the test says so.
    """

    def __init__(self) -> None:
        self.upkeeps: list[Upkeep] = []
        self.endings: list[Ending] = []

    async def settled(self, endings: Sequence[Ending]) -> None:
        self.endings += endings

    async def scarce(self, account_id: str) -> None:
        for upkeep in self.upkeeps:
            await upkeep.on_scarce(account_id)


class Process:
    """One rating process without its network."""

    def __init__(
        self, pool: asyncpg.Pool, tasks: asyncio.TaskGroup, town: Town, *, lease_s: float
    ) -> None:
        holder = new_id("run")
        self.leases = PostgresLeases(pool, holder, lease_s=lease_s, timeout_s=10.0)
        self.desk = CreditDesk(self.leases, town, tasks, valid_s=lease_s / 3)
        self.ledger = PostgresLedger(pool, timeout_s=30.0)
        self.published = Published()
        self.settler = Settler(self.ledger, self.published, self.desk, town)
        self.cashier = Cashier(self.ledger)
        self.upkeep = Upkeep(self.leases, self.desk, Rhythm(), lambda _error: None)
        town.upkeeps.append(self.upkeep)
        self.policies = PostgresPolicies(pool, timeout_s=10.0)

    async def authorize(self, call_id: str, terms: bytes) -> Authorized:
        answer: asyncio.Future[Authorized] = asyncio.get_running_loop().create_future()
        self.desk.authorize(call_id, terms, answer.set_result)
        return await answer

    async def extend(
        self, call_id: str, reservation_id: str, terms: bytes, paid_ms: int
    ) -> Extended:
        answer: asyncio.Future[Extended] = asyncio.get_running_loop().create_future()
        self.desk.extend(call_id, reservation_id, terms, paid_ms, answer.set_result)
        return await answer

    async def pay(self, account_id: str, amount: str, **changes: str) -> Decimal:
        fields = {"payment_id": new_id("pay"), "currency": "USD", "kind": "payment"} | changes
        payment = Payment(
            account_id=account_id, amount=Decimal(amount), note="", actor="test", **fields
        )
        return (await self.cashier.pay(payment)).balance


class Bank:
    """The money database, as an auditor sees it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.town = Town()

    def process(self, tasks: asyncio.TaskGroup, *, lease_s: float = 180.0) -> Process:
        """A further rating process."""
        return Process(self.pool, tasks, self.town, lease_s=lease_s)

    async def open_account(
        self, account_id: str, balance: str = "0", *, credit_limit: str = "0", reserve_s: int = 60
    ) -> None:
        """An account, with money on it put there by a transfer."""
        async with self.pool.acquire() as connection:
            await connection.execute("SET ROLE tandem_api")
            await connection.execute(
                "INSERT INTO config.account (id, name, currency, credit_limit, reserve_s) "
                "VALUES ($1, $1, 'USD', $2, $3)",
                account_id,
                Decimal(credit_limit),
                reserve_s,
            )
            await connection.execute(f"SET ROLE {ROLE}")
            await connection.execute(
                "INSERT INTO money.account (account_id, balance) VALUES ($1, $2)",
                account_id,
                Decimal(balance),
            )

    async def ensure_account(
        self, account_id: str, balance: str = "0", *, credit_limit: str = "0"
    ) -> None:
        """The account, opened by whichever test needs it first."""
        known = await self.pool.fetchval("SELECT 1 FROM config.account WHERE id = $1", account_id)
        if not known:
            await self.open_account(account_id, balance, credit_limit=credit_limit)

    async def spent(self, account_id: str) -> Decimal:
        """What calls took from the account, by the ledger."""
        return await self._number(
            "SELECT coalesce(sum(amount), 0) FROM money.transfer"
            " WHERE debit = $1 AND kind = 'call'",
            account_id,
        )

    async def expire_all_leases(self) -> None:
        await self.pool.execute("UPDATE money.lease SET expires_at = now() - interval '1 s'")

    async def set_enabled(self, account_id: str, *, enabled: bool) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute("SET ROLE tandem_api")
            await connection.execute(
                "UPDATE config.account SET enabled = $2 WHERE id = $1", account_id, enabled
            )
            await connection.execute(f"SET ROLE {ROLE}")

    async def expire_leases(self, account_id: str) -> None:
        """What three minutes without a word from their holder do."""
        await self.pool.execute(
            "UPDATE money.lease SET expires_at = now() - interval '1 s' WHERE account_id = $1",
            account_id,
        )

    async def balance(self, account_id: str) -> Decimal:
        return await self._number(
            "SELECT balance FROM money.account WHERE account_id=$1", account_id
        )

    async def leased(self, account_id: str) -> Decimal:
        return await self._number(
            "SELECT leased FROM money.account WHERE account_id=$1", account_id
        )

    async def in_leases(self, account_id: str) -> Decimal:
        return await self._number(
            "SELECT coalesce(sum(amount), 0) FROM money.lease WHERE account_id = $1", account_id
        )

    async def check(self) -> None:
        """The promises that hold at every instant."""
        broken = await self.pool.fetch(
            """
            SELECT m.account_id, m.balance, c.credit_limit, m.leased, l.amount
              FROM money.account m JOIN config.account c ON c.id = m.account_id
              LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM money.lease GROUP BY 1) l
                     USING (account_id)
             WHERE m.leased <> coalesce(l.amount, 0) OR m.leased > m.balance + c.credit_limit
            """
        )
        assert broken == []

    async def _number(self, query: str, account_id: str) -> Decimal:
        value = await self.pool.fetchval(query, account_id)
        assert isinstance(value, Decimal)
        return value


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Bank]:
    """The bank of a database."""
    pool = await open_pool(dsn, role=ROLE, name="test", max_size=10)
    try:
        yield Bank(pool)
    finally:
        await close_pool(pool)
