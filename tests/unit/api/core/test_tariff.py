import datetime as dt
from decimal import Decimal

import pytest

from services.api.core.tariff import NoRate, Rate, digits_of, match, prefixes_of

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ALWAYS = dt.datetime.min.replace(tzinfo=dt.UTC)
FOREVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def row(
    identity: int,
    prefix: str,
    start: dt.datetime = ALWAYS,
    end: dt.datetime = FOREVER,
    *,
    blocked: bool = False,
) -> Rate:
    zero = Decimal(0)
    return Rate(
        identity, "dck_1", prefix, "", zero, zero, zero, 1, 1, zero, 0, 0, blocked, start, end
    )


def test_longest_prefix_then_latest_start_then_highest_id() -> None:
    rows = [row(1, ""), row(2, "44"), row(3, "44", NOW - DAY), row(4, "44", NOW - DAY)]
    assert match(rows, NOW).id == 4
    assert match(rows[:2], NOW).id == 2
    assert match(rows[:1], NOW).id == 1


def test_end_is_exclusive_and_closes_the_code() -> None:
    rows = [row(1, "4"), row(2, "44", end=NOW)]
    assert match(rows, NOW - DAY).id == 2
    with pytest.raises(NoRate) as refused:
        match(rows, NOW)
    assert refused.value.reason == "destination_blocked"


def test_blocked_code_does_not_fall_back() -> None:
    with pytest.raises(NoRate) as refused:
        match([row(1, "4"), row(2, "44", blocked=True)], NOW)
    assert refused.value.reason == "destination_blocked"


def test_code_yet_to_come_does_not_count() -> None:
    assert match([row(1, "4"), row(2, "44", NOW + DAY)], NOW).id == 1


def test_nothing_matches() -> None:
    with pytest.raises(NoRate) as refused:
        match([], NOW)
    assert refused.value.reason == "no_rate"


def test_prefixes() -> None:
    assert prefixes_of("442") == ["", "4", "44", "442"]
    assert len(prefixes_of("1" * 30)) == 19


@pytest.mark.parametrize(
    ("text", "digits"),
    [("+44 20 7946-0000", "442079460000"), ("0044.20", "4420"), ("(44)20", "4420"), ("44", "44")],
)
def test_digits(text: str, digits: str) -> None:
    assert digits_of(text) == digits


@pytest.mark.parametrize("text", ["", "+", "abc", "44x", "1" * 33, "\u0664\u0664"])
def test_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="telephone"):
        digits_of(text)
