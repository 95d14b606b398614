"""Which row of a deck prices a number at an instant."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.common.errors import SwitchError


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of a deck."""

    id: int
    deck_id: str
    prefix: str
    destination: str
    connect_fee: Decimal
    first_price: Decimal
    next_price: Decimal
    first_s: int
    next_s: int
    minimum: Decimal
    free_s: int
    grace_s: int
    blocked: bool
    valid_from: dt.datetime
    valid_till: dt.datetime

    def in_force(self, at: dt.datetime) -> bool:
        """Whether it is valid at ``at``; ``valid_till`` is exclusive."""
        return self.valid_from <= at < self.valid_till


class NoRate(SwitchError):
    """Nothing in the deck prices the number; ``reason`` is the end reason a call would get."""

    def __init__(self, reason: str, because: str) -> None:
        super().__init__(because)
        self.reason = reason


def prefixes_of(number: str) -> list[str]:
    """Every prefix that matches ``number``, the empty one included."""
    return [number[:length] for length in range(min(len(number), 18) + 1)]


def digits_of(text: str) -> str:
    """``text`` as decks spell numbers: no ``+``, no leading ``00``, no visual separators.

    Raises:
        ValueError: something else than digits is left, or nothing.
    """
    bare = "".join(one for one in text if one not in " -.()/")
    bare = bare.removeprefix("+") if bare.startswith("+") else bare.removeprefix("00")
    if not (bare.isascii() and bare.isdigit()) or len(bare) > 32:
        raise ValueError(f"{text[:40]!r} is not a telephone number")
    return bare


def match(rows: Sequence[Rate], at: dt.datetime) -> Rate:
    """The row that prices a number, among all rows whose prefix matches it.

    The longest prefix decides, then the latest ``valid_from``, then the highest id. A code whose
    rows have all ended is closed: it does not fall back to a shorter one. A code whose rows are
    all yet to come does not count.

    Raises:
        NoRate: no row, or the code is closed or blocked.
    """
    begun = [row for row in rows if row.valid_from <= at]
    if not begun:
        raise NoRate("no_rate", "no row of the deck matches the number")
    longest = max(len(row.prefix) for row in begun)
    valid = [row for row in begun if len(row.prefix) == longest and row.in_force(at)]
    if not valid:
        closed = max((row.prefix for row in begun), key=len)
        raise NoRate("destination_blocked", f"the code {closed or '*'} has ended")
    found = max(valid, key=lambda row: (row.valid_from, row.id))
    if found.blocked:
        raise NoRate("destination_blocked", f"the code {found.prefix or '*'} is blocked")
    return found
