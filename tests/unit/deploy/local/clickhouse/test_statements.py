import pytest

from deploy.local.clickhouse.errors import EngineRefused
from deploy.local.clickhouse.statements import (
    Insert,
    describing,
    insert_of,
    is_select,
    quoted,
    quoted_name,
    refusal,
    setting,
    without_format,
)


@pytest.mark.parametrize(
    "query, insert",
    [
        ("INSERT INTO cdr VALUES", Insert("cdr", "", "")),
        ("insert into table cdr (a, b) values", Insert("cdr", "(a, b)", "")),
        ("  -- why\n/* and */ INSERT INTO `o d`.cdr FORMAT Native;", Insert("`o d`.cdr", "", "")),
        (
            "INSERT INTO t (a) SETTINGS insert_deduplication_token = 'x' VALUES",
            Insert("t", "(a)", "SETTINGS insert_deduplication_token = 'x'"),
        ),
        ("INSERT INTO t (* EXCEPT(a)) VALUES", Insert("t", "(* EXCEPT(a))", "")),
        ("INSERT INTO t VALUES (1)", None),
        ("INSERT INTO t SELECT 1", None),
        ("SELECT 'INSERT INTO t VALUES'", None),
        ("", None),
        ("/* INSERT INTO t VALUES", None),
    ],
)
def test_inserts_whose_rows_follow(query: str, insert: Insert | None) -> None:
    assert insert_of(query) == insert


def test_an_insert_asks_for_its_columns() -> None:
    assert Insert("t", "(a, b)", "").sample == "SELECT a, b FROM t"
    assert Insert("t", "", "").sample == "SELECT * FROM t"


def test_staged_rows_are_inserted_by_name() -> None:
    insert = Insert("t", "(* EXCEPT(c))", "SETTINGS x = 1")
    columns = [("a", "UInt8"), ("b", "Enum8('x' = 1)")]
    assert insert.statement("/dev/null", columns) == (
        "INSERT INTO t (`a`, `b`) SETTINGS x = 1 SELECT `a`, `b` FROM "
        r"file('/dev/null', 'Native', '`a` UInt8, `b` Enum8(\'x\' = 1)')"
    )


@pytest.mark.parametrize(
    "query, expected",
    [
        ("SELECT 1", True),
        ("((select 1))", True),
        ("-- c\nWITH 1 AS x SELECT x", True),
        ("selection", False),
        ("SHOW TABLES", False),
        ("", False),
    ],
)
def test_what_only_reads(query: str, expected: bool) -> None:
    assert is_select(query) is expected


def test_a_trailing_format_is_dropped() -> None:
    assert without_format("SELECT 1 FORMAT CSV ; ") == "SELECT 1"
    assert without_format("SELECT ' FORMAT CSV'") == "SELECT ' FORMAT CSV'"


def test_describing_survives_a_trailing_comment() -> None:
    assert "-- one\n) SETTINGS" in describing("SELECT 1 -- one")


@pytest.mark.parametrize("name", ["", "a b", "a=1,b", "ñ", "1a", "a" * 200])
def test_no_setting_has_such_a_name(name: str) -> None:
    with pytest.raises(EngineRefused) as refused:
        setting(name, "1")
    assert refused.value.code == 115


def test_values_cannot_leave_their_quotes() -> None:
    assert setting("max_threads", "1'; DROP TABLE cdr --") == (
        r"SET max_threads = '1\'; DROP TABLE cdr --'"
    )
    assert quoted("\\'") == r"'\\\''"
    assert quoted_name("a`b") == r"`a\`b`"


def test_an_error_keeps_its_code() -> None:
    error = refusal("Streaming query failed: Code: 60. DB::Exception: Unknown table. (X)")
    assert (error.code, error.message) == (60, "DB::Exception: Unknown table. (X)")
    assert refusal("no idea").code == 1002
