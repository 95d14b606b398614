"""Configuration in Postgres. Implements :class:`services.routing.ports.Configuration`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from services.common.logs import get_logger
from services.common.money import RoundingMode
from services.common.postgres import Connection, Pool, translated
from services.common.pricing.prefix_table import PrefixTable
from services.routing.adapters.rate_copy import COPY_RATES, DeckReader
from services.routing.core.rates import Account, Deck, PricedDeck
from services.routing.core.snapshot import DEFAULT_MAX_CALL_S, Snapshot
from services.routing.core.trunks import CustomerTrunk, VendorTrunk

log = get_logger(__name__)

_BITE = 16_384
"""Bytes of rates digested at once: some 400 rows, a millisecond."""

_REVISION = "SELECT n FROM config.revision"
_MAX_CALL_S = "SELECT value::text FROM config.setting WHERE name = 'max_call_s'"
_LONGEST_CAP_S = 31_536_000
"""A year: the most that can be configured."""
_ACCOUNTS = """
    SELECT id, name, currency, enabled, digits, rounding AS mode, precision_ms FROM config.account
"""
_DECKS = """
    SELECT id, name, currency, version
      FROM config.deck
     WHERE id IN (SELECT deck_id FROM config.customer_trunk
                  UNION SELECT deck_id FROM config.vendor_trunk)
"""
_CUSTOMERS = """
    SELECT id, name, account_id, deck_id, enabled, max_call_s, max_attempts, media_proxy,
           ARRAY(SELECT address FROM config.customer_trunk_address
                  WHERE customer_trunk_id = trunk.id) AS addresses,
           ARRAY(SELECT vendor_trunk_id FROM config.customer_trunk_vendor
                  WHERE customer_trunk_id = trunk.id) AS vendors
      FROM config.customer_trunk AS trunk
"""
_VENDORS = """
    SELECT id, name, account_id, deck_id, host, port, transport, enabled, priority, weight,
           max_calls, max_cps, media_proxy, callee_strip AS strip, callee_prepend AS prepend,
           trying_timeout_ms, ringing_timeout_ms, stop_codes
      FROM config.vendor_trunk
"""


STATEMENTS = (_REVISION, _MAX_CALL_S, _ACCOUNTS, _DECKS, _CUSTOMERS, _VENDORS)
"""What fills the fields of :class:`Rows`, in order."""

Row: TypeAlias = Mapping[str, Any]
"""Values by column, of the types that the driver gives them."""


class Rows(msgspec.Struct, frozen=True):
    """What is read at once; decks follow, as far as they changed."""

    revision: int
    max_call_s: str | None
    """The setting as JSON text, whatever it is."""
    accounts: list[Row]
    decks: list[Row]
    customers: list[Row]
    vendors: list[Row]


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that a snapshot is made of."""

    rows: Rows
    tables: dict[str, PrefixTable]
    """By deck."""


