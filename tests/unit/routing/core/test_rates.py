"""Decks priced for an account: comparison cost, texts, terms."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.money import RoundingMode
from services.common.pricing.charge import charge, to_units
from services.common.pricing.prefix_table import Prices, Rate, key_of, table_of
from services.common.terms import Terms, decode_terms
from services.routing.core.rates import (
    Account,
    Deck,
    PricedDeck,
    instant_text,
    minute_cost,
    scaled_text,
)

CENT = 10**8


def priced(prices: Prices, account: Account | None = None) -> PricedDeck:
    deck = Deck(
        id="dck", name="deck", currency="EUR", version=1, table=table_of([Rate("49", 7, prices)])
    )
    return PricedDeck(deck, account or Account(id="acc", name="A", currency="EUR"))


@pytest.mark.parametrize(
    "prices, cost",
    [
        (Prices(0, 3 * CENT, 3 * CENT, 0, 1, 1), "0.03"),
        (Prices(0, 3 * CENT, 3 * CENT, 0, 60, 60), "0.03"),
        (Prices(0, 3 * CENT, 3 * CENT, 0, 30, 7), "0.0325"),
        (Prices(0, 6 * CENT, 3 * CENT, 0, 30, 6), "0.045"),
        (Prices(0, 3 * CENT, 3 * CENT, 0, 180, 60), "0.09"),
        (Prices(CENT, 3 * CENT, 3 * CENT, 0), "0.04"),
        (Prices(0, 3 * CENT, 3 * CENT, 5 * CENT), "0.05"),
        (Prices(0, 3 * CENT, 3 * CENT, 0, 1, 1, 30), "0.015"),
        (Prices(CENT, 3 * CENT, 3 * CENT, CENT, 1, 1, 60), "0"),
        (Prices(CENT, 3 * CENT, 3 * CENT, CENT, 1, 1, 0, 60), "0"),
        (Prices(0, 1, 1, 0, 30, 30), "0.0000000001"),
        (Prices(0, 0, 0, 0), "0"),
    ],
)
def test_cost_of_a_minute(prices: Prices, cost: str) -> None:
    assert scaled_text(minute_cost(prices)) == cost


amounts = st.integers(0, 10**12)
seconds = st.integers(1, 200)


@given(
    prices=st.builds(
        Prices, amounts, amounts, amounts, amounts, seconds, seconds, st.integers(0, 90),
        st.integers(0, 90), st.just(False),
    )
)  # fmt: skip
def test_cost_of_a_minute_is_what_a_call_of_a_minute_is_charged(prices: Prices) -> None:
    account = Account(id="acc", name="A", currency="EUR", digits=10)
    rates = priced(prices, account)
    offer = rates.find("49", key_of("49"), 0)
    assert offer is not None
    assert to_units(charge(decode_terms(rates.terms(offer)), 60_000)[1]) == offer.cost


def test_terms_carry_the_row_and_the_rounding_of_the_account() -> None:
    account = Account(
        id="acc_1", name="A", currency="EUR", digits=4, mode=RoundingMode.UP, precision_ms=500
    )
    rates = priced(Prices(5, CENT, 2 * CENT, 3 * CENT, 30, 6, 1, 2), account)
    offer = rates.find("4930", key_of("4930"), 0)
    assert offer is not None
    assert decode_terms(rates.terms(offer)) == Terms(
        account_id="acc_1",
        rate_id=7,
        deck_id="dck",
        prefix="49",
        currency="EUR",
        connect_fee=Decimal("0.0000000005"),
        first_price=Decimal("0.01"),
        next_price=Decimal("0.02"),
        first_s=30,
        next_s=6,
        minimum=Decimal("0.03"),
        free_s=1,
        grace_s=2,
        digits=4,
        mode=RoundingMode.UP,
        precision_ms=500,
    )


def test_offers_and_their_terms_are_made_once() -> None:
    rates = priced(Prices(0, 1, 1, 0))
    one, two = rates.find("491", key_of("491"), 0), rates.find("492", key_of("492"), 0)
    assert one is not None
    assert one is two
    assert rates.terms(one) is rates.terms(one)
    assert rates.find("50", key_of("50"), 0) is None


def test_memory_of_offers_is_bounded() -> None:
    table = table_of(Rate(str(at), at, Prices(0, at, at, 0)) for at in range(10_000, 20_000))
    deck = Deck(id="dck", name="deck", currency="EUR", version=1, table=table)
    rates = PricedDeck(deck, Account(id="acc", name="A", currency="EUR"))
    for at in range(10_000, 20_000):
        offer = rates.find(str(at), key_of(str(at)), 0)
        assert offer is not None
        assert offer.cost == at
    assert len(rates._offers) < 5000


@given(st.integers(0, 10**18))
def test_scaled_text_is_exact_and_short(amount: int) -> None:
    text = scaled_text(amount)
    assert to_units(Decimal(text)) == amount
    assert text == "0" or not text.endswith(".")
    assert "." not in text or not text.endswith("0")


def test_instants_are_told_whatever_the_year() -> None:
    assert instant_text(1_767_225_600_000_000) == "2026-01-01 00:00:00 UTC"
    assert instant_text(2**63 - 1) == "9223372036854 s after 1970"
    assert instant_text(-(2**62)).endswith("s after 1970")


def test_accounts_and_decks_compare_by_value() -> None:
    account = Account(id="acc", name="A", currency="EUR")
    assert account == msgspec.structs.replace(account)
    assert account != msgspec.structs.replace(account, digits=2)
