"""The cells of a rate sheet: text in, value out, a reason for people when it is neither."""

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from services.api.core.text import one_line

_LARGEST_PRICE = Decimal(10) ** 8
_MOST_DECIMALS = -10
_LONGEST_INTERVAL_S = 86_400
_PREFIX_NOISE = str.maketrans("", "", " -.()\u00a0")
_PAIR = re.compile(r"(\d{1,5})\s*[/+-]\s*(\d{1,5})(?:\s*[/+-]\s*(\d{1,5}))?")
_CLOSED = frozenset({"blocked", "closed", "close", "suspended", "inactive", "disabled", "locked",
                     "yes", "y", "true", "1", "block", "off"})  # fmt: skip
_OPEN = frozenset({"open", "active", "enabled", "new", "increase", "increased", "decrease",
                   "decreased", "unchanged", "nochange", "current", "same", "no", "n", "false",
                   "0", "on", "unblocked"})  # fmt: skip
_GONE = frozenset({"delete", "deleted", "remove", "removed", "discontinued"})
_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), start=1)}
_DATE = re.compile(
    r"(\d{1,4})[-/.]([A-Za-z]{3}|\d{1,2})[-/.](\d{1,4})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?"
)


class DateOrder(StrEnum):
    """How the sheet writes dates; month names and a leading year need no telling."""

    YMD = "ymd"
    DMY = "dmy"
    MDY = "mdy"


def prefix(text: str) -> str:
    """Digits of a dial code; ``+`` and separators fall away, ``*`` or ``default`` match all."""
    if text in ("*", "default"):
        return ""
    if "e+" in text.lower():
        raise ValueError(f"{text[:30]!r} was rounded by a spreadsheet: format the column as text")
    digits = text.translate(_PREFIX_NOISE).removeprefix("+")
    if not digits:
        raise ValueError("is empty; write * for the code that matches everything")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text[:30]!r} is not one dial code")
    if len(digits) > 18:
        raise ValueError("is longer than 18 digits")
    return digits


def destination(text: str) -> str:
    """A name on one line, at most 200 characters."""
    flat = " ".join(text.split())
    if len(flat) > 200:
        raise ValueError("is longer than 200 characters")
    return one_line(flat)


def price(text: str, *, decimal_comma: bool = False) -> Decimal:
    """A price from zero up, with at most ten decimals."""
    plain = text.replace(",", ".", 1) if decimal_comma and "." not in text else text
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"{text[:30]!r} is not a decimal number") from None
    if not value.is_finite() or value < 0:
        raise ValueError("must be a number from 0 up")
    if value >= _LARGEST_PRICE:
        raise ValueError("must be below 100000000")
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < _MOST_DECIMALS and _decimals(value) > 10:
        raise ValueError("has more than 10 decimals")
    return abs(value)


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def seconds(text: str) -> int:
    """Whole seconds, zero to a day."""
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > _LONGEST_INTERVAL_S:
        raise ValueError(f"{text[:30]!r} is not 0 to {_LONGEST_INTERVAL_S} seconds")
    return int(text)


def _interval(text: str) -> int:
    value = seconds(text)
    if value == 0:
        raise ValueError("an interval is at least 1 second")
    return value


def intervals(text: str) -> tuple[int, int]:
    """``30/6``, ``60+60`` or ``1-1``: first and next interval. ``0/6/6``-like triples too."""
    pair = _PAIR.fullmatch(text)
    if pair is None:
        raise ValueError(f"{text[:30]!r} is not first/next, such as 30/6")
    first, second, third = pair.groups()
    if third is not None:
        # setup/first/next, as some sheets write it; a set-up time has no meaning here.
        if int(first) != 0:
            raise ValueError(f"{text[:30]!r}: a leading interval other than 0 is not known")
        first, second = second, third
    return _interval(first), _interval(second)


def intervals_or_seconds(text: str) -> int | tuple[int, int]:
    """A cell under *Increment* holds either one number or a pair."""
    return _interval(text) if text.isdigit() else intervals(text)


def blocked(text: str) -> bool:
    """Whether a status or a yes/no says that the code is closed."""
    word = text.lower().replace(" ", "").replace("_", "")
    if word in _GONE:
        raise ValueError(f"{text[:30]!r}: send codes to remove in a sheet of their own (delete)")
    if word not in _CLOSED and word not in _OPEN:
        raise ValueError(f"{text[:30]!r} is neither open nor blocked")
    return word in _CLOSED


def instant(text: str, order: DateOrder) -> dt.datetime:
    """A date, or date and time; UTC unless the text says otherwise."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:30]!r} is not a date such as 2030-01-31")
    first, middle, last, hour, minute, second, zone = found.groups()
    year, month, day = _order(first, middle, last, order)
    try:
        return dt.datetime(
            year,
            month,
            day,
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=_zone(zone),
        ).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:30]!r} is not a day of the calendar") from None


def _order(first: str, middle: str, last: str, order: DateOrder) -> tuple[int, int, int]:
    if middle.isalpha():
        month = _MONTHS.get(middle.lower(), 0)
        year, day = (first, last) if len(first) == 4 else (last, first)
        return _year(year), month, int(day)
    if len(first) == 4:
        return int(first), int(middle), int(last)
    match order:
        case DateOrder.DMY:
            return _year(last), int(middle), int(first)
        case DateOrder.MDY:
            return _year(last), int(first), int(middle)
        case DateOrder.YMD:
            raise ValueError("is it day or month first? Say so with dates=dmy or dates=mdy")


def _year(text: str) -> int:
    return 2000 + int(text) if len(text) == 2 else int(text)


def _zone(text: str | None) -> dt.timezone:
    if text in (None, "Z"):
        return dt.UTC
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "")
    return dt.timezone(sign * dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))