class PostgresConfiguration:
    """Reads one consistent revision, by the role that may read and nothing else.

    Args:
        pool: of role ``tandem_reader``.
        timeout_s: for everything but the rates, the wait for a connection included.
        deck_timeout_s: for the rates of one deck.
    """

    def __init__(
        self, pool: Pool, *, timeout_s: float = 10.0, deck_timeout_s: float = 300.0
    ) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._deck_timeout_s = deck_timeout_s
        self._refused_cap: str | None = None
        self.loaded = Loaded(Rows(0, None, [], [], [], []), {})
        """What was read last."""

    async def load(self, previous: Snapshot | None) -> Snapshot:
        """See :meth:`services.routing.ports.Configuration.load`."""
        with translated("config database"):
            async with asyncio.timeout(self._timeout_s) as limit:
                async with (
                    self._pool.acquire() as connection,
                    # One view of all tables, however long the decks take.
                    connection.transaction(isolation="repeatable_read", readonly=True),
                ):
                    rows = await _read(connection)
                    limit.reschedule(None)  # each deck has a limit of its own
                    tables = await self._tables(connection, rows.decks, previous)
        loaded = Loaded(rows, tables)
        snapshot = self.assemble(loaded, previous)
        self.loaded = loaded
        return snapshot

    def assemble(self, loaded: Loaded, previous: Snapshot | None) -> Snapshot:
        """The snapshot; what it has in common with ``previous`` is taken from there."""
        max_call_s = self._cap(loaded.rows.max_call_s)
        return _assembled(loaded, previous, max_call_s=max_call_s)

    def _cap(self, stored: str | None) -> int:
        """The cap of the whole switch: a row that makes no sense costs itself, not the calls."""
        cap = None if stored is None else _seconds(stored)
        refused = stored if cap is None else None
        if refused is not None and refused != self._refused_cap:
            # Once, not again with every change of anything.
            log.warning(
                "setting.refused", name="max_call_s", value=refused[:100], used=DEFAULT_MAX_CALL_S
            )
        self._refused_cap = refused
        return DEFAULT_MAX_CALL_S if cap is None else cap

    async def _tables(
        self, connection: Connection, rows: list[Row], previous: Snapshot | None
    ) -> dict[str, PrefixTable]:
        known = (
            {rates.deck.id: rates.deck for rates in previous.priced_decks().values()}
            if previous
            else {}
        )
        tables: dict[str, PrefixTable] = {}
        for row in rows:
            deck = known.get(row["id"])
            if deck is not None and deck.version == row["version"]:
                tables[row["id"]] = deck.table
            else:
                tables[row["id"]] = await self._table(connection, row["id"])
        return tables

    async def _table(self, connection: Connection, deck_id: str) -> PrefixTable:
        reader = DeckReader()

        async def take(piece: bytes) -> None:
            for start in range(0, len(piece), _BITE):
                reader.feed(piece[start : start + _BITE])
                await asyncio.sleep(0)  # calls go first

        async with asyncio.timeout(self._deck_timeout_s):
            try:
                await connection.copy_from_query(
                    COPY_RATES, deck_id, output=take, timeout=self._deck_timeout_s
                )
            except BaseException:
                # What is left of the copy would have to be read before anything else, and
                # asyncpg has stopped reading.
                connection.terminate()
                raise
        table = reader.table()
        log.info("deck.loaded", deck=deck_id, rows=len(table), size_bytes=table.size_bytes)
        return table


async def _read(connection: Connection) -> Rows:
    return Rows(
        await connection.fetchval(_REVISION),
        await connection.fetchval(_MAX_CALL_S),
        await _fetch(connection, _ACCOUNTS),
        await _fetch(connection, _DECKS),
        await _fetch(connection, _CUSTOMERS),
        await _fetch(connection, _VENDORS),
    )


async def _fetch(connection: Connection, sql: str) -> list[Row]:
    return [dict(row) for row in await connection.fetch(sql)]


def _seconds(stored: str) -> int | None:
    """A setting in seconds; ``None`` when the row holds nothing of the kind."""
    try:
        seconds = int(stored)
    except ValueError:
        return None
    return seconds if 1 <= seconds <= _LONGEST_CAP_S else None


def _assembled(loaded: Loaded, previous: Snapshot | None, *, max_call_s: int) -> Snapshot:
    rows = loaded.rows
    accounts = {row["id"]: _account(row) for row in rows.accounts}
    decks = {row["id"]: Deck(**row, table=loaded.tables[row["id"]]) for row in rows.decks}
    known = previous.priced_decks() if previous else {}

    def priced(row: Row) -> PricedDeck:
        key = (row["deck_id"], row["account_id"])
        deck, account = decks[key[0]], accounts[key[1]]
        rates = known.get(key)
        if rates is None or rates.deck != deck or rates.account != account:
            rates = known[key] = PricedDeck(deck, account)
        return rates

    return Snapshot(
        revision=rows.revision,
        customers=[_customer(row, priced(row)) for row in rows.customers],
        vendors=[_vendor(row, priced(row)) for row in rows.vendors],
        max_call_s=max_call_s,
    )


def _account(row: Row) -> Account:
    return Account(**{**row, "mode": RoundingMode(row["mode"])})


def _customer(row: Row, rates: PricedDeck) -> CustomerTrunk:
    return CustomerTrunk(
        id=row["id"],
        name=row["name"],
        rates=rates,
        enabled=row["enabled"],
        max_call_s=row["max_call_s"],
        max_attempts=row["max_attempts"],
        media_proxy=row["media_proxy"],
        addresses=frozenset(row["addresses"]),
        vendors=frozenset(row["vendors"]),
    )


def _vendor(row: Row, rates: PricedDeck) -> VendorTrunk:
    columns = {name: value for name, value in row.items() if not name.endswith("_id")}
    return VendorTrunk(**{**columns, "stop_codes": tuple(row["stop_codes"])}, rates=rates)
