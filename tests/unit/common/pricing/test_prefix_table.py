"""Longest-prefix tables: by hand, and against a search through all rows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import Invalid
from services.common.pricing.prefix_table import (
    ALWAYS_US,
    MAX_PREFIX,
    NEVER_US,
    PrefixTable,
    PrefixTableBuilder,
    Prices,
    Rate,
    key_of,
    table_of,
)

FREE = Prices(0, 0, 0, 0)
NOW = 1_000


def table(*prefixes: str) -> PrefixTable:
    return table_of(Rate(prefix, at, FREE) for at, prefix in enumerate(prefixes, start=1))


def found(table: PrefixTable, number: str, at_us: int = NOW) -> str | None:
    row = table.find(key_of(number), at_us)
    return None if row < 0 else table.rate(row).prefix


def found_id(table: PrefixTable, number: str, at_us: int = NOW) -> int:
    row = table.find(key_of(number), at_us)
    return 0 if row < 0 else table.rate(row).id


def test_longest_prefix_wins() -> None:
    deck = table("4", "49", "4930", "4931", "49301", "5")
    assert found(deck, "4930222") == "4930"
    assert found(deck, "4930122") == "49301"
    assert found(deck, "4932") == "49"
    assert found(deck, "48") == "4"
    assert found(deck, "6") is None


def test_number_that_ends_within_a_prefix_is_not_covered_by_it() -> None:
    assert found(table("49", "4930"), "493") == "49"
    assert found(table("4930"), "493") is None
    assert found(table("40", "400"), "4") is None


def test_trailing_zeros_are_digits() -> None:
    deck = table("4", "40", "400")
    assert [found(deck, number) for number in ("4", "40", "400", "401", "41")] == [
        "4",
        "40",
        "400",
        "40",
        "4",
    ]


def test_empty_prefix_is_the_default() -> None:
    deck = table("", "49")
    assert found(deck, "331") == ""
    assert found(deck, "491") == "49"
    assert found(deck, "0") == ""


def test_empty_table_knows_nothing() -> None:
    assert found(table(), "49") is None


def test_longest_possible_prefix_and_longer_number() -> None:
    longest = "9" * MAX_PREFIX
    deck = table("9", longest)
    assert found(deck, longest + "99999") == longest
    assert found(deck, longest[:-1] + "8") == "9"


def test_search_climbs_over_neighbours_that_do_not_cover() -> None:
    deck = table("1", "12", "123", "1234", "125")
    assert found(deck, "1249") == "12"
    assert found(deck, "13") == "1"
    assert found(deck, "1235") == "123"


def test_row_is_in_force_from_its_start_until_just_before_its_end() -> None:
    deck = table_of([Rate("49", 1, FREE, 100, 200), Rate("49", 2, FREE, 200, 300)])
    assert found_id(deck, "49", 100) == 1
    assert found_id(deck, "49", 199) == 1
    assert found_id(deck, "49", 200) == 2
    assert found_id(deck, "49", 299) == 2


def test_of_several_in_force_the_one_valid_from_latest_decides_then_the_highest_id() -> None:
    deck = table_of([Rate("49", 9, FREE, 0), Rate("49", 5, FREE, 50), Rate("49", 7, FREE, 50)])
    assert found_id(deck, "49", 49) == 9
    assert found_id(deck, "49", 50) == 7


def test_ended_row_hides_neither_an_older_one_still_in_force_nor_gives_way_to_a_shorter() -> None:
    older = table_of([Rate("49", 1, FREE), Rate("49", 2, FREE, 10, 20)])
    assert found_id(older, "49", 15) == 2
    assert found_id(older, "49", 20) == 1
    closed = table_of([Rate("4", 1, FREE), Rate("49", 2, FREE, 10, 20), Rate("49", 3, FREE, 5, 8)])
    row = closed.find(key_of("491"), 20)
    assert closed.rate(row) == Rate("49", 2, FREE, 10, 20)
    assert found_id(closed, "48", 20) == 1


def test_row_of_the_future_is_not_there_yet() -> None:
    deck = table_of([Rate("4", 1, FREE), Rate("49", 2, FREE, 100)])
    assert found_id(deck, "49", 99) == 1
    assert found_id(deck, "49", 100) == 2


def test_code_between_an_ended_row_and_a_future_one_is_closed() -> None:
    deck = table_of([Rate("4", 1, FREE), Rate("49", 2, FREE, 0, 10), Rate("49", 3, FREE, 20)])
    assert found_id(deck, "49", 15) == 2
    assert deck.rate(deck.find(key_of("49"), 15)).valid_till_us == 10


def test_rows_come_back_as_they_went_in() -> None:
    prices = Prices(10**18 - 1, 1, 2, 3, 86_400, 60, 7, 8, blocked=True)
    rate = Rate("0049", 2**62, prices, -5, 5)
    deck = table_of([rate, Rate("1", 1, FREE)])
    assert deck.rate(deck.find(key_of("0049"), 0)) == rate
    assert deck.rate(1) == Rate("1", 1, FREE, ALWAYS_US, NEVER_US)
    assert len(deck) == 2


def test_shared_prices_and_validity_are_kept_once() -> None:
    many = table_of(Rate(str(at), at, Prices(0, 5, 5, 0)) for at in range(1000, 2000))
    assert many.size_bytes < 1000 * 30 + 6000


@pytest.mark.parametrize("prefix", ["4a", "1" * 19, "+49", "²", "٤", " 4", "4 "])
def test_only_digits_are_prefixes(prefix: str) -> None:
    with pytest.raises(Invalid):
        table(prefix)


def test_rows_out_of_order_are_refused_also_between_two_pieces() -> None:
    builder = PrefixTableBuilder()
    one = (builder.prices(FREE), builder.validity(0, 1))
    builder.extend([("2", 1, *one), ("2", 2, *one)])
    with pytest.raises(Invalid):
        builder.extend([("19", 3, *one)])


digits = st.text("0127", max_size=5)
rates = st.builds(
    Rate,
    prefix=digits,
    id=st.integers(1, 10**6),
    prices=st.just(FREE),
    valid_from_us=st.integers(0, 6),
    valid_till_us=st.integers(7, 12),
)


def oracle(rows: list[Rate], number: str, at_us: int) -> Rate | None:
    """The rule itself, searched for through all rows."""
    for length in range(len(number), -1, -1):
        begun = [r for r in rows if r.prefix == number[:length] and r.valid_from_us <= at_us]
        in_force = [r for r in begun if at_us < r.valid_till_us]
        if begun:
            return max(in_force or begun, key=lambda rate: (rate.valid_from_us, rate.id))
    return None


@settings(max_examples=400)
@given(
    rows=st.lists(rates, max_size=40, unique_by=lambda rate: rate.id),
    number=st.text("0127", max_size=7),
    at_us=st.integers(0, 13),
)
def test_table_agrees_with_a_search_through_all_rows(
    rows: list[Rate], number: str, at_us: int
) -> None:
    deck = table_of(rows)
    row = deck.find(key_of(number), at_us)
    assert (None if row < 0 else deck.rate(row)) == oracle(rows, number, at_us)


@given(rows=st.lists(rates, max_size=30, unique_by=lambda rate: rate.id), cut=st.integers(0, 30))
def test_it_does_not_matter_in_how_many_pieces_the_rows_come(rows: list[Rate], cut: int) -> None:
    builder = PrefixTableBuilder()
    ordered = sorted(rows, key=lambda rate: (rate.prefix, rate.valid_from_us, rate.id))
    encoded = [
        (r.prefix, r.id, builder.prices(r.prices), builder.validity(*r[3:])) for r in ordered
    ]
    builder.extend(encoded[:cut])
    builder.extend(encoded[cut:])
    pieces, whole = builder.build(), table_of(rows)
    for rate in rows:
        key = key_of(rate.prefix + "1")
        assert pieces.find(key, NOW) == whole.find(key, NOW)
