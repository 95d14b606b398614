"""The embedded ClickHouse, as the unchanged clickhouse-driver sees it."""

import contextlib
import datetime as dt
import random
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from deploy.local.clickhouse import packets
from deploy.local.clickhouse.unit import ClickHouse
from deploy.local.clickhouse.wire import string, varint
from deploy.local.settings import Addresses

UTC = dt.UTC


@pytest.fixture
def client(clickhouse_dsn: str) -> Iterator[Client]:
    with Client.from_url(clickhouse_dsn) as connected:
        yield connected


@contextlib.contextmanager
def refused(code: int) -> Iterator[None]:
    with pytest.raises(ServerException) as error:
        yield
    assert error.value.code == code


VALUES: dict[str, list[object]] = {
    "UInt32": [0, 2**32 - 1],
    "Int128": [-(2**100), 2**100],
    "Float64": [1.5, -0.25],
    "Bool": [True, False],
    "String": ["", "ž" * 300],
    "FixedString(3)": ["abc", "xyz"],
    "Nullable(String)": [None, "x"],
    "Nullable(Decimal(38, 10))": [None, Decimal("12345678901234567890.0123456789")],
    "Decimal(18, 6)": [Decimal("0.000001"), Decimal("-1.500000")],
    "UUID": [uuid.UUID(int=1), uuid.UUID(int=2**127)],
    "Date": [dt.date(2026, 1, 2), dt.date(1970, 1, 1)],
    "DateTime('UTC')": [dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)],
    "DateTime64(3, 'UTC')": [dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)],
    "Enum8('a' = 1, 'b,(' = 2)": ["a", "b,("],
    "IPv4": [IPv4Address("192.0.2.1")],
    "LowCardinality(String)": ["x", "y", "x"],
    "LowCardinality(Nullable(String))": ["x", None, "x"],
    "Array(Array(String))": [[["a"], []], []],
    "Array(Nullable(Int8))": [[1, None], []],
    "Array(LowCardinality(String))": [["p", "q", "p"], []],
    "Map(String, String)": [{"a": "1"}, {"b": "2", "c": "3"}],
    "Map(String, Array(Decimal(18, 4)))": [{"k": [Decimal("1.5000")]}],
    "Tuple(a UInt8, b String)": [(1, "x"), (2, "y")],
}


@pytest.mark.parametrize("type_name", VALUES)
def test_values_come_back_as_they_went(client: Client, type_name: str) -> None:
    rows = list(enumerate(VALUES[type_name]))
    client.execute("DROP TABLE IF EXISTS kept")
    client.execute(f"CREATE TABLE kept (n UInt8, v {type_name}) ENGINE = MergeTree ORDER BY n")
    assert client.execute("INSERT INTO kept (n, v) VALUES", rows) == len(rows)
    assert client.execute("SELECT n, v FROM kept ORDER BY n") == rows
    (_, (_, shown)) = client.execute("SELECT n, v FROM kept", with_column_types=True)[1]
    assert shown == type_name


