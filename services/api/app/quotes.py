"""What calls of given lengths would cost."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from services.api.core.kinds import Kind
from services.api.core.tariff import Rate, digits_of, match, prefixes_of
from services.api.ports import Configuration, Decks
from services.common.errors import Invalid
from services.common.money import RoundingMode
from services.common.pricing.charge import Quote, quote
from services.common.terms import Terms


@dataclass(frozen=True, slots=True)
class Rounding:
    """How amounts are rounded; an account's own when one is named."""

    digits: int = 6
    mode: RoundingMode = RoundingMode.HALF_UP
    precision_ms: int = 1


@dataclass(frozen=True, slots=True)
class Quoted:
    """Prices, and what they were computed from."""

    terms: Terms
    rate: Rate | None
    """The row of the deck that decided."""
    quotes: Sequence[Quote]


class Quotes:
    """Prices durations against a deck and a number, or against terms given inline."""

    def __init__(
        self, configuration: Configuration, decks: Decks, utc_now: Callable[[], dt.datetime]
    ) -> None:
        self._configuration = configuration
        self._decks = decks
        self._utc_now = utc_now

    async def by_deck(
        self,
        deck_id: str,
        number: str,
        durations_ms: Sequence[int],
        *,
        at: dt.datetime | None,
        account_id: str | None,
        rounding: Rounding | None,
        tax_percent: Decimal,
    ) -> Quoted:
        """By the row that would price a call to ``number`` at ``at``.

        Raises:
            NotFound: no such deck or account.
            NoRate: no row prices the number.
        """
        deck = await self._configuration.get(Kind.RATE_DECK, deck_id)
        try:
            digits = digits_of(number)
        except ValueError as error:
            raise Invalid("number", str(error)) from error
        rows = await self._decks.matching(deck_id, prefixes_of(digits))
        rate = match(rows, at or self._utc_now())
        terms = _terms(rate, str(deck["currency"]), await self._rounding(account_id, rounding))
        return Quoted(terms, rate, quote(terms, durations_ms, tax_percent))

    async def by_rate(
        self,
        terms: Terms,
        durations_ms: Sequence[int],
        *,
        account_id: str | None,
        rounding: Rounding | None,
        tax_percent: Decimal,
    ) -> Quoted:
        """By ``terms``, with the rounding named beside them."""
        chosen = await self._rounding(account_id, rounding)
        rounded = msgspec.structs.replace(
            terms, digits=chosen.digits, mode=chosen.mode, precision_ms=chosen.precision_ms
        )
        return Quoted(rounded, None, quote(rounded, durations_ms, tax_percent))

    async def _rounding(self, account_id: str | None, rounding: Rounding | None) -> Rounding:
        if rounding is not None:
            return rounding
        if account_id is None:
            return Rounding()
        account = await self._configuration.get(Kind.ACCOUNT, account_id)
        return Rounding(
            int(str(account["digits"])),
            RoundingMode(str(account["rounding"])),
            int(str(account["precision_ms"])),
        )


def _terms(rate: Rate, currency: str, rounding: Rounding) -> Terms:
    return Terms(
        account_id="",
        rate_id=rate.id,
        deck_id=rate.deck_id,
        prefix=rate.prefix,
        currency=currency,
        connect_fee=rate.connect_fee,
        first_price=rate.first_price,
        next_price=rate.next_price,
        first_s=rate.first_s,
        next_s=rate.next_s,
        minimum=rate.minimum,
        free_s=rate.free_s,
        grace_s=rate.grace_s,
        digits=rounding.digits,
        mode=rounding.mode,
        precision_ms=rounding.precision_ms,
    )
