"""Bodies that are no configuration objects: whole switches, payments, quotes, simulations."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from services.api.core.apply import SECTIONS, Entry
from services.api.core.kinds import Kind
from services.api.core.rate_sheet import SheetRate
from services.api.core.records import Record
from services.api.entrypoints.http.fields import (
    EMPTY,
    NOTHING,
    Amount,
    Count,
    Currency,
    Id,
    Ids,
    Instant,
    Interval,
    Json,
    Line,
    Name,
    NonZeroAmount,
    Number,
    Price,
    Seconds,
    Shape,
    Sheet,
)
from services.api.entrypoints.http.schemas import (
    AccountCreate,
    CustomerTrunkCommon,
    Digits,
    PrecisionMs,
    RateCreate,
    RateDeckCreate,
    Rounding,
    UserCreate,
    VendorTrunkCommon,
    WebhookCreate,
)

_MOST = 10_000


class ApplyRateDeck(RateDeckCreate):
    """A deck and, when listed, all of its rates: codes that are not listed end."""

    rates: Annotated[list[RateCreate], Field(max_length=100_000)] | None = None
    rates_csv: Sheet | None = None
    """The text of a sheet, as an import takes it."""

    @model_validator(mode="after")
    def _check_rates(self) -> "ApplyRateDeck":
        if self.rates is not None and self.rates_csv is not None:
            raise ValueError("give rates or rates_csv, not both")
        return self


class ApplyVendorTrunk(VendorTrunkCommon):
    """A vendor trunk; account and deck by name."""

    account: Name
    rate_deck: Name


class ApplyCustomerTrunk(CustomerTrunkCommon):
    """A customer trunk; account, deck and allowed vendor trunks by name."""

    account: Name
    rate_deck: Name
    vendor_trunks: Annotated[list[Name], Field(max_length=_MOST)] = EMPTY


class ApplyDocument(Shape):
    """A whole switch, or a part of it: what is not described stays as it is."""

    accounts: Annotated[list[AccountCreate], Field(max_length=_MOST)] = EMPTY
    rate_decks: Annotated[list[ApplyRateDeck], Field(max_length=_MOST)] = EMPTY
    vendor_trunks: Annotated[list[ApplyVendorTrunk], Field(max_length=_MOST)] = EMPTY
    customer_trunks: Annotated[list[ApplyCustomerTrunk], Field(max_length=_MOST)] = EMPTY
    users: Annotated[list[UserCreate], Field(max_length=_MOST)] = EMPTY
    webhooks: Annotated[list[WebhookCreate], Field(max_length=_MOST)] = EMPTY
    settings: dict[Name, Json] = NOTHING

    def shapes(self) -> list[tuple[str, Kind, Shape]]:
        """Every described object but the settings, with its path."""
        return [
            (f"{section}[{index}]", kind, shape)
            for section, kind in SECTIONS.items()
            if kind is not Kind.SETTING
            for index, shape in enumerate(getattr(self, section))
        ]

    def setting_entries(self) -> list[Entry]:
        """The described settings."""
        return [
            Entry(f"settings.{name}", Kind.SETTING, {"name": name, "value": value},
                  frozenset({"value"}))
            for name, value in self.settings.items()
        ]  # fmt: skip


def given(shape: Shape) -> Record:
    """The fields a body names."""
    return {name: getattr(shape, name) for name in shape.model_fields_set}


def everything(shape: Shape) -> Record:
    """All fields of a body, defaults included."""
    return {name: getattr(shape, name) for name in type(shape).model_fields}


def sheet_rate(rate: RateCreate, row: int) -> SheetRate:
    """A row of a body as a row of a sheet."""
    zero = Decimal(0)
    first = rate.first_price if rate.first_price is not None else rate.price
    following = rate.next_price if rate.next_price is not None else rate.price
    return SheetRate(
        row=row,
        prefix=rate.prefix,
        destination=rate.destination,
        connect_fee=rate.connect_fee,
        first_price=first if first is not None else zero,
        next_price=following if following is not None else zero,
        first_s=rate.first_s,
        next_s=rate.next_s,
        minimum=rate.minimum,
        free_s=rate.free_s,
        grace_s=rate.grace_s,
        blocked=rate.blocked,
        valid_from=rate.valid_from,
        valid_till=rate.valid_till,
    )


class PaymentCreate(Shape):
    """Money received (positive) or paid out (negative), or a correction of the books."""

    account_id: Id
    amount: NonZeroAmount
    currency: Currency
    kind: Literal["payment", "correction"] = "payment"
    note: Line = ""


class Payment(Shape):
    """A booked payment."""

    id: str
    account_id: str
    amount: Amount
    currency: str
    kind: str
    note: str
    actor: str
    balance: Amount | None = None
    """Of the account afterwards; only in the answer to its creation."""
    at: str | None = None


class InlineRate(Shape):
    """Terms to quote by, without any deck."""

    currency: Currency = "USD"
    price: Price | None = None
    first_price: Price | None = None
    next_price: Price | None = None
    connect_fee: Price = Decimal(0)
    first_s: Interval = 1
    next_s: Interval = 1
    minimum: Price = Decimal(0)
    free_s: Seconds = 0
    grace_s: Seconds = 0

    @model_validator(mode="after")
    def _check_price(self) -> "InlineRate":
        if self.price is None and (self.first_price is None or self.next_price is None):
            raise ValueError("give price, or first_price and next_price")
        return self


class RoundingOrder(Shape):
    """How amounts are rounded."""

    mode: Rounding = "half_up"
    digits: Digits = 6
    precision_ms: PrecisionMs = 1


DurationMs = Annotated[int, Field(ge=0, le=31_536_000_000)]


class QuoteOrder(Shape):
    """What to price: ``rate_deck_id`` and ``number``, or ``rate``; and which durations."""

    durations_ms: Annotated[list[DurationMs], Field(max_length=1000)] = EMPTY
    durations_s: Annotated[
        list[Annotated[int, Field(ge=0, le=31_536_000)]], Field(max_length=1000)
    ] = EMPTY
    rate_deck_id: Id | None = None
    number: Number | None = None
    at: Instant | None = None
    rate: InlineRate | None = None
    account_id: Id | None = None
    """Whose rounding to use, unless ``rounding`` is given."""
    rounding: RoundingOrder | None = None
    tax_percent: Amount = Decimal(0)

    @model_validator(mode="after")
    def _check_source(self) -> "QuoteOrder":
        if not self.durations_ms and not self.durations_s:
            raise ValueError("give durations_ms or durations_s")
        by_deck = self.rate_deck_id is not None and self.number is not None
        if by_deck == (self.rate is not None):
            raise ValueError("give rate_deck_id and number, or rate")
        return self

    @property
    def all_ms(self) -> list[int]:
        """Every duration, in milliseconds."""
        return [*self.durations_ms, *(one * 1000 for one in self.durations_s)]


class OfferedRoute(Shape):
    """A route as a routing server would offer it."""

    vendor_trunk: Annotated[str, Field(min_length=1, max_length=200)]
    """Id or name of a vendor trunk, or its host."""
    called: Annotated[str, Field(max_length=64)] = ""
    """As sent; in the vendor trunk's notation when left out."""
    caller: Annotated[str, Field(max_length=64)] | None = None
    max_call_s: Annotated[int, Field(ge=0, le=31_536_000)] = 0


class SimulationOrder(Shape):
    """A call to plan without placing it; the trunk by id or by name."""

    customer_trunk_id: Id | None = None
    customer_trunk: Name | None = None
    caller: Annotated[str, Field(max_length=64)] = ""
    called: Number
    at: Instant | None = None
    """The instant that decides which rates are in force; now when left out."""
    busy_vendor_trunk_ids: Ids = EMPTY
    offered: Annotated[list[OfferedRoute], Field(max_length=100)] = EMPTY
    """Exactly these are considered, in this order."""

    @model_validator(mode="after")
    def _check_trunk(self) -> "SimulationOrder":
        if (self.customer_trunk_id is None) == (self.customer_trunk is None):
            raise ValueError("give customer_trunk_id or customer_trunk")
        return self


class Page(Shape):
    """One page of a list."""

    data: list[Any]
    next: str | None
    """What to send as ``after`` for the next page; null on the last."""


class CallPage(Page):
    """Live calls."""

    total: Count