def test_many_rows_in_several_blocks(client: Client) -> None:
    client.execute("CREATE TABLE many (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
    rows = [(n, "x" * (n % 200)) for n in range(50_000)]
    settings = {"insert_block_size": 7_000}
    assert client.execute("INSERT INTO many VALUES", rows, settings=settings) == len(rows)
    assert client.execute("SELECT * FROM many ORDER BY n") == rows


def test_omitted_columns_take_their_defaults(client: Client) -> None:
    client.execute(
        "CREATE TABLE defaults (a UInt8, b UInt8 DEFAULT 7, c UInt8 MATERIALIZED a + 1)"
        " ENGINE = MergeTree ORDER BY a"
    )
    client.execute("INSERT INTO defaults (a) VALUES", [(1,)])
    assert client.execute("SELECT a, b, c FROM defaults") == [(1, 7, 2)]
    client.execute("INSERT INTO defaults VALUES", [(2, 3)])
    assert client.execute("SELECT b FROM defaults WHERE a = 2") == [(3,)]


def test_parameters_are_quoted_by_the_driver(client: Client) -> None:
    hostile = "x' OR 1=1 --\\"
    assert client.execute("SELECT %(text)s", {"text": hostile}) == [(hostile,)]


def test_an_empty_result_still_has_columns(client: Client) -> None:
    rows, columns = client.execute(
        "SELECT 1 AS a, toDateTime(0, 'UTC') AS at WHERE 0", with_column_types=True
    )
    assert rows == []
    assert columns == [("a", "UInt8"), ("at", "DateTime('UTC')")]


def test_statements_that_return_rows_without_being_selects(client: Client) -> None:
    client.execute("CREATE TABLE shown (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert ("shown",) in client.execute("SHOW TABLES")
    assert client.execute("EXISTS TABLE shown") == [(1,)]
    assert client.execute("DESCRIBE shown")[0][:2] == ("a", "UInt8")
    assert client.execute("SELECT 1 FORMAT CSV") == [(1,)]


def test_errors_carry_their_codes_and_leave_the_connection_usable(client: Client) -> None:
    with refused(60):
        client.execute("SELECT * FROM nowhere")
    with refused(62):
        client.execute("SELEC 1")
    with refused(395):  # raised in the middle of a result
        client.execute("SELECT throwIf(number = 150000) FROM numbers(200000)")
    with refused(60):
        client.execute("INSERT INTO nowhere VALUES", [(1,)])
    client.execute("CREATE TABLE strict (a UInt8) ENGINE = MergeTree ORDER BY a")
    with refused(47):
        client.execute("INSERT INTO strict (b) VALUES", [(1,)])
    assert client.execute("SELECT 1") == [(1,)]


def test_an_insert_that_breaks_a_constraint_is_refused_whole(client: Client) -> None:
    client.execute(
        "CREATE TABLE small (a UInt32, CONSTRAINT c CHECK a < 5000) ENGINE = MergeTree ORDER BY a"
    )
    with refused(469):
        rows = [(n,) for n in range(6000)]
        client.execute("INSERT INTO small VALUES", rows, settings={"insert_block_size": 1000})
    assert client.execute("SELECT count() FROM small") == [(0,)]


def test_settings_hold_for_one_statement(client: Client) -> None:
    ask = "SELECT getSetting('max_block_size')"
    before = client.execute(ask)
    assert client.execute(ask, settings={"max_block_size": 1234}) == [(1234,)]
    assert client.execute(ask) == before
    with refused(60):
        client.execute("SELECT * FROM nowhere", settings={"max_block_size": 1234})
    assert client.execute(ask) == before


def test_an_unknown_setting_matters_only_when_it_is_important(clickhouse_dsn: str) -> None:
    with Client.from_url(clickhouse_dsn) as lenient:
        assert lenient.execute("SELECT 1", settings={"no_such_setting": 1}) == [(1,)]
    with Client.from_url(f"{clickhouse_dsn}?settings_is_important=1") as strict, refused(115):
        strict.execute("SELECT 1", settings={"no_such_setting": 1})


def test_a_cancelled_query_stops(client: Client) -> None:
    rows = client.execute_iter("SELECT number FROM numbers(1000000000000)")
    assert next(rows) == (0,)
    client.cancel()
    assert client.execute("SELECT 1") == [(1,)]


def test_connections_work_in_parallel(clickhouse_dsn: str, client: Client) -> None:
    client.execute("CREATE TABLE shared (n UInt32) ENGINE = MergeTree ORDER BY n")

    def work(worker: int) -> None:
        with Client.from_url(clickhouse_dsn) as own:
            for n in range(10):
                own.execute("INSERT INTO shared VALUES", [(worker * 10 + n,)])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.execute("SELECT count(), uniqExact(n) FROM shared") == [(60, 60)]


def test_a_wrong_password_and_an_unknown_database_are_refused(clickhouse_dsn: str) -> None:
    place = urlsplit(clickhouse_dsn)
    wrong = place._replace(netloc=f"tandem:wrong@127.0.0.1:{place.port}").geturl()
    with Client.from_url(wrong) as stranger, refused(516):
        stranger.execute("SELECT 1")
    with Client.from_url(place._replace(path="/nowhere").geturl()) as lost, refused(81):
        lost.execute("SELECT 1")


def connect(dsn: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(dsn).port or 0), timeout=10)


def greeting(dsn: str) -> bytes:
    place = urlsplit(dsn)
    who = (place.path[1:], place.username or "", place.password or "")
    return (
        varint(0) + string("x") + varint(1) * 2 + varint(54468) + b"".join(string(w) for w in who)
    )


def query(text: str, *, compressed: int = 0) -> bytes:
    info = b"\0"  # none
    return (
        varint(1) + string("") + info + string("") + varint(2) + varint(compressed) + string(text)
    )


END = varint(2) + string("") + varint(0) + varint(0) + varint(0)


def drain(peer: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := peer.recv(1 << 16):
            received += piece
    return received


def test_garbage_ends_only_the_connection_it_came_on(clickhouse_dsn: str, client: Client) -> None:
    noise = random.Random(7)
    for start in (b"", greeting(clickhouse_dsn)):
        for _ in range(20):
            with connect(clickhouse_dsn) as peer, contextlib.suppress(OSError):
                peer.sendall(start + noise.randbytes(200))
                peer.shutdown(socket.SHUT_WR)
                drain(peer)
    assert client.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "hostile",
    [
        varint(1) + varint(1 << 60),
        query("SELECT 1", compressed=1),
        query("SELECT 1") + varint(2) + string("") + varint(9),
        query("SELECT 1") + varint(2) + string("") + varint(0) + varint(1 << 50) + varint(1),
        varint(1) + string("") + b"\0" + (string("a") + varint(0) + string("b")) * 600,
    ],
    ids=["long id", "compressed", "block property", "columns", "settings"],
)
def test_what_is_out_of_bounds_is_answered_and_ended(clickhouse_dsn: str, hostile: bytes) -> None:
    with connect(clickhouse_dsn) as peer:
        peer.sendall(greeting(clickhouse_dsn) + hostile)
        answer = drain(peer)
    assert answer.count(b"DB::Exception") == 1 or packets.SERVER_NAME.encode() in answer


def test_a_client_that_goes_away_during_an_insert_leaves_no_rows(
    clickhouse_dsn: str, client: Client
) -> None:
    client.execute("CREATE TABLE broken_off (a UInt32) ENGINE = MergeTree ORDER BY a")
    whole = varint(1) + varint(2) + string("a") + string("UInt32") + struct.pack("<2I", 1, 2)
    with connect(clickhouse_dsn) as peer:
        insert = query("INSERT INTO broken_off VALUES") + END
        data = varint(2) + string("") + varint(0) + whole
        peer.sendall(greeting(clickhouse_dsn) + insert + data + data[:-3])
        peer.shutdown(socket.SHUT_WR)
        drain(peer)  # returns when the server has closed, hence given up
    assert client.execute("SELECT count() FROM broken_off") == [(0,)]


def test_rows_of_another_type_are_converted_or_refused(
    clickhouse_dsn: str, client: Client
) -> None:
    client.execute("CREATE TABLE typed (a UInt32) ENGINE = MergeTree ORDER BY a")
    bad = varint(1) + varint(1) + string("a") + string("String") + string("not a number")
    with connect(clickhouse_dsn) as peer:
        insert = query("INSERT INTO typed VALUES") + END
        peer.sendall(greeting(clickhouse_dsn) + insert + varint(2) + string("") + varint(0) + bad)
        peer.sendall(END)
        peer.shutdown(socket.SHUT_WR)
        assert b"DB::Exception" in drain(peer)
    assert client.execute("SELECT count() FROM typed") == [(0,)]


async def test_is_ready_for_its_own_supervisor_alone(servers: Addresses, tmp_path: Path) -> None:
    place = urlsplit(servers.clickhouse_dsn)
    assert place.port is not None
    ours = ClickHouse(tmp_path, port=place.port, password=place.password or "")
    stranger = ClickHouse(tmp_path, port=place.port, password="guessed")
    nobody = ClickHouse(tmp_path, port=1, password=place.password or "")
    assert [await unit.is_ready() for unit in (ours, stranger, nobody)] == [True, False, False]
    assert ours.dsn == servers.clickhouse_dsn  # so its database is there: the driver uses it
