from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import Invalid
from services.common.money import RoundingMode
from services.common.pricing.charge import (
    Quote,
    Tariff,
    charge,
    cost_of,
    from_units,
    payable_ms,
    quote,
    tariff_of,
    to_units,
)
from services.common.terms import Terms, encode_terms


def terms(**changes: object) -> Terms:
    fields: dict[str, object] = {
        "account_id": "acc_1",
        "rate_id": 1,
        "deck_id": "dck_1",
        "prefix": "44",
        "currency": "USD",
        "first_price": Decimal("0.03"),
        "next_price": Decimal("0.03"),
    }
    for name, value in changes.items():
        fields[name] = Decimal(value) if isinstance(value, str) and name != "mode" else value
    return Terms(**fields)  # type: ignore[arg-type]  # checked by Terms itself


# Every cell of the table in the semantics: d, first/next, billed seconds, amount at 0.03/min.
VECTORS = [
    (1, (1, 1), 1, "0.0005"),
    (1, (6, 6), 6, "0.003"),
    (1, (60, 60), 60, "0.03"),
    (1, (30, 6), 30, "0.015"),
    (30, (1, 1), 30, "0.015"),
    (30, (6, 6), 30, "0.015"),
    (30, (60, 60), 60, "0.03"),
    (30, (30, 6), 30, "0.015"),
    (31, (1, 1), 31, "0.0155"),
    (31, (6, 6), 36, "0.018"),
    (31, (60, 60), 60, "0.03"),
    (31, (30, 6), 36, "0.018"),
    (60, (1, 1), 60, "0.03"),
    (60, (6, 6), 60, "0.03"),
    (60, (60, 60), 60, "0.03"),
    (60, (30, 6), 60, "0.03"),
    (61, (1, 1), 61, "0.0305"),
    (61, (6, 6), 66, "0.033"),
    (61, (60, 60), 120, "0.06"),
    (61, (30, 6), 66, "0.033"),
    (3599, (1, 1), 3599, "1.7995"),
    (3599, (6, 6), 3600, "1.8"),
    (3599, (60, 60), 3600, "1.8"),
    (3599, (30, 6), 3600, "1.8"),
]


@pytest.mark.parametrize(("talk_s", "intervals", "billed_s", "amount"), VECTORS)
def test_interval_vectors(
    talk_s: int, intervals: tuple[int, int], billed_s: int, amount: str
) -> None:
    first_s, next_s = intervals
    assert charge(terms(first_s=first_s, next_s=next_s), talk_s * 1000) == (
        billed_s,
        Decimal(amount),
    )


@pytest.mark.parametrize(
    ("precision_ms", "talk_ms", "billed_s"),
    [
        (1, 1, 1),
        (1, 1000, 1),
        (1, 1001, 2),
        (500, 499, 0),
        (500, 500, 1),
        (500, 1499, 1),
        (500, 1500, 2),
        (1000, 999, 0),
        (1000, 1999, 1),
        (1, 0, 0),
    ],
)
def test_a_fraction_counts_as_a_second_from_the_threshold_on(
    precision_ms: int, talk_ms: int, billed_s: int
) -> None:
    assert charge(terms(precision_ms=precision_ms), talk_ms)[0] == billed_s


def test_a_call_never_answered_costs_nothing_connect_fee_and_minimum_included() -> None:
    contracted = terms(connect_fee="1", minimum="5")
    assert charge(contracted, 0) == (0, Decimal(0))
    assert charge(contracted, -20) == (0, Decimal(0))


def test_connect_fee_and_two_prices() -> None:
    contracted = terms(connect_fee="0.1", first_price="0.6", next_price="0.12", first_s=30)
    assert charge(contracted, 35_000) == (35, Decimal("0.41"))


def test_minimum_is_the_least_a_charged_call_costs() -> None:
    contracted = terms(minimum="0.02")
    assert cost_of(contracted, 1000) == Decimal("0.02")
    assert cost_of(contracted, 40_000) == Decimal("0.02")
    assert cost_of(contracted, 41_000) == Decimal("0.0205")


def test_free_seconds_come_off_every_call_before_the_intervals() -> None:
    contracted = terms(free_s=10, first_s=6, next_s=6, connect_fee="0.01")
    assert charge(contracted, 10_000) == (0, Decimal(0))
    assert charge(contracted, 10_001) == (6, Decimal("0.013"))
    assert charge(contracted, 17_000) == (12, Decimal("0.016"))


def test_grace_makes_short_calls_free_and_longer_ones_pay_in_full() -> None:
    contracted = terms(grace_s=5)
    assert charge(contracted, 5_000) == (0, Decimal(0))
    assert charge(contracted, 5_001) == (6, Decimal("0.003"))


@pytest.mark.parametrize(
    ("mode", "digits", "expected"),
    [("half_up", 2, "0.02"), ("up", 2, "0.02"), ("down", 2, "0.01"), ("down", 0, "0")],
)
def test_rounded_once_by_mode(mode: str, digits: int, expected: str) -> None:
    # 30 s at 0.03 are 0.015 exactly: the tie itself.
    assert cost_of(terms(mode=RoundingMode(mode), digits=digits), 30_000) == Decimal(expected)


def test_amounts_below_half_a_digit_vanish_but_up_keeps_them() -> None:
    assert cost_of(terms(digits=2), 1000) == 0
    assert cost_of(terms(digits=2, mode=RoundingMode.UP), 1000) == Decimal("0.01")


def test_the_ambient_decimal_context_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        assert cost_of(terms(next_price="0.0123456789", digits=10, first_s=1), 3_600_000) == (
            Decimal("0.7410349727")
        )


