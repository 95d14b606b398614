"""Longest-prefix tables of rates, compact enough for millions of rows in one process.

A prefix is a number in base 11: each digit is one more than it looks, and what is missing up to
18 digits is zero. Sorted by that key a prefix stands immediately before everything it covers, so
the longest match of a number is found by one bisection for the last key that is not above it,
and from there along the links to the prefixes around it, until one covers the number.

The bisection is among the rows that begin with the number's first three digits.

A row takes 29 bytes in packed arrays. What few rows have to themselves (prices and intervals,
validity) is kept once and pointed to.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from services.common.errors import Invalid

MAX_PREFIX = 18
"""The longest prefix: 11^18 is the last power of 11 that fits 63 bits."""
SCALE = 10
"""Prices are integers, in units of ten to the minus this."""
ALWAYS_US = -(2**63)
"""``valid_from_us`` of a row that was in force since ever."""
NEVER_US = 2**63 - 1
"""``valid_till_us`` of a row without end."""

_SPAN = tuple(11 ** (MAX_PREFIX - length) for length in range(MAX_PREFIX + 1))
_SHIFTED = str.maketrans("0123456789", "123456789a")
_BASE = 11
_HEAD = _BASE**15
"""A key divided by this leaves its first three digits."""
_HEADS = _BASE**3


def key_of(number: str) -> int:
    """What :meth:`PrefixTable.find` wants of ``number``, which is ASCII digits and nothing else.

    One key serves the tables of all decks. Digits after the eighteenth decide nothing.
    """
    return int(number[:MAX_PREFIX].translate(_SHIFTED).ljust(MAX_PREFIX, "0"), _BASE)


class Prices(NamedTuple):
    """What a row charges; the words are those of :class:`services.common.terms.Terms`.

    ``connect_fee``, ``first_price``, ``next_price`` (per minute) and ``minimum`` are integers in
    units of 10^-10: what NUMERIC(18, 10) holds, exactly.
    """

    connect_fee: int
    first_price: int
    next_price: int
    minimum: int
    first_s: int = 1
    next_s: int = 1
    free_s: int = 0
    grace_s: int = 0
    blocked: bool = False


class Rate(NamedTuple):
    """One row. It is in force from ``valid_from_us`` until just before ``valid_till_us``."""

    prefix: str
    id: int
    prices: Prices
    valid_from_us: int = ALWAYS_US
    """Microseconds since 1970, UTC."""
    valid_till_us: int = NEVER_US


class PrefixTable:
    """The rows of one deck. Made by :class:`PrefixTableBuilder`; never changed afterwards."""

    __slots__ = (
        "_around",
        "_from",
        "_heads",
        "_ids",
        "_keys",
        "_lengths",
        "_pools",
        "_prices",
        "_till",
        "_validity",
    )

    def __init__(self) -> None:
        self._heads = array("I", bytes(4 * (_HEADS + 1)))  # first row by first three digits
        self._keys = array("q")
        self._lengths = array("B")
        self._around = array("i")  # last row of the nearest prefix that covers this one, or -1
        self._ids = array("q")
        self._prices = array("I")
        self._validity = array("I")
        self._pools = [array(code) for code in "qqqqIIIIB"]  # a column per field of Prices
        self._from = array("q")
        self._till = array("q")

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def size_bytes(self) -> int:
        """Memory held by the columns."""
        return sum(column.itemsize * len(column) for column in self.columns)

    @property
    def columns(self) -> list[array[int]]:
        """All of it, for :meth:`of_columns`; not to be changed."""
        return [
            self._keys, self._lengths, self._around, self._ids, self._prices, self._validity,
            self._from, self._till, self._heads, *self._pools,
        ]  # fmt: skip

    @classmethod
    def of_columns(cls, columns: Sequence[array[int]]) -> Self:
        """The table that had these :attr:`columns`."""
        table = cls()
        (
            table._keys, table._lengths, table._around, table._ids, table._prices,
            table._validity, table._from, table._till, table._heads, *table._pools,
        ) = columns  # fmt: skip
        return table

    def find(self, key: int, at_us: int) -> int:
        """The row that decides for the number of ``key`` at this instant; -1 when none does.

        Of the longest prefix it is the row in force; of several, the one valid from latest, then
        the one with the highest id. Where every row has ended it is the latest of those: such a
        code is closed, and its row still decides, so look at ``valid_till_us``. A prefix whose
        rows all lie in the future is not there yet: the one around it decides.
        """
        keys, lengths, head = self._keys, self._lengths, key // _HEAD
        row = bisect_right(keys, key, self._heads[head], self._heads[head + 1]) - 1
        while row >= 0:
            if key - keys[row] < _SPAN[lengths[row]]:
                validity = self._validity[row]
                if self._from[validity] <= at_us < self._till[validity]:
                    return row
                if (other := self._older(row, at_us)) >= 0:
                    return other
            row = self._around[row]
        return -1

    def _older(self, row: int, at_us: int) -> int:
        """Of the rows of one prefix, whose last is ``row``, the one that decides; or -1."""
        key, ended = self._keys[row], -1
        while row >= 0 and self._keys[row] == key:
            validity = self._validity[row]
            if self._from[validity] <= at_us:
                if at_us < self._till[validity]:
                    return row
                ended = max(ended, row)
            row -= 1
        return ended

    def brief(self, row: int) -> tuple[int, int, int, int]:
        """Id, length of the prefix, end of validity, and the reference of the prices."""
        till_us = self._till[self._validity[row]]
        return self._ids[row], self._lengths[row], till_us, self._prices[row]

    def prices(self, reference: int) -> Prices:
        """What all rows with this reference charge."""
        *charged, is_blocked = (column[reference] for column in self._pools)
        return Prices._make((*charged, bool(is_blocked)))

    def rate(self, row: int) -> Rate:
        """Everything about one row."""
        rate_id, length, till_us, prices = self.brief(row)
        prefix = _digits(self._keys[row], length)
        from_us = self._from[self._validity[row]]
        return Rate(prefix, rate_id, self.prices(prices), from_us, till_us)


def _digits(key: int, length: int) -> str:
    key //= _SPAN[length]
    digits = ""
    for _ in range(length):
        key, digit = divmod(key, _BASE)
        digits = chr(47 + digit) + digits
    return digits


class PrefixTableBuilder:
    """Takes rows in order, some at a time, so that whoever loads a deck can breathe in between."""

    def __init__(self) -> None:
        self._table = PrefixTable()
        self._known: dict[Prices, int] = {}
        self._validities: dict[tuple[int, int], int] = {}
        # The prefixes around the last row, outermost first: key, span, last row.
        self._open: list[tuple[int, int, int]] = []

    def prices(self, prices: Prices) -> int:
        """The reference by which rows with this prices are added."""
        reference = self._known.get(prices)
        if reference is None:
            reference = self._known[prices] = len(self._known)
            for column, value in zip(self._table._pools, prices, strict=True):
                column.append(value)
        return reference

    def validity(self, from_us: int, till_us: int) -> int:
        """The reference by which rows in force from the one until the other are added."""
        reference = self._validities.get((from_us, till_us))
        if reference is None:
            reference = self._validities[from_us, till_us] = len(self._validities)
            self._table._from.append(from_us)
            self._table._till.append(till_us)
        return reference

    def extend(self, rows: Iterable[tuple[str, int, int, int]]) -> None:
        """Add rows of prefix, id, prices reference and validity reference.

        They come sorted by prefix (as text), start of validity and id, over all calls.

        Raises:
            Invalid: a prefix is out of order, or not at most 18 ASCII digits.
        """
        table = self._table
        keys, lengths, around = table._keys, table._lengths, table._around
        last = keys[-1] if keys else -1
        for prefix, rate_id, prices, validity in rows:
            if prefix and not (
                prefix.isdigit() and prefix.isascii() and len(prefix) <= MAX_PREFIX
            ):
                raise Invalid("prefix", f"{prefix[:40]!r} is not at most {MAX_PREFIX} digits")
            key = key_of(prefix)
            if key != last:
                if key < last:
                    raise Invalid("prefix", f"{prefix!r} is out of order")
                self._enter(key)
                last = key
            keys.append(key)
            lengths.append(len(prefix))
            around.append(self._open[-1][2] if self._open else -1)
            table._ids.append(rate_id)
            table._prices.append(prices)
            table._validity.append(validity)

    def _enter(self, key: int) -> None:
        """Before the first row of another prefix: keep open only what covers it."""
        table = self._table
        if table._keys:
            at = len(table._keys) - 1
            self._open.append((table._keys[at], _SPAN[table._lengths[at]], at))
        while self._open and key - self._open[-1][0] >= self._open[-1][1]:
            self._open.pop()

    def build(self) -> PrefixTable:
        """The finished table; the builder is spent."""
        table, self._table = self._table, PrefixTable()
        for name in ("_keys", "_lengths", "_around", "_ids", "_prices", "_validity"):
            column = getattr(table, name)
            setattr(table, name, column[:])  # an exact copy drops the room left to grow
        row = 0
        for head in range(_HEADS + 1):
            row = table._heads[head] = bisect_left(table._keys, head * _HEAD, row)
        return table


def table_of(rates: Iterable[Rate]) -> PrefixTable:
    """The table of ``rates``, in whatever order they come.

    Raises:
        Invalid: a prefix is not at most 18 ASCII digits.
    """
    builder = PrefixTableBuilder()
    ordered = sorted(rates, key=lambda rate: (rate.prefix, rate.valid_from_us, rate.id))
    builder.extend(
        (rate.prefix, rate.id, builder.prices(rate.prices),
         builder.validity(rate.valid_from_us, rate.valid_till_us))
        for rate in ordered
    )  # fmt: skip
    return builder.build()
