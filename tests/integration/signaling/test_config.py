"""Trunks as Postgres has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.common.clock import monotonic
from services.common.errors import Unavailable
from services.common.last_known import LastKnownFile
from services.common.postgres import READER, close_pool, open_pool
from services.signaling.adapters.config import TrunkLoader
from services.signaling.adapters.dns import Records
from services.signaling.adapters.names import VendorNames
from services.signaling.core.switch_settings import SwitchSettings
from services.signaling.core.targets import Srv
from services.signaling.core.trunks import Place, TrunkTable
from services.signaling.sip.actions import Manner, Peer

_SEED = """
    INSERT INTO config.account (id, name, currency) VALUES ('acc_1', 'one', 'EUR');
    INSERT INTO config.deck (id, name, currency) VALUES ('dck_1', 'deck', 'EUR');
    INSERT INTO config.customer_trunk (id, name, account_id, deck_id, max_calls, max_cps, enabled)
    VALUES ('ctr_1', 'one', 'acc_1', 'dck_1', 10, 0, true),
           ('ctr_2', 'two', 'acc_1', 'dck_1', NULL, NULL, false);
    INSERT INTO config.customer_trunk_address VALUES
        ('192.0.2.1', 'ctr_1'), ('[2001:db8::1]:5070', 'ctr_2');
    INSERT INTO config.vendor_trunk (id, name, account_id, deck_id, host)
    VALUES ('vtr_1', 'v', 'acc_1', 'dck_1', '198.51.100.1'),
           ('vtr_2', 'w', 'acc_1', 'dck_1', 'LocalHost'),
           ('vtr_3', 'x', 'acc_1', 'dck_1', 'nobody.invalid');
    INSERT INTO config.vendor_trunk (id, name, account_id, deck_id, host, sip)
    VALUES ('vtr_7', 'y', 'acc_1', 'dck_1', 'srv.example', '{"dns": {"lookup": "srv"}}'),
           ('vtr_8', 'z', 'acc_1', 'dck_1', '192.0.2.44', '{"dns": {"lookup": "srv"}}');
    UPDATE config.customer_trunk SET sip = '{"routing": {"server": "sip:Router.example"}}'
     WHERE id = 'ctr_1';
    UPDATE config.customer_trunk SET sip = '{"routing": {"server": "http://192.0.2.9/"}}'
     WHERE id = 'ctr_2';
