"""The kinds of values that requests carry, each checked where it enters."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from services.api.core.address import USERNAME, host_name, trunk_address
from services.api.core.keys import known_scope
from services.api.core.target import parse_target
from services.api.core.text import many_lines, one_line, plain_json
from services.api.core.webhook_event import TYPES
from services.common.errors import Invalid
from services.common.money import parse_amount, to_text
from services.common.sip_options.flaws import InvalidOptions
from services.common.sip_options.trunk import (
    CustomerSip,
    T,
    VendorSip,
    inlined_schema,
    plain,
    read_options,
)

OPTIONS = "sip_options"
"""The code of an error that stands for all that is wrong with the options of a trunk."""

# The digits a binary float carries for sure: a JSON number within them was meant exactly so.
_EXACT_FLOAT_DIGITS = 15

UNSET: Any = Field(default_factory=lambda: None)
"""A field that may be left out of a patch; null is no value for it."""

EMPTY: Any = Field(default_factory=list)
NOTHING: Any = Field(default_factory=dict)


class Shape(BaseModel):
    """What a body looks like; a field we do not know is an error, not a silent loss."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _decimal(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a decimal string")
    if isinstance(value, float):
        if len(Decimal(repr(value)).as_tuple().digits) > _EXACT_FLOAT_DIGITS:
            raise ValueError("has more digits than a number can carry: send it as a string")
        return _parsed(repr(value))
    if isinstance(value, str | int):
        return _parsed(str(value)[:60])
    return value


def _parsed(text: str) -> Decimal:
    try:
        return parse_amount(text)
    except Invalid as error:
        raise ValueError(error.reason) from error


def _at_least_zero(value: Decimal) -> Decimal:
    if value < 0:
        raise ValueError("must not be negative")
    return abs(value)  # "-0" is 0


def _price(value: Decimal) -> Decimal:
    if value >= Decimal(10) ** 8:
        raise ValueError("must be below 100000000")
    return _at_least_zero(value)


def _not_zero(value: Decimal) -> Decimal:
    if value == 0:
        raise ValueError("must not be 0")
    return value


_MONEY_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": r"^-?\d{1,15}(\.\d{1,10})?$", "examples": ["12.50"]}
)
Amount = Annotated[
    Decimal, BeforeValidator(_decimal), PlainSerializer(to_text, return_type=str), _MONEY_SCHEMA
]
"""A decimal string; whole numbers and short JSON numbers are taken too."""
PositiveAmount = Annotated[Amount, AfterValidator(_at_least_zero)]
Price = Annotated[Amount, AfterValidator(_price)]
NonZeroAmount = Annotated[Amount, AfterValidator(_not_zero)]


def _aware(value: dt.datetime) -> dt.datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, such as Z")
    if not 1970 <= value.year <= 9990:
        raise ValueError("is outside the years 1970 to 9990")
    return value.astimezone(dt.UTC)


Instant = Annotated[dt.datetime, Field(strict=False), AfterValidator(_aware)]
"""RFC 3339 with a zone."""


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _scope(text: str) -> str:
    if not known_scope(text):
        raise ValueError("is no scope; see the resources, with :read, :write or :*")
    return text


def _event(text: str) -> str:
    if text not in TYPES:
        raise ValueError(f"is none of {', '.join(TYPES)}")
    return text


def _url(text: str) -> str:
    parse_target(text)
    return text


def _line(longest: int, shortest: int = 0) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not shortest <= len(text) <= longest:
            raise ValueError(f"must have {shortest} to {longest} characters")
        return one_line(text)

    return check


Line = Annotated[str, AfterValidator(_line(500))]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True), AfterValidator(_line(200, shortest=1))
]
Id = Annotated[str, AfterValidator(_line(100, shortest=1))]
Username = Annotated[str, StringConstraints(pattern=rf"^{USERNAME.pattern}$")]
TechPrefix = Annotated[str, StringConstraints(pattern=r"^[+0-9*#]{0,16}$")]
FromUser = Annotated[str, AfterValidator(_line(64))]
Sheet = Annotated[str, AfterValidator(many_lines)]
Number = Annotated[str, AfterValidator(_line(64, shortest=1))]
"""A telephone number as somebody dialled it."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,18}$")]
Address = Annotated[str, AfterValidator(trunk_address)]
Addresses = Annotated[list[Address], Field(max_length=1000), AfterValidator(_unique)]
Host = Annotated[str, AfterValidator(host_name)]
Ids = Annotated[list[Id], Field(max_length=10_000), AfterValidator(_unique)]
Scope = Annotated[str, AfterValidator(_scope)]
Scopes = Annotated[list[Scope], Field(max_length=100), AfterValidator(_unique)]
Url = Annotated[str, AfterValidator(one_line), AfterValidator(_url)]
EventType = Annotated[str, AfterValidator(_event)]
Events = Annotated[list[EventType], Field(max_length=20), AfterValidator(_unique)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Interval = Annotated[int, Field(ge=1, le=86_400)]
SipCode = Annotated[int, Field(ge=300, le=699)]


class Credential(Shape):
    """A username of a customer and its password."""

    username: Username
    password: Annotated[str, AfterValidator(_line(256, shortest=8))] | None = None
    """Never shown; left out, it stays as it was."""


def _credentials(values: list[Credential]) -> list[dict[str, str | None]]:
    names = [one.username for one in values]
    if len(set(names)) < len(names):
        raise ValueError("must not name a username twice")
    return [one.model_dump() for one in values]


Credentials = Annotated[list[Credential], Field(max_length=1000), AfterValidator(_credentials)]


def _sip_options(kind: type[T]) -> Callable[[object], object]:
    def check(value: object) -> object:
        try:
            return plain(read_options(kind, value))
        except InvalidOptions as error:
            raise PydanticCustomError(
                OPTIONS, "{said}", {"said": str(error), "flaws": error.flaws}
            ) from None

    return check


def _sip_schema(kind: type[CustomerSip] | type[VendorSip]) -> WithJsonSchema:
    """Groups written out in place: the generator of pydantic knows nothing of their names."""
    return WithJsonSchema(inlined_schema(kind))


CustomerSipOptions = Annotated[
    dict[str, Any], BeforeValidator(_sip_options(CustomerSip)), _sip_schema(CustomerSip)
]
VendorSipOptions = Annotated[
    dict[str, Any], BeforeValidator(_sip_options(VendorSip)), _sip_schema(VendorSip)
]
Json = Annotated[Any, AfterValidator(plain_json)]
