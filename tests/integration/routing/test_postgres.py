"""Configuration in a real Postgres."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from services.common.errors import Unavailable
from services.common.postgres import READER, Pool, close_pool, open_pool
from services.common.pricing.prefix_table import ALWAYS_US, NEVER_US, Prices, Rate, key_of
from services.common.terms import decode_terms
from services.routing.adapters import postgres
from services.routing.adapters.postgres import PostgresConfiguration
from services.routing.adapters.rate_copy import DeckReader
from services.routing.core.snapshot import DEFAULT_MAX_CALL_S, Snapshot
from services.routing.core.trunks import VendorTrunk
from tests.integration.routing.seeds import SEED, execute
from tests.support.cable import Cable

NOW = 1_800_000_000_000_000


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await execute(database, SEED)
    opened = await open_pool(database, role=READER, name="test")
    yield opened
    await close_pool(opened)


async def load(pool: Pool, previous: Snapshot | None = None) -> Snapshot:
    return await PostgresConfiguration(pool).load(previous)


def only_rate(trunk: VendorTrunk, number: str) -> Rate | None:
    table = trunk.rates.deck.table
    row = table.find(key_of(number), NOW)
    return None if row < 0 else table.rate(row)


async def test_everything_configured_is_in_the_snapshot(pool: Pool) -> None:
    snapshot = await load(pool)
    assert snapshot.revision == await pool.fetchval("SELECT n FROM config.revision")
    assert snapshot.max_call_s == DEFAULT_MAX_CALL_S
    assert snapshot.rates == 2  # the deck that no trunk uses is not read
    customer = snapshot.customers["ctr_a"]
    assert (customer.name, customer.enabled, customer.max_call_s) == ("in", True, 90)
    assert (customer.max_attempts, customer.media_proxy) == (3, True)
    assert customer.addresses == {"192.0.2.1:5060"}
    assert customer.vendors == {"vtr_a", "vtr_b"}
    first, spare = snapshot.vendors
    assert first == VendorTrunk(
        id="vtr_a",
        name="out",
        rates=first.rates,
        host="198.51.100.1",
        port=5070,
        transport="tcp",
        priority=5,
        weight=7,
        max_calls=30,
        max_cps=10,
        media_proxy=False,
        strip=2,
        prepend="0",
        trying_timeout_ms=900,
        ringing_timeout_ms=9000,
        stop_codes=(404, 486),
    )
    assert (spare.max_calls, spare.max_cps, spare.stop_codes) == (None, None, ())
    assert spare.rates is first.rates  # one deck, one account: priced once
    offer = customer.rates.find("4930", key_of("4930"), NOW)
    assert offer is not None
    terms = decode_terms(customer.rates.terms(offer))
    assert (terms.account_id, terms.digits, terms.mode, terms.precision_ms) == (
        "acc_c",
        4,
        "up",
        500,
    )


async def test_switch_wide_cap_is_a_setting(pool: Pool, database: str) -> None:
    await execute(database, "INSERT INTO config.setting VALUES ('max_call_s', '600')")
    assert (await load(pool)).max_call_s == 600


class Lines:
    """A log that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, object]] = []

    def info(self, event: str, **facts: object) -> None:
        """Nothing to keep."""

    def warning(self, event: str, **facts: object) -> None:
        self.warnings.append((event, facts["value"]))


