"""A deck as one account pays it, or is paid: what calls cost, and the terms to charge by."""

import datetime as dt
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from services.common.money import RoundingMode
from services.common.pricing.prefix_table import SCALE, PrefixTable, Prices
from services.common.terms import Terms, encode_terms

COMPARED_S = 60
"""Vendors are compared by what a call of this length costs."""

_UNIT = 10**SCALE
_KEPT = (
    4096  # some 2 MB per deck; a full memory starts anew, which costs each row in use some 3 us
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays or is paid, as far as routing needs to know."""

    id: str
    name: str
    currency: str
    enabled: bool = True
    digits: int = 6
    mode: RoundingMode = RoundingMode.HALF_UP
    precision_ms: int = 1


class Deck(msgspec.Struct, frozen=True, kw_only=True):
    """A rate deck; ``version`` moves with every change of its rows."""

    id: str
    name: str
    currency: str
    version: int
    table: PrefixTable


class _Charged:
    """What the rows of a deck with the same prices have in common."""

    __slots__ = ("blocked", "cost", "cost_text", "prices", "terms")

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.blocked = prices.blocked
        self.cost = minute_cost(prices)
        self.cost_text = scaled_text(self.cost)
        self.terms: Terms | None = None


class Offer:
    """One row of a priced deck, ready to be compared and explained."""

    __slots__ = (
        "blocked",
        "charged",
        "cost",
        "cost_text",
        "encoded",
        "prefix",
        "rate_id",
        "till_us",
    )

    def __init__(self, rate_id: int, prefix: str, till_us: int, charged: _Charged) -> None:
        self.rate_id = rate_id
        self.prefix = prefix
        self.till_us = till_us
        self.charged = charged
        self.blocked = charged.blocked
        self.cost = charged.cost
        """Of a call of a minute, in units of 10^-10 of the currency."""
        self.cost_text = charged.cost_text
        self.encoded = b""


class PricedDeck:
    """The offers of one deck to one account; remembers what it was asked for."""

    __slots__ = ("_charged", "_find", "_offers", "account", "deck")

    def __init__(self, deck: Deck, account: Account) -> None:
        self.deck = deck
        self.account = account
        self._find = deck.table.find
        self._offers: dict[int, Offer] = {}
        self._charged: dict[int, _Charged] = {}

    def find(self, called: str, key: int, at_us: int) -> Offer | None:
        """The offer that decides for ``called``, whose key is ``key``, at this instant.

        ``None`` when the deck does not know the number. A blocked offer, or one that ended
        (``till_us``), closes the code.
        """
        row = self._find(key, at_us)
        if row < 0:
            return None
        return self._offers.get(row) or self._prepare(row, called)

    def _prepare(self, row: int, called: str) -> Offer:
        if len(self._offers) >= _KEPT:
            self._offers.clear()
            self._charged.clear()
        rate_id, length, till_us, prices = self.deck.table.brief(row)
        charged = self._charged.get(prices)
        if charged is None:
            charged = self._charged[prices] = _Charged(self.deck.table.prices(prices))
        offer = self._offers[row] = Offer(rate_id, called[:length], till_us, charged)
        return offer

    def terms(self, offer: Offer) -> bytes:
        """The encoded terms that a call on this offer is charged by."""
        if not offer.encoded:
            charged = offer.charged
            if charged.terms is None:
                charged.terms = self._terms(charged.prices)
            terms = replace(charged.terms, rate_id=offer.rate_id, prefix=offer.prefix)
            offer.encoded = encode_terms(terms)
        return offer.encoded

    def _terms(self, prices: Prices) -> Terms:
        account = self.account
        return Terms(
            account_id=account.id,
            rate_id=0,
            deck_id=self.deck.id,
            prefix="",
            currency=account.currency,
            connect_fee=_decimal(prices.connect_fee),
            first_price=_decimal(prices.first_price),
            next_price=_decimal(prices.next_price),
            first_s=prices.first_s,
            next_s=prices.next_s,
            minimum=_decimal(prices.minimum),
            free_s=prices.free_s,
            grace_s=prices.grace_s,
            digits=account.digits,
            mode=account.mode,
            precision_ms=account.precision_ms,
        )


def minute_cost(prices: Prices) -> int:
    """What a call of exactly a minute costs, in units of 10^-10, before the account's rounding.

    Connect fee, intervals, minimum and free seconds are in it, so a dear connect fee or a long
    interval cannot hide behind a low price per minute. Under 1/1 and 60/60 without fees it is the
    price per minute itself.
    """
    talk_s = COMPARED_S - prices.free_s
    if talk_s <= 0 or prices.grace_s >= COMPARED_S:
        return 0
    further = -(-max(0, talk_s - prices.first_s) // prices.next_s) * prices.next_s
    by_sixty = prices.first_s * prices.first_price + further * prices.next_price
    return max(prices.connect_fee + (by_sixty + 30) // 60, prices.minimum)


def scaled_text(amount: int) -> str:
    """An amount in units of 10^-10, not negative, as a decimal string without trailing zeros."""
    whole, fraction = divmod(amount, _UNIT)
    return f"{whole}.{fraction:0{SCALE}d}".rstrip("0") if fraction else str(whole)


def instant_text(at_us: int) -> str:
    """Microseconds since 1970 as people write an instant, to the second, UTC."""
    try:
        return f"{_EPOCH + dt.timedelta(microseconds=at_us):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # the database keeps years before 1 and after 9999
        return f"{at_us // 1_000_000} s after 1970"


def _decimal(amount: int) -> Decimal:
    return Decimal(scaled_text(amount))
