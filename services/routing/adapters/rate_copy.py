"""A deck's rows as Postgres copies them out, made into a prefix table as they arrive."""

from collections.abc import Iterator
from decimal import Decimal

from services.common.pricing.charge import to_units
from services.common.pricing.prefix_table import (
    ALWAYS_US,
    NEVER_US,
    PrefixTable,
    PrefixTableBuilder,
    Prices,
)

# Prices and validity travel as one text each: few are distinct, and only those are parsed.
# The order is that of the table's keys whatever the collation of the database.
COPY_RATES = f"""
    SELECT prefix, id,
           concat_ws(' ', connect_fee, first_price, next_price, minimum,
                     first_s, next_s, free_s, grace_s, blocked::int),
           CASE WHEN isfinite(valid_from) OR isfinite(valid_till) THEN concat_ws(' ',
             CASE WHEN isfinite(valid_from)
                  THEN trunc(extract(epoch FROM valid_from) * 1000000) ELSE {ALWAYS_US} END,
             CASE WHEN isfinite(valid_till)
                  THEN trunc(extract(epoch FROM valid_till) * 1000000) ELSE {NEVER_US} END)
           ELSE '' END
      FROM config.rate
     WHERE deck_id = $1
     ORDER BY prefix COLLATE "C", valid_from, id
"""  # noqa: S608 - two constants of ours
"""Run by COPY in text format, whose lines :meth:`DeckReader.feed` takes."""


class DeckReader:
    """Takes the text of one COPY in pieces as they come, and ends up with the table."""

    def __init__(self) -> None:
        self._builder = PrefixTableBuilder()
        self._rest = b""
        self._prices: dict[str, int] = {}
        self._validities: dict[str, int] = {}

    def feed(self, piece: bytes) -> None:
        """Take some bytes, which may end within a line."""
        head, newline, rest = piece.rpartition(b"\n")
        if not newline:
            self._rest += piece
            return
        whole, self._rest = self._rest + head, rest
        self._builder.extend(self._rows(whole.decode("ascii")))

    def table(self) -> PrefixTable:
        """The table, once every line was fed."""
        return self._builder.build()

    def _rows(self, lines: str) -> Iterator[tuple[str, int, int, int]]:
        prices, validities = self._prices, self._validities
        for line in lines.split("\n"):
            prefix, rate_id, priced, valid = line.split("\t")
            if (at := prices.get(priced)) is None:
                at = prices[priced] = self._builder.prices(_prices(priced))
            if (during := validities.get(valid)) is None:
                during = validities[valid] = self._builder.validity(*_validity(valid))
            yield prefix, int(rate_id), at, during


def _prices(text: str) -> Prices:
    *charged, blocked = text.split(" ")
    amounts = (to_units(Decimal(amount)) for amount in charged[:4])
    return Prices._make((*amounts, *map(int, charged[4:]), blocked == "1"))


def _validity(text: str) -> tuple[int, int]:
    if not text:
        return ALWAYS_US, NEVER_US
    from_us, till_us = text.split(" ")
    # The last 200 years that Postgres knows do not fit 63 bits of microseconds since 1970.
    return min(int(Decimal(from_us)), NEVER_US), min(int(Decimal(till_us)), NEVER_US)