async def test_a_cap_that_makes_no_sense_is_told_of_once_and_costs_no_call(
    pool: Pool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    monkeypatch.setattr(postgres, "log", lines)
    configuration = PostgresConfiguration(pool)
    await execute(database, "INSERT INTO config.setting VALUES ('max_call_s', 'null')")
    bad = ('"abc"', "0", "-5", "600.5", "true", "[600]", "9" * 5000)
    for value in bad:
        await execute(database, f"UPDATE config.setting SET value = '{value}'")
        for _ in range(3):
            assert (await configuration.load(None)).max_call_s == DEFAULT_MAX_CALL_S
    assert lines.warnings == [("setting.refused", value[:100]) for value in bad]
    await execute(database, "UPDATE config.setting SET value = '600'")
    assert (await configuration.load(None)).max_call_s == 600


async def test_rows_of_every_shape_are_read_exactly(pool: Pool, database: str) -> None:
    await execute(
        database,
        """
        DELETE FROM config.rate WHERE deck_id = 'dck_buy';
        INSERT INTO config.rate (deck_id, prefix, connect_fee, first_price, next_price, minimum,
          first_s, next_s, free_s, grace_s, blocked, valid_from, valid_till) VALUES
          ('dck_buy', '', 0, 0, 0, 0, 1, 1, 0, 0, false, '-infinity', 'infinity'),
          ('dck_buy', '999999999999999999', 99999999.9999999999, 0.0000000001, 0.5, 12345678.9,
           86400, 60, 7, 8, true, '2026-01-01 00:00:00.000001+00', '2030-01-01 00:00:00+00'),
          ('dck_buy', '4', 0, 1, 1, 0, 1, 1, 0, 0, false, '-infinity', '2020-01-01+00'),
          ('dck_buy', '40', 0, 1, 1, 0, 1, 1, 0, 0, false, '1500-01-01+00', '294276-12-31+00');
        UPDATE config.deck SET version = version + 1
        """,
    )
    trunk = (await load(pool)).vendors[0]
    default, longest, ended, ancient = (
        only_rate(trunk, number) for number in ("1", "9" * 20, "41", "40")
    )
    assert default is not None
    assert (default.prefix, *default[2:]) == ("", Prices(0, 0, 0, 0), ALWAYS_US, NEVER_US)
    assert longest is not None
    assert longest.prices == Prices(
        10**18 - 1, 1, 5 * 10**9, 123_456_789 * 10**9, 86_400, 60, 7, 8, blocked=True
    )
    assert longest.valid_from_us == 1_767_225_600_000_001
    assert longest.valid_till_us == 1_893_456_000_000_000
    assert ended is not None
    assert (ended.prefix, ended.valid_till_us) == ("4", 1_577_836_800_000_000)
    assert ancient is not None
    assert ancient.valid_from_us < 0
    assert ancient.valid_till_us == NEVER_US


async def test_only_changed_decks_are_read_again(pool: Pool, database: str) -> None:
    before = await load(pool)
    await execute(
        database,
        """
        UPDATE config.rate SET next_price = 9;
        UPDATE config.deck SET version = version + 1 WHERE id = 'dck_sell';
        UPDATE config.deck SET name = 'renamed' WHERE id = 'dck_buy';
        UPDATE config.revision SET n = n + 1
        """,
    )
    after = await load(pool, before)
    assert after.revision == before.revision + 1
    sold, bought = after.customers["ctr_a"].rates, after.vendors[0].rates
    assert sold.deck.table is not before.customers["ctr_a"].rates.deck.table
    assert bought.deck.table is before.vendors[0].rates.deck.table  # by its version unchanged
    assert bought.deck.name == "renamed"


async def test_what_stayed_the_same_keeps_its_prepared_offers(pool: Pool, database: str) -> None:
    before = await load(pool)
    await execute(database, "UPDATE config.account SET digits = 2 WHERE id = 'acc_c'")
    after = await load(pool, before)
    assert after.vendors[0].rates is before.vendors[0].rates
    rates = after.customers["ctr_a"].rates
    offer = rates.find("49", key_of("49"), NOW)
    assert offer is not None
    assert decode_terms(rates.terms(offer)).digits == 2


async def test_large_deck_leaves_the_loop_to_others_while_it_loads(
    pool: Pool, database: str
) -> None:
    rows = 40_000
    await execute(
        database,
        f"""
        INSERT INTO config.rate (deck_id, prefix, first_price, next_price)
          SELECT 'dck_buy', (100000 + n)::text, n, n FROM generate_series(1, {rows}) AS n;
        UPDATE config.deck SET version = version + 1
        """,
    )
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        other = tasks.create_task(others())
        snapshot = await load(pool)
        other.cancel()
    assert snapshot.rates == rows + 2
    assert turns > 20  # many turns of the loop, not one per deck
    found = only_rate(snapshot.vendors[0], "10012345")
    assert found is not None
    assert (found.prefix, found.prices.next_price) == ("100123", 123 * 10**10)


async def test_a_load_that_is_told_to_stop_stops(
    database: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it was doing: the driver may lose a cancellation while it hands rates over."""
    await execute(database, SEED)
    feed = DeckReader.feed

    def feed_and_cancel(self: DeckReader, piece: bytes) -> None:
        feed(self, piece)
        loading.cancel()

    monkeypatch.setattr(DeckReader, "feed", feed_and_cancel)
    async with asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(load(pool))
        await asyncio.wait([loading])
        assert loading.cancelled()


async def test_the_role_may_not_write(pool: Pool) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE config.revision SET n = 0")


async def test_lost_server_is_unavailable_and_comes_back(database: str) -> None:
    await execute(database, SEED)
    parts = urlsplit(database)
    assert parts.hostname is not None
    assert parts.port is not None
    cable = Cable(parts.hostname, parts.port)
    await cable.mend()
    netloc = parts.netloc.replace(f":{parts.port}", f":{cable.port}")
    pool = await open_pool(parts._replace(netloc=netloc).geturl(), role=READER, name="test")
    before = await load(pool)
    await cable.cut()
    with pytest.raises(Unavailable):
        await load(pool, before)
    await cable.mend()
    assert (await load(pool, before)).revision == before.revision
    await close_pool(pool)
    await cable.cut()


async def test_exhausted_pool_is_unavailable_within_the_time_given(database: str) -> None:
    narrow = await open_pool(database, role=READER, name="test", max_size=1)
    async with narrow.acquire():
        with pytest.raises(Unavailable):
            await PostgresConfiguration(narrow, timeout_s=0.05).load(None)
    await close_pool(narrow)
