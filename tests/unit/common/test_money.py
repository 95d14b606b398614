from decimal import Decimal

import pytest

from services.common.errors import Invalid
from services.common.money import RoundingMode, parse_amount, round_amount, to_text


@pytest.mark.parametrize(
    ("amount", "digits", "mode", "rounded"),
    [
        ("0.0000005", 6, RoundingMode.HALF_UP, "0.000001"),
        ("0.00000049999", 6, RoundingMode.HALF_UP, "0.000000"),
        ("0.0000001", 6, RoundingMode.UP, "0.000001"),
        ("0.0000009", 6, RoundingMode.DOWN, "0.000000"),
        ("-0.5", 0, RoundingMode.HALF_UP, "-1"),
        ("2.5", 0, RoundingMode.HALF_UP, "3"),
        ("999999999999999.99999999995", 10, RoundingMode.HALF_UP, "1000000000000000.0000000000"),
    ],
)
def test_round_amount(amount: str, digits: int, mode: RoundingMode, rounded: str) -> None:
    assert str(round_amount(Decimal(amount), digits, mode)) == rounded


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", "1"), (" -0.0125 ", "-0.0125"), ("1e-3", "0.001"), ("0.00000000010", "1E-10")],
)
def test_parse_amount(text: str, value: str) -> None:
    assert parse_amount(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,5", "NaN", "Infinity", "-sNaN", "1e15", "-1e15", "1e999999", "0.12345678901"],
)
def test_what_is_no_amount_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_amount(text, field="limit")
    assert caught.value.field == "limit"


def test_refusal_does_not_repeat_a_whole_hostile_text() -> None:
    with pytest.raises(Invalid) as caught:
        parse_amount("9" * 5 + "x" * 100_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1.5000", "1.5"), ("100", "100"), ("1E+2", "100"), ("0E-10", "0"), ("-0.0", "0"),
        ("-0.10", "-0.1"), ("0.0000000001", "0.0000000001"),
    ],
)  # fmt: skip
def test_to_text(amount: str, text: str) -> None:
    assert to_text(Decimal(amount)) == text
