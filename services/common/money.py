"""Amounts and prices: ``Decimal`` inside, decimal strings outside, never floats."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Context, Decimal, InvalidOperation
from enum import StrEnum

from services.common.errors import Invalid

MAX_DIGITS = 10
"""Decimals kept of any amount: what NUMERIC(28, 10) columns and Decimal(38, 10) hold."""

# 38 digits hold any product of a price and a duration exactly; only quantize() rounds.
EXACT = Context(prec=38, rounding=ROUND_HALF_UP)

_LARGEST = Decimal(10) ** 15


class RoundingMode(StrEnum):
    """How an amount is brought to its account's decimals, once per call and party."""

    HALF_UP = "half_up"
    UP = "up"
    DOWN = "down"


_MODES = {
    RoundingMode.HALF_UP: ROUND_HALF_UP,
    RoundingMode.UP: ROUND_UP,
    RoundingMode.DOWN: ROUND_DOWN,
}


def round_amount(amount: Decimal, digits: int, mode: RoundingMode) -> Decimal:
    """``amount`` at ``digits`` decimals (0 to 10)."""
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=_MODES[mode], context=EXACT)


def parse_amount(text: str, *, field: str = "amount") -> Decimal:
    """A decimal string such as ``"-0.0125"``.

    Raises:
        Invalid: not a plain finite decimal, over 10 decimals, or over 10^15.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise Invalid(field, f"{text[:40]!r} is not a decimal number") from None
    if not value.is_finite():
        raise Invalid(field, f"{text[:40]!r} is not a finite number")
    if abs(value) >= _LARGEST:
        raise Invalid(field, "must be below 10^15")
    exponent = value.normalize(EXACT).as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DIGITS:
        raise Invalid(field, f"has more than {MAX_DIGITS} decimals")
    return value


def to_text(amount: Decimal) -> str:
    """The decimal string of ``amount``, without exponent and without trailing zeros."""
    text = f"{amount:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
