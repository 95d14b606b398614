"""Bodies of the configuration objects: one shape per operation."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.api.core.webhook import valid_secret
from services.api.entrypoints.http.fields import (
    EMPTY,
    NOTHING,
    UNSET,
    Addresses,
    Amount,
    Count,
    Credentials,
    Currency,
    CustomerSipOptions,
    Events,
    FromUser,
    Host,
    Id,
    Ids,
    Instant,
    Interval,
    Json,
    Line,
    Name,
    PositiveAmount,
    Prefix,
    Price,
    Scopes,
    Seconds,
    Shape,
    SipCode,
    TechPrefix,
    Url,
    Username,
    VendorSipOptions,
)

Rounding = Literal["half_up", "up", "down"]
Digits = Annotated[int, Field(ge=0, le=10)]
PrecisionMs = Annotated[int, Field(ge=1, le=1000)]
ReserveS = Annotated[int, Field(ge=1, le=3600)]
MaxCallS = Annotated[int, Field(ge=1, le=31_536_000)]
MaxAttempts = Annotated[int, Field(ge=1, le=100)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
Weight = Annotated[int, Field(ge=0, le=10_000)]
Strip = Annotated[int, Field(ge=0, le=18)]
Prepend = Annotated[str, Field(pattern=r"^[+0-9*#]{0,24}$")]
TryingMs = Annotated[int, Field(ge=500, le=32_000)]
RingingMs = Annotated[int, Field(ge=1000, le=600_000)]
StopCodes = Annotated[list[SipCode], Field(max_length=100)]


class Stamped(Shape):
    """What every stored object has."""

    created_at: str
    updated_at: str


class AccountCreate(Shape):
    """A party that pays us or is paid by us."""

    name: Name
    currency: Currency
    enabled: bool = True
    credit_limit: PositiveAmount = Decimal(0)
    """How far below zero the balance may go."""
    digits: Digits = 6
    """Decimals of a charge."""
    rounding: Rounding = "half_up"
    precision_ms: PrecisionMs = 1
    """A fraction of a second from here on counts as a second."""
    reserve_s: ReserveS = 60
    """Talk time reserved ahead per call."""


class AccountPatch(Shape):
    """Fields of an account that may change; the currency may not."""

    name: Name = UNSET
    enabled: bool = UNSET
    credit_limit: PositiveAmount = UNSET
    digits: Digits = UNSET
    rounding: Rounding = UNSET
    precision_ms: PrecisionMs = UNSET
    reserve_s: ReserveS = UNSET


class Account(AccountCreate, Stamped):
    """An account, with its money."""

    id: str
    balance: Amount
    reserved: Amount
    """Set aside for calls in progress."""


class RateDeckCreate(Shape):
    """A price list."""

    name: Name
    currency: Currency


class RateDeckPatch(Shape):
    """Fields of a deck that may change."""

    name: Name = UNSET


class RateDeck(RateDeckCreate, Stamped):
    """A price list; its rates are a list of their own."""

    id: str
    version: int
    """Moves with every change of its rates."""


class CustomerTrunkCommon(Shape):
    """What a customer trunk is, references aside."""

    name: Name
    addresses: Addresses = EMPTY
    """Where its calls come from: ``192.0.2.1``, with a port, which then wins, or a network."""
    tech_prefix: TechPrefix = ""
    """What called numbers from these addresses begin with; it is taken off."""
    from_user: FromUser = ""
    """The user of From, where trunks share an address."""
    credentials: Credentials = EMPTY
    """Usernames, unique in the switch, with passwords that are never shown."""
    enabled: bool = True
    max_calls: Count | None = None
    max_cps: Count | None = None
    max_call_s: MaxCallS | None = None
    max_attempts: MaxAttempts = 5
    media_proxy: bool = True
    sip: CustomerSipOptions = NOTHING
    """How the customer is spoken to; a patch replaces all of it."""


class CustomerTrunkCreate(CustomerTrunkCommon):
    """Where a customer's calls come in."""

    account_id: Id
    rate_deck_id: Id
    vendor_trunk_ids: Ids = EMPTY
    """The vendors it may use; none listed: all."""


class CustomerTrunkPatch(Shape):
    """Fields of a customer trunk that may change."""

    name: Name = UNSET
    account_id: Id = UNSET
    rate_deck_id: Id = UNSET
    addresses: Addresses = UNSET
    tech_prefix: TechPrefix = UNSET
    from_user: FromUser = UNSET
    credentials: Credentials = UNSET
    vendor_trunk_ids: Ids = UNSET
    enabled: bool = UNSET
    max_calls: Count | None = None
    max_cps: Count | None = None
    max_call_s: MaxCallS | None = None
    max_attempts: MaxAttempts = UNSET
    media_proxy: bool = UNSET
    sip: CustomerSipOptions = UNSET


class ShownCredential(Shape):
    """A username; its password is never shown."""

    username: Username


class CustomerTrunk(CustomerTrunkCreate, Stamped):
    """A stored customer trunk."""

    id: str
    credentials: list[ShownCredential]  # type: ignore[assignment]  # shown without passwords


class VendorTrunkCommon(Shape):
    """What a vendor trunk is, references aside."""

    name: Name
    host: Host
    port: Port = 5060
    transport: Literal["udp", "tcp", "tls"] = "udp"
    enabled: bool = True
    priority: Priority = 100
    """Among equal costs the smaller is tried first."""
    weight: Weight = 1
    """Share among equal cost and priority."""
    max_calls: Count | None = None
    max_cps: Count | None = None
    media_proxy: bool = True
    callee_strip: Strip = 0
    callee_prepend: Prepend = ""
    trying_timeout_ms: TryingMs = 5000
    ringing_timeout_ms: RingingMs = 120_000
    stop_codes: StopCodes = EMPTY
    """SIP codes that end the search for a vendor, instead of the usual ones."""
    sip: VendorSipOptions = NOTHING
    """How the vendor is spoken to; a patch replaces all of it."""