def test_payable_is_unlimited_when_time_is_free_after_the_first_interval() -> None:
    flat = terms(connect_fee="1", first_price="0", next_price="0")
    assert payable_ms(flat, Decimal("0.99")) == 0
    assert payable_ms(flat, Decimal(1)) is None
    assert not Tariff(flat).is_free


def test_zero_prices_are_free_and_so_are_prices_that_round_to_nothing() -> None:
    assert Tariff(terms(first_price="0", next_price="0")).is_free
    assert not Tariff(terms()).is_free
    assert payable_ms(terms(first_price="0", next_price="0"), Decimal(0)) is None


def test_payable_counts_the_last_millisecond_before_the_next_second() -> None:
    assert payable_ms(terms(), Decimal("0.03")) == 60_000
    assert payable_ms(terms(precision_ms=500), Decimal("0.03")) == 60_499
    assert payable_ms(terms(first_s=30, next_s=6), Decimal("0.0149")) == 0
    assert payable_ms(terms(first_s=30, next_s=6), Decimal("0.0209")) == 36_000
    assert payable_ms(terms(grace_s=7), Decimal(0)) == 7_000
    assert payable_ms(terms(), Decimal(-1)) == 0


def test_least_is_the_price_of_the_shortest_charged_call() -> None:
    assert from_units(Tariff(terms()).least_units) == Decimal("0.0005")
    assert from_units(Tariff(terms(first_s=60, connect_fee="0.5")).least_units) == Decimal("0.53")
    assert from_units(Tariff(terms(grace_s=30, first_s=6, next_s=6)).least_units) == (
        Decimal("0.018")
    )


prices = st.decimals(min_value=0, max_value=1000, places=6) | st.decimals(
    min_value=0, max_value="0.01", places=10
)
any_terms = st.builds(
    Terms,
    account_id=st.just("acc_1"),
    rate_id=st.just(1),
    deck_id=st.just("dck_1"),
    prefix=st.just(""),
    currency=st.just("USD"),
    connect_fee=prices,
    first_price=prices,
    next_price=prices,
    first_s=st.integers(1, 120),
    next_s=st.integers(1, 120),
    minimum=prices,
    free_s=st.integers(0, 30),
    grace_s=st.integers(0, 30),
    digits=st.integers(0, 10),
    mode=st.sampled_from(RoundingMode),
    precision_ms=st.integers(1, 1000),
)
amounts = st.decimals(min_value=0, max_value=10_000, places=10)


@given(any_terms, amounts)
def test_payable_is_the_exact_inverse_of_charge(contracted: Terms, amount: Decimal) -> None:
    longest = payable_ms(contracted, amount)
    if longest is None:
        assert cost_of(contracted, 10**12) <= amount
    else:
        assert cost_of(contracted, longest) <= amount < cost_of(contracted, longest + 1)


@given(any_terms, st.integers(0, 10_000_000), st.integers(0, 10_000))
def test_longer_never_costs_less(contracted: Terms, talk_ms: int, more_ms: int) -> None:
    billed_s, amount = charge(contracted, talk_ms)
    longer_s, dearer = charge(contracted, talk_ms + more_ms)
    assert longer_s >= billed_s
    assert dearer >= amount >= 0


@given(any_terms, st.integers(1, 10_000_000))
def test_agrees_with_the_formula_in_decimals(contracted: Terms, talk_ms: int) -> None:
    billed_s, amount = charge(contracted, talk_ms)
    if billed_s == 0:
        assert amount == 0
        return
    with localcontext() as context:
        context.prec = 60
        exact = max(
            contracted.connect_fee
            + (
                contracted.first_s * contracted.first_price
                + (billed_s - contracted.first_s) * contracted.next_price
            )
            / 60,
            contracted.minimum,
        )
        rounding = {"half_up": ROUND_HALF_UP, "up": "ROUND_UP", "down": "ROUND_DOWN"}
        step = Decimal(1).scaleb(-contracted.digits)
        assert amount == exact.quantize(step, rounding=rounding[contracted.mode])


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=10))
def test_units_hold_every_amount_of_the_money_tables(amount: Decimal) -> None:
    assert from_units(to_units(amount)) == amount


def test_quote_adds_tax_rounded_by_the_same_rules() -> None:
    assert quote(terms(digits=4), [0, 61_000], Decimal("17.5")) == [
        Quote(0, 0, Decimal(0), Decimal(0), Decimal(0)),
        Quote(61_000, 61, Decimal("0.0305"), Decimal("0.0053"), Decimal("0.0358")),
    ]


@pytest.mark.parametrize(
    ("durations", "tax"), [([-1], "0"), ([1], "-1"), ([1], "NaN"), ([1], "1001")]
)
def test_quote_refuses_what_is_negative_or_no_number(durations: list[int], tax: str) -> None:
    with pytest.raises(Invalid):
        quote(terms(), durations, Decimal(tax))


def test_encoded_terms_share_one_tariff() -> None:
    encoded = encode_terms(terms())
    assert tariff_of(encoded) is tariff_of(bytes(bytearray(encoded)))


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1e999999999", "1e-999999"])
def test_prices_that_are_no_price_are_refused(price: str) -> None:
    encoded = encode_terms(terms()).replace(
        b'"next_price":"0.03"', f'"next_price":"{price}"'.encode()
    )
    with pytest.raises(Invalid):
        tariff_of(encoded)


def test_bytes_that_are_no_terms_are_refused() -> None:
    with pytest.raises(Invalid):
        tariff_of(b"null")
