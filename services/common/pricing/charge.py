"""What a call costs under given terms, and how long a call an amount can pay for.

The arithmetic is on integers: an amount is a *numerator* over ``divisor``, so nothing is rounded
before the one rounding at the end, and :meth:`Tariff.payable_ms` is the exact inverse of
:meth:`Tariff.units`. Integers are also some four times faster here than ``Decimal``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from services.common.errors import Invalid
from services.common.money import EXACT, MAX_DIGITS, RoundingMode, round_amount
from services.common.terms import Terms, decode_terms

UNIT_DIGITS: Final = MAX_DIGITS
"""Amounts are whole numbers of 10^-10 of the currency inside: the grid of the money tables."""

# Beyond these no price is meant, and the integers below would grow without bound.
_LARGEST_EXPONENT: Final = 18
_FINEST_EXPONENT: Final = -30


def to_units(amount: Decimal) -> int:
    """``amount`` in units of 10^-10; a remainder below one unit is cut off towards zero."""
    return int(amount.scaleb(UNIT_DIGITS, EXACT))


def from_units(units: int) -> Decimal:
    """The inverse of :func:`to_units`."""
    return Decimal(units).scaleb(-UNIT_DIGITS, EXACT)


class Tariff:
    """Terms, prepared for pricing.

    Raises:
        Invalid: a price of the terms is not a number of sensible size.
    """

    __slots__ = (
        "_charged_after_s",
        "_divisor",
        "_first",
        "_mode",
        "_round_up_ms",
        "_step",
        "_units_per_digit",
        "least_units",
        "terms",
    )

    def __init__(self, terms: Terms) -> None:
        prices = (terms.connect_fee, terms.first_price, terms.next_price, terms.minimum)
        scale = max(terms.digits, *(_decimals(price) for price in prices))
        connect, first, following, minimum = (_scaled(price, scale) for price in prices)
        self.terms = terms
        self._mode = terms.mode
        self._round_up_ms = 1000 - terms.precision_ms
        # Prices are per minute: sixty times every amount is a whole number.
        self._divisor: int = 60 * 10 ** (scale - terms.digits)
        self._units_per_digit: int = 10 ** (UNIT_DIGITS - terms.digits)
        first_interval = connect * 60 + terms.first_s * first
        self._step = terms.next_s * following
        self._first = (first_interval, minimum * 60)
        self._charged_after_s = max(terms.free_s, terms.grace_s)
        self.least_units = self._price(terms.first_s, self._steps(self._charged_after_s + 1))[1]
        """What the shortest call that is charged at all costs."""

    @property
    def is_free(self) -> bool:
        """Whether no call, however long, ever costs anything."""
        return self.payable_ms(0) is None

    def units(self, talk_ms: int) -> int:
        """What ``talk_ms`` of conversation costs, in units of 10^-10."""
        return self.charge(talk_ms)[1]

    def charge(self, talk_ms: int) -> tuple[int, int]:
        """Billed seconds and price in units; a call never answered (0 ms) costs nothing."""
        talk_s = (talk_ms + self._round_up_ms) // 1000
        if talk_ms <= 0 or talk_s <= self._charged_after_s:
            return 0, 0
        return self._price(self.terms.first_s, self._steps(talk_s))

    def payable_ms(self, units: int) -> int | None:
        """The longest conversation that costs at most ``units``; ``None`` when none costs more."""
        free_ms = self._last_ms(self._charged_after_s)
        first_interval, minimum = self._first
        largest = self._largest_numerator(units)
        if units < 0 or largest < max(first_interval, minimum):
            return free_ms
        if self._step == 0:
            return None
        steps = (largest - first_interval) // self._step
        talk_s = self.terms.free_s + self.terms.first_s + steps * self.terms.next_s
        return max(free_ms, self._last_ms(talk_s))

    def _steps(self, talk_s: int) -> int:
        beyond_s = talk_s - self.terms.free_s - self.terms.first_s
        return max(0, -(-beyond_s // self.terms.next_s))

    def _price(self, first_s: int, steps: int) -> tuple[int, int]:
        first_interval, minimum = self._first
        rounded = self._rounded(max(first_interval + steps * self._step, minimum))
        return first_s + steps * self.terms.next_s, rounded * self._units_per_digit

    def _rounded(self, numerator: int) -> int:
        divisor = self._divisor
        if self._mode is RoundingMode.HALF_UP:
            return (2 * numerator + divisor) // (2 * divisor)
        if self._mode is RoundingMode.UP:
            return -(-numerator // divisor)
        return numerator // divisor

    def _largest_numerator(self, units: int) -> int:
        """The largest numerator that rounds to no more than ``units``."""
        rounded, divisor = units // self._units_per_digit, self._divisor
        if self._mode is RoundingMode.HALF_UP:
            return (2 * divisor * (rounded + 1) - divisor - 1) // 2
        if self._mode is RoundingMode.UP:
            return rounded * divisor
        return divisor * (rounded + 1) - 1

    def _last_ms(self, talk_s: int) -> int:
        """The last millisecond that still counts as ``talk_s`` seconds."""
        return talk_s * 1000 + self.terms.precision_ms - 1


@lru_cache(maxsize=16_384)
def tariff_of(sell_or_buy_terms: bytes) -> Tariff:
    """The tariff of encoded terms; the calls of one rate row share it.

    Raises:
        Invalid: the bytes are not terms.
    """
    try:
        return Tariff(decode_terms(sell_or_buy_terms))
    except ArithmeticError as error:  # what comparing NaN raises
        raise Invalid("terms", "a price is not a number") from error


def charge(terms: Terms, talk_ms: int) -> tuple[int, Decimal]:
    """Billed seconds and amount of ``talk_ms`` milliseconds from answer to disconnect."""
    billed_s, units = Tariff(terms).charge(talk_ms)
    return billed_s, round_amount(from_units(units), terms.digits, terms.mode)


def cost_of(terms: Terms, talk_ms: int) -> Decimal:
    """The amount of :func:`charge`."""
    return charge(terms, talk_ms)[1]


def payable_ms(terms: Terms, amount: Decimal) -> int | None:
    """The longest conversation ``amount`` can pay for, in milliseconds; ``None``: any.

    ``charge(payable_ms) <= amount < charge(payable_ms + 1)`` for every ``amount`` from 0 on.
    """
    return Tariff(terms).payable_ms(to_units(amount))


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of one conversation of a given length."""

    talk_ms: int
    billed_s: int
    amount: Decimal
    """Without tax."""
    tax: Decimal
    total: Decimal