class VendorTrunkCreate(VendorTrunkCommon):
    """Where calls go out."""

    account_id: Id
    rate_deck_id: Id


class VendorTrunkPatch(Shape):
    """Fields of a vendor trunk that may change."""

    name: Name = UNSET
    account_id: Id = UNSET
    rate_deck_id: Id = UNSET
    host: Host = UNSET
    port: Port = UNSET
    transport: Literal["udp", "tcp", "tls"] = UNSET
    enabled: bool = UNSET
    priority: Priority = UNSET
    weight: Weight = UNSET
    max_calls: Count | None = None
    max_cps: Count | None = None
    media_proxy: bool = UNSET
    callee_strip: Strip = UNSET
    callee_prepend: Prepend = UNSET
    trying_timeout_ms: TryingMs = UNSET
    ringing_timeout_ms: RingingMs = UNSET
    stop_codes: StopCodes = UNSET
    sip: VendorSipOptions = UNSET


class VendorTrunk(VendorTrunkCreate, Stamped):
    """A stored vendor trunk."""

    id: str


class UserCreate(Shape):
    """Somebody, or something, that holds API keys."""

    name: Name
    scopes: Scopes = EMPTY
    enabled: bool = True


class UserPatch(Shape):
    """Fields of a user that may change."""

    name: Name = UNSET
    scopes: Scopes = UNSET
    enabled: bool = UNSET


class User(UserCreate, Stamped):
    """A stored user."""

    id: str


class ApiKeyCreate(Shape):
    """A new key for a user."""

    user_id: Id
    expires_at: Instant | None = None


class ApiKey(Shape):
    """A key; the secret itself is shown once, when it is made."""

    id: str
    user_id: str
    prefix: str
    last_four: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    created_at: str
    secret: str | None = None


def _secret(value: str | None) -> str | None:
    if value is not None and not valid_secret(value):
        raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
    return value


class WebhookCreate(Shape):
    """An endpoint that is told of calls."""

    url: Url
    events: Events = EMPTY
    """``call.setup``, ``call.ringing``, ``call.answer``, ``call.end``; none listed: all."""
    enabled: bool = True
    secret: Line | None = None
    """Made for you when left out."""

    @model_validator(mode="after")
    def _check_secret(self) -> "WebhookCreate":
        _secret(self.secret)
        return self


class WebhookPatch(Shape):
    """Fields of a webhook that may change."""

    url: Url = UNSET
    events: Events = UNSET
    enabled: bool = UNSET


class Webhook(Shape):
    """A stored webhook; the secret is shown when it is made or replaced."""

    id: str
    url: str
    events: list[str]
    enabled: bool
    disabled_because: str | None
    is_rotating: bool
    """Two secrets are in force."""
    secret: str | None = None
    created_at: str
    updated_at: str


class RotateSecret(Shape):
    """How a webhook's secret is replaced."""

    keep_previous: bool = True
    """Sign with both, until the next rotation without this."""


class SettingValue(Shape):
    """The value of a setting."""

    value: Json


class Setting(Shape):
    """A setting as it holds now."""

    name: str
    value: Json
    """The default while it is not set."""
    is_set: bool
    type: Literal["boolean", "integer", "string"] | None = None
    default: Json = None
    minimum: int | None = None
    maximum: int | None = None
    meaning: str | None = None
    updated_at: str | None = None


class RateCommon(Shape):
    """What a rate costs."""

    destination: Annotated[Line, Field(max_length=200)] = ""
    connect_fee: Price = Decimal(0)
    first_s: Interval = 1
    next_s: Interval = 1
    minimum: Price = Decimal(0)
    free_s: Seconds = 0
    grace_s: Seconds = 0


class RateCreate(RateCommon):
    """A row of a deck. ``price`` is per minute and stands for both intervals."""

    prefix: Prefix
    price: Price | None = None
    first_price: Price | None = None
    next_price: Price | None = None
    blocked: bool = False
    valid_from: Instant | None = None
    valid_till: Instant | None = None

    @model_validator(mode="after")
    def _check_price(self) -> "RateCreate":
        first = self.first_price if self.first_price is not None else self.price
        following = self.next_price if self.next_price is not None else self.price
        if not self.blocked and (first is None or following is None):
            raise ValueError("give price, or first_price and next_price")
        if self.valid_from and self.valid_till and self.valid_till <= self.valid_from:
            raise ValueError("valid_till must be after valid_from")
        return self


class RatePatch(Shape):
    """Corrections of a row."""

    destination: Annotated[Line, Field(max_length=200)] = UNSET
    connect_fee: Price = UNSET
    first_price: Price = UNSET
    next_price: Price = UNSET
    first_s: Interval = UNSET
    next_s: Interval = UNSET
    minimum: Price = UNSET
    free_s: Seconds = UNSET
    grace_s: Seconds = UNSET
    blocked: bool = UNSET
    valid_from: Instant = UNSET
    valid_till: Instant = UNSET


class RateEnd(Shape):
    """When a row ends; now when left out."""

    at: Instant | None = None


class Rate(RateCommon):
    """A stored row; null dates are the beginning and the end of time."""

    id: int
    rate_deck_id: str
    prefix: str
    first_price: Amount
    next_price: Amount
    blocked: bool
    valid_from: str | None
    valid_till: str | None
