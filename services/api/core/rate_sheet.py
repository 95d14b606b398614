"""Reads rate sheets as vendors send them: many names for the same column, checked cell by cell."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from services.api.core import cells
from services.api.core.problems import Problem, Rejected

ALIASES: dict[str, tuple[str, ...]] = {
    "prefix": ("code", "prefix", "dialcode", "dialprefix", "dialingcode", "destinationcode",
               "areaprefix", "areacode", "codes", "number"),
    "destination": ("destination", "destinationname", "name", "description", "area", "areaname",
                    "country", "zone", "breakout"),
    "price": ("rate", "price", "rateperminute", "priceperminute", "ratemin", "pricemin",
              "permin", "perminute", "ratepermin", "cost", "charge"),
    "first_price": ("firstprice", "firstrate", "initialrate", "initialprice"),
    "next_price": ("nextprice", "nextrate", "additionalrate", "subsequentrate"),
    "connect_fee": ("connectfee", "connectionfee", "connectioncharge", "connectcharge",
                    "setupfee", "setupcharge"),
    "first_s": ("min", "firsts", "firstinterval", "firstincrement", "initialincrement",
                "minimumduration", "minduration", "minimumtime", "mintime", "initialinterval"),
    "next_s": ("increment", "nexts", "nextinterval", "nextincrement", "interval", "step",
               "subsequentincrement", "additionalincrement"),
    "intervals": ("minincrement", "increments", "billingincrement", "billingincrements",
                  "intervals", "billing", "billinginterval", "firstnext", "minimumincrement"),
    "minimum": ("minimum", "minimumcharge", "mincharge", "minimumcost"),
    "free_s": ("frees", "freeseconds", "freetime"),
    "grace_s": ("graces", "graceseconds", "graceperiod", "gracetime"),
    "blocked": ("blocked", "status", "state", "block", "locked", "routestatus"),
    "valid_from": ("validfrom", "effective", "effectivedate", "effectivefrom", "startdate",
                   "start", "from", "effectivetime"),
    "valid_till": ("validtill", "validto", "validuntil", "enddate", "end", "expires", "expiry",
                   "expirydate", "expirationdate", "till", "until"),
}  # fmt: skip
"""Column to the header texts that mean it, letters and digits only, in lower case."""

_COLUMN_OF = {alias: column for column, aliases in ALIASES.items() for alias in aliases}


class Mode(StrEnum):
    """What a sheet says about the deck."""

    FULL = "full"
    """It is the whole deck: codes it does not name end."""
    PARTIAL = "partial"
    """It adds and changes codes; the others stay."""
    DELETE = "delete"
    """It names the codes that end."""


class SheetRate(NamedTuple):
    """One row of a sheet, valid."""

    row: int
    prefix: str
    destination: str = ""
    connect_fee: Decimal = Decimal(0)
    first_price: Decimal = Decimal(0)
    next_price: Decimal = Decimal(0)
    first_s: int = 1
    next_s: int = 1
    minimum: Decimal = Decimal(0)
    free_s: int = 0
    grace_s: int = 0
    blocked: bool = False
    valid_from: dt.datetime | None = None
    """``None``: from the moment of the import."""
    valid_till: dt.datetime | None = None
    """``None``: until further notice."""


class RowError(NamedTuple):
    """Why one row was refused."""

    row: int
    column: str
    """The header as the sheet writes it."""
    reason: str


@dataclass(frozen=True, slots=True)
class Header:
    """Which column stands where."""

    titles: tuple[str, ...]
    columns: tuple[str | None, ...]
    """Our name of each column, ``None`` for one we do not know."""

    @property
    def ignored(self) -> list[str]:
        """Titles of the columns nothing is read from."""
        known = zip(self.titles, self.columns, strict=True)
        return [title for title, column in known if column is None and title]


def read_header(cells_of_header: Sequence[str], mode: Mode) -> Header:
    """Recognise the columns.

    Raises:
        Rejected: a column we need is missing, or two mean the same.
    """
    titles = tuple(cell.strip()[:100] for cell in cells_of_header)
    columns = tuple(_COLUMN_OF.get(_plain(title)) for title in titles)
    problems = [
        Problem("rows[1]", f"two columns mean {name}", "malformed_csv")
        for name in ALIASES
        if columns.count(name) > 1
    ]
    if "prefix" not in columns:
        problems.append(Problem("rows[1]", "no column Code, Prefix or Dial code", "malformed_csv"))
    if mode is not Mode.DELETE and not _priced(columns):
        problems.append(Problem("rows[1]", "no column Rate or Price", "malformed_csv"))
    if problems:
        raise Rejected(problems)
    return Header(titles, columns)


def _plain(title: str) -> str:
    return "".join(letter for letter in title.lower() if letter.isascii() and letter.isalnum())


def _priced(columns: Sequence[str | None]) -> bool:
    return "price" in columns or ("first_price" in columns and "next_price" in columns)


_Cell = Callable[[str], object]


class RateSheet:
    """Turns the rows under one header into rates or errors."""

    def __init__(
        self,
        header: Header,
        *,
        mode: Mode,
        dates: cells.DateOrder = cells.DateOrder.YMD,
        decimal_comma: bool = False,
    ) -> None:
        self._header = header
        self._mode = mode

        def amount(text: str) -> Decimal:
            return cells.price(text, decimal_comma=decimal_comma)

        def instant(text: str) -> dt.datetime | None:
            return cells.instant(text, dates)

        readers: dict[str, _Cell] = {
            "prefix": cells.prefix,
            "destination": cells.destination,
            "intervals": cells.intervals,
            "first_s": cells.intervals_or_seconds,
            "next_s": cells.intervals_or_seconds,
            "free_s": cells.seconds,
            "grace_s": cells.seconds,
            "blocked": cells.blocked,
            "valid_from": instant,
            "valid_till": instant,
        } | dict.fromkeys(("price", "first_price", "next_price", "connect_fee", "minimum"), amount)
        self._plan = [
            (position, column, readers[column])
            for position, column in enumerate(header.columns)
            if column is not None and (mode is not Mode.DELETE or column == "prefix")
        ]

    def read(self, row: int, values: list[str]) -> SheetRate | RowError:
        """One row; the first thing wrong with it decides."""
        if any(values[len(self._header.titles) :]):
            return RowError(row, "", "has more cells than the header")
        fields: dict[str, object] = {}
        for position, column, reader in self._plan:
            text = values[position].strip() if position < len(values) else ""
            if not text and column != "prefix":
                continue
            try:
                fields[column] = reader(text)
            except ValueError as error:
                return RowError(row, self._header.titles[position], str(error))
        return self._whole(row, fields)

    def _whole(self, row: int, fields: dict[str, object]) -> SheetRate | RowError:
        """Brings the cells together: one price is both, one interval pair is two."""
        for pair in ("next_s", "first_s", "intervals"):
            both = fields.get(pair)
            if isinstance(both, tuple):
                fields.pop(pair)
                fields["first_s"], fields["next_s"] = both
        price = fields.pop("price", None)
        if price is not None:
            fields.setdefault("first_price", price)
            fields.setdefault("next_price", price)
        if reason := self._incomplete(fields):
            return RowError(row, *reason)
        return SheetRate(row=row, **fields)  # type: ignore[arg-type]  # each reader made its type

    def _incomplete(self, fields: dict[str, object]) -> tuple[str, str] | None:
        if self._mode is Mode.DELETE:
            return None
        if fields.get("blocked"):
            # A blocked code needs no price: it is never sold.
            return _ends_early(fields)
        for needed in ("first_price", "next_price"):
            if needed not in fields:
                return self._title("price", needed), "no price"
        return _ends_early(fields)

    def _title(self, *columns: str) -> str:
        for title, column in zip(self._header.titles, self._header.columns, strict=True):
            if column in columns:
                return title
        return columns[0]


def _ends_early(fields: dict[str, object]) -> tuple[str, str] | None:
    start, end = fields.get("valid_from"), fields.get("valid_till")
    if isinstance(start, dt.datetime) and isinstance(end, dt.datetime) and end <= start:
        return "valid_till", "ends before it begins"
    return None