def quote(
    terms: Terms, durations_ms: Iterable[int], tax_percent: Decimal = Decimal(0)
) -> list[Quote]:
    """Price each duration; the tax on it is rounded by the same digits and mode.

    Raises:
        Invalid: a negative duration or tax, or prices out of range.
    """
    if not tax_percent.is_finite() or not 0 <= tax_percent <= 1000:
        raise Invalid("tax_percent", "must be 0 to 1000")
    return [_quoted(terms, talk_ms, tax_percent) for talk_ms in durations_ms]


def _quoted(terms: Terms, talk_ms: int, tax_percent: Decimal) -> Quote:
    if talk_ms < 0:
        raise Invalid("durations", "must not be negative")
    billed_s, amount = charge(terms, talk_ms)
    exact_tax = EXACT.multiply(amount, tax_percent.scaleb(-2, EXACT))
    tax = round_amount(exact_tax, terms.digits, terms.mode)
    return Quote(talk_ms, billed_s, amount, tax, EXACT.add(amount, tax))


def _decimals(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int):
        raise Invalid("terms", "a price is not a finite number")
    if exponent < _FINEST_EXPONENT or (price and price.adjusted() > _LARGEST_EXPONENT):
        raise Invalid("terms", "a price is out of range")
    return max(0, -exponent)


def _scaled(price: Decimal, scale: int) -> int:
    numerator, denominator = price.as_integer_ratio()
    ten_to_scale: int = 10**scale
    return numerator * ten_to_scale // denominator
