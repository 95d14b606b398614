"""From the end of a call to its charges, and from charges to ledger transfers."""

from decimal import Decimal
from typing import Final

import msgspec

from services.common.errors import Invalid
from services.common.events import CallEnded, Charge
from services.common.money import round_amount
from services.common.pricing.charge import UNIT_DIGITS, Tariff, from_units, tariff_of
from services.common.terms import Terms
from services.rating.core.credit import Backing, cover

REVENUE: Final = "revenue"
COST: Final = "cost"
CASH: Final = "cash"
CORRECTION: Final = "correction"
BOOKS: Final = frozenset({REVENUE, COST, CASH, CORRECTION})
"""The books that are not accounts of parties."""

LATENESS_MS: Final = 2000
"""Talk beyond what was reserved by less than this is our own lateness in hanging up: a call
that is cut for lack of money costs what was reserved, and no account goes below its limit."""

_NOTHING = b"null"
_LARGEST_UNITS = 10 ** (15 + UNIT_DIGITS)


class Transfer(msgspec.Struct, frozen=True):
    """One amount from one book to another; ``key`` makes it happen once."""

    key: str
    debit: str
    credit: str
    amount: Decimal
    currency: str
    kind: str
    call_id: str | None = None
    note: str = ""
    actor: str = ""


class Settlement(msgspec.Struct, frozen=True):
    """One ended call: what both sides owe, and what to book for it."""

    call: CallEnded
    customer: Charge | None
    vendor: Charge | None
    backing: Backing | None
    transfers: tuple[Transfer, ...]
    flaws: tuple[str, ...] = ()
    """What could not be priced, and why; the call is recorded without that charge."""

    @property
    def customer_key(self) -> str:
        """The key of the customer's transfer."""
        return f"{self.call.call_id}/customer"


def settle(call: CallEnded) -> Settlement:
    """Price both sides of a call by the terms it was set up with.

    Raises:
        Invalid: the call has no usable id.
    """
    if not call.call_id or "\x00" in call.call_id:
        raise Invalid("call_id", "is empty or has a NUL in it")
    flaws: list[str] = []
    backing = Backing.parse(call.reservation_id)
    customer = _charge(call.sell_terms, call, backing, flaws)
    vendor = _charge(_buy_terms(call), call, None, flaws)
    transfers = []
    if customer is not None and customer.amount:
        transfers.append(_transfer(call, "customer", customer.account_id, REVENUE, customer))
    if vendor is not None and vendor.amount:
        transfers.append(_transfer(call, "vendor", COST, vendor.account_id, vendor))
    return Settlement(call, customer, vendor, backing, tuple(transfers), tuple(flaws))


def _buy_terms(call: CallEnded) -> msgspec.Raw:
    answered = call.answered_attempt
    if answered is None or not 0 <= answered < len(call.attempts):
        return msgspec.Raw(_NOTHING)
    return call.attempts[answered].buy_terms


def _charge(
    raw: msgspec.Raw, call: CallEnded, backing: Backing | None, flaws: list[str]
) -> Charge | None:
    encoded = bytes(raw)
    if encoded in (_NOTHING, b""):
        return None
    try:
        tariff = tariff_of(encoded)
        terms = _checked(tariff.terms)
        billed_s, units = _price(tariff, call.talk_ms, backing)
        if units >= _LARGEST_UNITS:
            raise Invalid("amount", "is beyond what can be booked")
    except Invalid as error:
        flaws.append(str(error))
        return None
    return Charge(
        account_id=terms.account_id,
        currency=terms.currency,
        amount=round_amount(from_units(units), terms.digits, terms.mode),  # exact: no more digits
        billed_s=billed_s,
        rate_id=terms.rate_id,
        deck_id=terms.deck_id,
        prefix=terms.prefix,
        price=terms.next_price,
    )


def _checked(terms: Terms) -> Terms:
    account_id = terms.account_id
    if not account_id or "\x00" in account_id + terms.currency or account_id in BOOKS:
        raise Invalid("account_id", "is not an account")
    return terms


def _price(tariff: Tariff, talk_ms: int, backing: Backing | None) -> tuple[int, int]:
    """Billed seconds and units."""
    price = tariff.charge(talk_ms)
    if backing is None or price[1] <= backing.units:
        return price
    paid_ms = cover(tariff, backing.units).paid_ms
    return tariff.charge(paid_ms) if paid_ms < talk_ms <= paid_ms + LATENESS_MS else price


def _transfer(call: CallEnded, leg: str, debit: str, credit: str, charge: Charge) -> Transfer:
    return Transfer(
        key=f"{call.call_id}/{leg}",
        debit=debit,
        credit=credit,
        amount=charge.amount,
        currency=charge.currency,
        kind="call",
        call_id=call.call_id,
    )
