import datetime as dt
from decimal import Decimal

import pytest

from services.api.core.problems import Rejected
from services.api.core.rate_sheet import (
    ALIASES,
    Mode,
    RateSheet,
    RowError,
    SheetRate,
    read_header,
)


def read(titles: str, values: str, mode: Mode = Mode.PARTIAL) -> SheetRate | RowError:
    header = read_header(titles.split(","), mode)
    return RateSheet(header, mode=mode).read(2, values.split(","))


@pytest.mark.parametrize("title", ["Code", "PREFIX", "Dial code", "dial_code", " Prefix "])
def test_prefix_has_many_names(title: str) -> None:
    assert read(f"{title},Rate", "44,1") == SheetRate(2, "44", first_price=Decimal(1),
                                                      next_price=Decimal(1))  # fmt: skip


def test_no_two_columns_share_an_alias() -> None:
    names = [alias for aliases in ALIASES.values() for alias in aliases]
    assert len(names) == len(set(names))


def test_every_column() -> None:
    rate = read(
        "Code,Destination,First rate,Next rate,Connect fee,Min,Increment,Minimum charge,Free time,"
        "Grace period,Effective date,End date,Status",
        "44,UK,0.02,0.01,0.1,30,6,0.2,3,4,2030-01-01,2031-01-01,open",
    )
    assert rate == SheetRate(
        2, "44", "UK", Decimal("0.1"), Decimal("0.02"), Decimal("0.01"), 30, 6, Decimal("0.2"), 3,
        4,
        False, dt.datetime(2030, 1, 1, tzinfo=dt.UTC), dt.datetime(2031, 1, 1, tzinfo=dt.UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("titles", "cells"),
    [("Min/Increment", "30/6"), ("Increment", "30/6"), ("Min,Increment", "30,6"),
     ("Increments", "30+6")],
)  # fmt: skip
def test_intervals_as_sheets_write_them(titles: str, cells: str) -> None:
    rate = read(f"Code,Rate,{titles}", f"44,1,{cells}")
    assert isinstance(rate, SheetRate)
    assert (rate.first_s, rate.next_s) == (30, 6)


def test_blocked_code_needs_no_price() -> None:
    rate = read("Code,Rate,Status", "44,,blocked")
    assert isinstance(rate, SheetRate)
    assert rate.blocked
    assert read("Code,Rate,Status", "44,,open") == RowError(2, "Rate", "no price")


def test_errors_name_the_column_as_the_sheet_does() -> None:
    error = read("Dial Code,Price per minute", "44,free")
    assert error == RowError(2, "Price per minute", "'free' is not a decimal number")
    assert read("Code,Rate", "44,1,2") == RowError(2, "", "has more cells than the header")
    assert isinstance(read("Code,Rate,Comment", "44,1"), SheetRate)
    late = read("Code,Rate,Start,End", "44,1,2031-01-01,2030-01-01")
    assert late == RowError(2, "valid_till", "ends before it begins")


def test_delete_looks_at_codes_only() -> None:
    assert read("Code,Rate", "44,rubbish", Mode.DELETE) == SheetRate(2, "44")


def test_unknown_columns_are_told() -> None:
    assert read_header(["Code", "Rate", "Remarks", ""], Mode.FULL).ignored == ["Remarks"]


@pytest.mark.parametrize(
    ("titles", "count"),
    [("Rate", 1), ("Code", 1), ("Code,Prefix,Rate", 1), ("x", 2), ("Code,First rate", 1)],
)
def test_header_that_cannot_be_used(titles: str, count: int) -> None:
    with pytest.raises(Rejected) as rejected:
        read_header(titles.split(","), Mode.FULL)
    assert len(rejected.value.problems) == count
