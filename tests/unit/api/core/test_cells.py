import datetime as dt
from decimal import Decimal

import pytest

from services.api.core import cells
from services.api.core.cells import DateOrder


@pytest.mark.parametrize(
    ("text", "digits"),
    [("44", "44"), ("+44 20", "4420"), ("1-212", "1212"), ("*", ""), ("default", "")],
)
def test_prefix(text: str, digits: str) -> None:
    assert cells.prefix(text) == digits


@pytest.mark.parametrize("text", ["", "+", "44,45", "4.42E+11", "1" * 19, "x", "\u0664\u0664"])
def test_no_prefix(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cells.prefix(text)


@pytest.mark.parametrize(
    ("text", "value"), [("0.0125", "0.0125"), ("0", "0"), (".5", "0.5"), ("1e-3", "0.001")]
)
def test_price(text: str, value: str) -> None:
    assert cells.price(text) == Decimal(value)


def test_decimal_comma_only_where_told() -> None:
    assert cells.price("0,5", decimal_comma=True) == Decimal("0.5")
    with pytest.raises(ValueError, match="not a decimal"):
        cells.price("0,5")


@pytest.mark.parametrize(
    "text", ["", "-1", "NaN", "inf", "1e9", "0.00000000001", "$1", "1 000", "0,5,5"]
)
def test_no_price(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cells.price(text)


@pytest.mark.parametrize(
    ("text", "pair"),
    [("30/6", (30, 6)), ("60+60", (60, 60)), ("1-1", (1, 1)), ("0/30/6", (30, 6))],
)
def test_intervals(text: str, pair: tuple[int, int]) -> None:
    assert cells.intervals(text) == pair
    assert cells.intervals_or_seconds(text) == pair


@pytest.mark.parametrize("text", ["0/1", "1/0", "30", "a/b", "1/1/1", "90000/1", ""])
def test_no_intervals(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cells.intervals(text)


def test_one_number_under_increment() -> None:
    assert cells.intervals_or_seconds("6") == 6
    with pytest.raises(ValueError, match="at least 1"):
        cells.intervals_or_seconds("0")


@pytest.mark.parametrize("text", ["-1", "1.5", "86401", "x", "9" * 40])
def test_no_seconds(text: str) -> None:
    with pytest.raises(ValueError, match="seconds"):
        cells.seconds(text)


def test_status() -> None:
    assert cells.blocked("Blocked")
    assert cells.blocked("YES")
    assert not cells.blocked("No change")
    assert not cells.blocked("increase")
    with pytest.raises(ValueError, match="neither"):
        cells.blocked("perhaps")
    with pytest.raises(ValueError, match="sheet of their own"):
        cells.blocked("Deleted")


def test_destination_is_one_line() -> None:
    assert cells.destination(" UK \n Mobile ") == "UK Mobile"
    with pytest.raises(ValueError, match="control"):
        cells.destination("UK\x00")
    with pytest.raises(ValueError, match="200"):
        cells.destination("x" * 201)


@pytest.mark.parametrize(
    ("text", "order", "instant"),
    [
        ("2030-01-31", DateOrder.YMD, "2030-01-31T00:00:00+00:00"),
        ("2030/1/31 6:05", DateOrder.DMY, "2030-01-31T06:05:00+00:00"),
        ("2030-01-31T00:00:00+02:00", DateOrder.YMD, "2030-01-30T22:00:00+00:00"),
        ("31-Jan-2030", DateOrder.YMD, "2030-01-31T00:00:00+00:00"),
        ("31-Jan-30", DateOrder.YMD, "2030-01-31T00:00:00+00:00"),
        ("03/04/2030", DateOrder.DMY, "2030-04-03T00:00:00+00:00"),
        ("03/04/2030", DateOrder.MDY, "2030-03-04T00:00:00+00:00"),
    ],
)
def test_instant(text: str, order: DateOrder, instant: str) -> None:
    assert cells.instant(text, order) == dt.datetime.fromisoformat(instant)


@pytest.mark.parametrize(
    "text",
    ["03/04/2030", "2030-02-30", "31-Foo-2030", "soon", "", "2030-01-01T25:00", "0000-01-01"],
)
def test_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cells.instant(text, DateOrder.YMD)
