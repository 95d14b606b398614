from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.pricing.charge import Tariff, to_units
from services.common.terms import Terms
from services.rating.core.credit import (
    LONGEST_MS,
    Ask,
    Backing,
    Cover,
    cover,
    first_ask,
    longest_ms,
    next_ask,
)


def tariff(price: str = "0.6", **changes: object) -> Tariff:
    fields: dict[str, object] = {
        "account_id": "acc_1",
        "rate_id": 1,
        "deck_id": "dck_1",
        "prefix": "",
        "currency": "USD",
        "first_price": Decimal(price),
        "next_price": Decimal(price),
    }
    return Tariff(Terms(**(fields | changes)))  # type: ignore[arg-type]  # Terms checks


def units(amount: str) -> int:
    return to_units(Decimal(amount))


def test_a_call_asks_for_the_first_seconds_and_needs_the_first_interval_and_the_fee() -> None:
    terms = tariff(connect_fee=Decimal("0.1"), first_s=30, next_s=6)
    assert first_ask(terms, 60) == Ask(least=units("0.4"), wanted=units("0.7"))


def test_a_first_interval_longer_than_the_reserve_is_wanted_whole() -> None:
    assert first_ask(tariff(first_s=120), 60) == Ask(units("1.2"), units("1.2"))


def test_the_minimum_charge_is_needed_from_the_start() -> None:
    assert first_ask(tariff(minimum=Decimal(2)), 60) == Ask(units("2"), units("2"))


def test_free_seconds_do_not_make_a_dear_call_free_to_start() -> None:
    assert first_ask(tariff(free_s=300), 60) == Ask(units("0.01"), units("0.01"))


def test_a_free_call_asks_for_nothing() -> None:
    assert first_ask(tariff("0"), 60) is None


def test_a_price_that_rounds_to_nothing_for_a_while_is_not_free() -> None:
    # 0.4 a minute at no decimals: the first half unit is reached after 75 s.
    assert first_ask(tariff("0.4", digits=0), 60) == Ask(0, 0)


def test_the_next_ask_covers_the_next_seconds_and_needs_the_next_interval() -> None:
    terms = tariff(first_s=30, next_s=6)
    assert next_ask(terms, units("0.6"), 60_000, 60) == Ask(units("0.06"), units("0.6"))


def test_the_next_ask_of_an_unknown_reservation_covers_the_talk_so_far_too() -> None:
    assert next_ask(tariff(), 0, 60_000, 60) == Ask(units("0.61"), units("1.2"))


def test_nothing_to_ask_for_when_everything_is_covered() -> None:
    flat = tariff("0", connect_fee=Decimal(1))
    assert next_ask(flat, units("1"), 60_000, 60) is None
    assert next_ask(tariff(), units("0.6"), LONGEST_MS, 60) is None


def test_cover_takes_no_more_than_its_talk_time_costs() -> None:
    assert cover(tariff(), units("0.155")) == Cover(units("0.15"), 15_000)
    assert cover(tariff("0", connect_fee=Decimal(1)), units("7")) == Cover(units("1"), LONGEST_MS)


def test_longest_is_zero_for_unlimited() -> None:
    assert longest_ms(tariff(), units("0.6")) == 60_000
    assert longest_ms(tariff(), units("600000")) == 0
    assert longest_ms(tariff("0"), 0) == 0


def test_a_reservation_id_names_lease_units_and_turn() -> None:
    backing = Backing("lea_1", 6_000_000_000, 2)
    assert str(backing) == "lea_1/6000000000/2"
    assert Backing.parse(str(backing)) == backing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lea_1",
        "lea_1/5",
        "lea_1//1",
        "lea_1/5/",
        "/5/1",
        "lea_1/-5/1",
        "lea_1/5/1/2",
        "lea\x00/5/1",
        "lea_1/\u0665/1",
        "lea_1/" + "9" * 41 + "/1",
    ],
)
def test_what_is_no_reservation_id_of_ours_is_none(text: str) -> None:
    assert Backing.parse(text) is None


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    backing = Backing.parse(text)
    assert backing is None or backing.units >= 0
