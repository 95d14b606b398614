import datetime as dt
from decimal import Decimal

import pytest

from services.api.core.export import csv_cell


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        (Decimal("0.0100"), "0.01"),
        (dt.datetime(2030, 1, 1, tzinfo=dt.UTC), "2030-01-01T00:00:00Z"),
        (-5, "-5"),
        ("+4420", "+4420"),
        ("-1.5", "-1.5"),
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+44=cmd", "'+44=cmd"),
        ("-", "'-"),
        ("\tx", "'\tx"),
    ],
)
def test_no_cell_is_a_formula(value: object, text: str) -> None:
    assert csv_cell(value) == text