"""


class FixedLookups:
    """Knows localhost and one service."""

    async def query(self, name: str, kind: str) -> Records:
        known: dict[str, Records] = {
            "localhost A": Records(("127.0.0.1",), 60.0),
            "_sip._udp.srv.example SRV": Records((Srv(1, 1, 5070, "192.0.2.45"),), 60.0),
        }
        return known.get(f"{name} {kind}", Records((), 60.0))


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    opened = await asyncpg.connect(database)
    await opened.execute("TRUNCATE config.account, config.deck, config.setting CASCADE")
    await opened.execute(_SEED)
    yield opened
    await opened.close()


async def test_trunks_and_settings_are_loaded(
    database: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    tables: list[TrunkTable] = []
    names = VendorNames(FixedLookups, monotonic=monotonic)
    pool = await open_pool(database, role=READER, name="test", max_size=1)
    settings: list[SwitchSettings] = []
    loader = TrunkLoader(pool, names, tables.append, settings.append)
    await loader.load(1)
    one = tables[0].identify("192.0.2.1", 5060)
    assert one is not None
    assert (one.id, one.account_id, one.enabled) == ("ctr_1", "acc_1", True)
    assert (one.max_calls, one.max_cps) == (10, 0)
    two = tables[0].identify("2001:db8::1", 5070)
    assert two is not None
    assert (two.enabled, two.max_calls, two.max_cps) == (False, None, None)
    assert not tables[0].reply_to_unknown
    assert tables[0].knows("198.51.100.1")
    assert tables[0].asks_http
    assert [place.name for place in tables[0].places] == ["v", "w", "x", "y", "z"]
    # Names are looked up behind its back; what is found becomes a table of its own.
    names.on_change = loader.publish
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(names.run())
        await names.settled(10.0)
        running.cancel()
    assert tables[-1].knows("127.0.0.1")
    assert names.addresses == {"localhost": ("127.0.0.1",)}
    # A routing server named without port is one for SRV, too.
    assert {service.host: len(found) for service, found in names.services.items()} == {
        "srv.example": 1,
        "router.example": 0,
    }
    await connection.execute(
        "INSERT INTO config.setting (name, value) VALUES ('reply_to_unknown', $1::jsonb)",
        json.dumps(True),
    )
    await connection.execute(
        "INSERT INTO config.setting (name, value) VALUES ('authentication_max_retry', '3'),"
        " ('record_zero_hold_time', 'false')"
    )
    await loader.load(2)
    assert tables[-1].reply_to_unknown
    assert settings == [
        SwitchSettings(),
        SwitchSettings(
            authentication_max_retry=3, record_zero_hold_time=False, reply_to_unknown=True
        ),
    ]
    await close_pool(pool)


async def test_who_is_told_apart_and_who_has_a_password(
    database: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    await connection.execute("""
        UPDATE config.customer_trunk SET tech_prefix = '11', from_user = '100' WHERE id = 'ctr_2';
        INSERT INTO config.customer_trunk_address VALUES
            ('192.0.2.1', 'ctr_2'), ('198.51.100.0/24', 'ctr_1');
        INSERT INTO config.customer_trunk_credential VALUES
            ('alice', 'ctr_1', 'voip', '{"MD5": "abc"}');
        INSERT INTO config.setting (name, value) VALUES
            ('sip_realm', '"voip"'), ('sip_digest_algorithms', '"SHA-256,MD5"');
        INSERT INTO config.vendor_trunk (id, name, account_id, deck_id, host, port, sip) VALUES
            ('vtr_4', 'r', 'acc_1', 'dck_1', 'registered:Alice', 5060, '{}'),
            ('vtr_5', 'own', 'acc_1', 'dck_1', '198.51.100.5', 5070,
             '{"auth": {"username": "u"}, "register": {"enabled": true}}'),
            ('vtr_6', 'other', 'acc_1', 'dck_1', '198.51.100.6', 5070,
             '{"auth": {"username": "u"},
               "register": {"enabled": true, "registrar": "localhost:5999"}}');
    """)
    tables: list[TrunkTable] = []
    names = VendorNames(FixedLookups, monotonic=monotonic)
    pool = await open_pool(database, role=READER, name="test", max_size=1)
    await TrunkLoader(pool, names, tables.append).load(1)
    await close_pool(pool)
    (table,) = tables
    shared = table.identify("192.0.2.1", 5060)
    assert shared is not None
    assert shared.id == "ctr_1"
    assert table.lives_at("ctr_2", "192.0.2.1", 5060)
    assert table.identify("198.51.100.77", 5060) is shared
    rules = table.digest
    assert (rules.realm, rules.algorithms) == ("voip", ("SHA-256", "MD5"))
    assert len(rules.nonce_key) == 32
    assert (rules.users["alice"].trunk, rules.users["alice"].ha1) == (shared, {"MD5": "abc"})
    assert table.accounts == {
        "vtr_5": Place("198.51.100.5", 5070, "udp"), "vtr_6": Place("localhost", 5999, "udp"),
    }  # fmt: skip
    # Whoever is registered has no address to be looked up; a registrar has.
    assert [place.id for place in table.places] == [
        "vtr_1", "vtr_2", "vtr_3", "vtr_5", "vtr_6", "vtr_7", "vtr_8",
    ]  # fmt: skip
    assert names._hosts == {"localhost", "nobody.invalid", "srv.example", "router.example"}


async def test_how_peers_are_reached_and_kept_alive(
    database: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    await connection.execute("""
        UPDATE config.customer_trunk SET sip = '{"nat": {"reply_to": "source"}}'
         WHERE id = 'ctr_1';
        UPDATE config.vendor_trunk SET sip = '{"nat": {"reply_to": "via"}}' WHERE id = 'vtr_1';
        UPDATE config.vendor_trunk
           SET transport = 'tls', port = 5061, sip = '{"keepalive": {"crlf_s": 30}}'
         WHERE id IN ('vtr_2', 'vtr_3');
    """)
    tables: list[TrunkTable] = []
    names = VendorNames(FixedLookups, monotonic=monotonic)
    pool = await open_pool(database, role=READER, name="test", max_size=1)
    loader = TrunkLoader(pool, names, tables.append)
    await loader.load(1)
    names.on_change = loader.publish
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(names.run())
        await names.settled(10.0)
        running.cancel()
    await close_pool(pool)
    table = tables[-1]
    assert table.reply_to is not None
    sources = ("192.0.2.1", "198.51.100.1", "203.0.113.9")
    rules = [table.reply_to(Peer("udp", source, 5060)) for source in sources]
    assert rules == ["source", "via", "auto"]
    # The one whose name nobody knows has nowhere to be kept alive at.
    kept = Peer("tls", "127.0.0.1", 5061, manner=Manner("localhost"))
    assert table.kept_alive == ((kept, 30),)


async def test_postgres_away_leaves_the_table_as_it_was(
    database: str, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    tables: list[TrunkTable] = []
    pool = await open_pool(database, role=READER, name="test", max_size=1)
    loader = TrunkLoader(pool, VendorNames(FixedLookups, monotonic=monotonic), tables.append)
    await loader.load(1)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'"
    )
    await close_pool(pool)
    with pytest.raises(Unavailable):
        await loader.load(2)
    assert len(tables) == 1


async def test_what_was_read_is_kept_and_taken_without_postgres(
    database: str, connection: asyncpg.Connection[asyncpg.Record], tmp_path: Path
) -> None:
    """Trunks, options, passwords, settings and the key of the nonces: the same table."""
    await connection.execute("""
        INSERT INTO config.customer_trunk_credential VALUES
            ('alice', 'ctr_1', 'voip', '{"MD5": "abc"}');
        INSERT INTO config.setting (name, value) VALUES
            ('sip_realm', '"voip"'), ('reply_to_unknown', 'true');
        INSERT INTO config.vendor_trunk (id, name, account_id, deck_id, host, port, sip) VALUES
            ('vtr_4', 'own', 'acc_1', 'dck_1', '198.51.100.5', 5070,
             '{"auth": {"username": "u", "password": "secret"}, "register": {"enabled": true}}');
    """)
    names = VendorNames(FixedLookups, monotonic=monotonic)
    tables: list[TrunkTable] = []
    settings: list[SwitchSettings] = []
    pool = await open_pool(database, role=READER, name="test", max_size=1)
    loader = TrunkLoader(pool, names, tables.append, settings.append)
    await loader.load(1)
    path = tmp_path / "configuration"
    await LastKnownFile(path, "signaling", loader).keep(1)
    await close_pool(pool)
    next_one = TrunkLoader(pool, names, tables.append, settings.append)
    found = await LastKnownFile(path, "signaling", next_one).find()
    assert found is not None
    assert len(tables) == 1  # not before it is taken
    found.take()
    read, kept = tables
    assert settings[0] == settings[1] != SwitchSettings()
    assert kept.digest == read.digest
    assert len(kept.digest.nonce_key) == 32
    for name in ("places", "accounts", "hosts", "reply_to_unknown"):
        assert getattr(kept, name) == getattr(read, name), name
    assert kept.identify("192.0.2.1", 5060) == read.identify("192.0.2.1", 5060)
    # A process that was lucky with its disk keeps on keeping.
    await LastKnownFile(path, "signaling", next_one).keep(1)
