"""Column types, as far as is needed to know how many bytes a column takes.

The native protocol sends no lengths: the end of a block is found by knowing its types.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from deploy.local.clickhouse.errors import UnknownColumnType

MAX_DEPTH = 16
"""Types nested deeper are refused: nothing real is, and the walk recurses."""

MAX_NAME_BYTES = 16_384
"""Longest type name: room for an Enum16 with some hundreds of names."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Values of one size."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Text:
    """Values with their length in front."""


@dataclass(frozen=True, slots=True)
class Nullable:
    """One byte per value saying whether it is null, then the values."""

    inner: "Shape"


@dataclass(frozen=True, slots=True)
class Array:
    """Eight bytes per value, the running total of elements, then all elements in a row."""

    inner: "Shape"


@dataclass(frozen=True, slots=True)
class Tuple:
    """Its members one after another, each as a column of its own."""

    members: "tuple[Shape, ...]"


@dataclass(frozen=True, slots=True)
class LowCardinality:
    """A dictionary, then an index into it for every value."""

    inner: "Shape"


Shape = Fixed | Text | Nullable | Array | Tuple | LowCardinality

_SIZES = {
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    "Bool": 1,
    "BFloat16": 2,
    "Float32": 4,
    "Float64": 8,
    "Date": 2,
    "Date32": 4,
    "DateTime": 4,
    "DateTime32": 4,
    "DateTime64": 8,
    "Time": 4,
    "Time64": 8,
    "UUID": 16,
    "IPv4": 4,
    "IPv6": 16,
    "Enum8": 1,
    "Enum16": 2,
    "Decimal32": 4,
    "Decimal64": 8,
    "Decimal128": 16,
    "Decimal256": 32,
    "Nothing": 1,
    **{
        f"Interval{unit}": 8
        for unit in (
            *("Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"),
            *("Day", "Week", "Month", "Quarter", "Year"),
        )
    },
}

_DECIMAL_SIZES = ((9, 4), (18, 8), (38, 16), (76, 32))
"""Largest precision, and the bytes it takes."""

_POINT = Tuple((Fixed(8), Fixed(8)))
_NAMED: dict[str, Shape] = {
    "String": Text(),
    "Point": _POINT,
    "Ring": Array(_POINT),
    "Polygon": Array(Array(_POINT)),
    "MultiPolygon": Array(Array(Array(_POINT))),
}

_HEAD = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\s*(?:\((.*)\))?\s*\Z", re.DOTALL)
_MEMBER_NAME = re.compile(r"(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`)\s+(?=\S)")


@lru_cache(maxsize=1024)
def parse(name: str) -> Shape:
    """The shape of the type called ``name``.

    Raises:
        UnknownColumnType: nothing is known of it (JSON, Variant and Dynamic among them: their
            bytes depend on their content).
    """
    if len(name) > MAX_NAME_BYTES:
        raise UnknownColumnType(name)
    return _parse(name, MAX_DEPTH)


def _parse(name: str, depth: int) -> Shape:
    match = _HEAD.match(name)
    if match is None or depth == 0:
        raise UnknownColumnType(name)
    head, inside = match.group(1), match.group(2)
    if head in _NAMED and inside is None:
        return _NAMED[head]
    if head in _SIZES:
        return Fixed(_SIZES[head])
    build = _BUILDERS.get(head)
    if build is None or inside is None:
        raise UnknownColumnType(name)
    arguments = list(split_arguments(inside))
    return build(name, arguments, depth - 1)


def split_arguments(inside: str) -> Iterator[str]:
    """Split what stands between a type's parentheses at its own commas only."""
    depth, start, quote, escaped = 0, 0, "", False
    for at, char in enumerate(inside):
        if quote:
            if escaped or char == "\\":
                escaped = not escaped
            elif char == quote:
                quote = ""
        elif char in "'`":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and depth == 0:
            yield inside[start:at].strip()
            start = at + 1
    yield inside[start:].strip()


def _number(name: str, text: str, *, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) <= most:
        raise UnknownColumnType(name)
    return int(text)


def _fixed_string(name: str, arguments: list[str], _depth: int) -> Shape:
    return Fixed(_number(name, arguments[0], most=1 << 24))


def _decimal(name: str, arguments: list[str], _depth: int) -> Shape:
    precision = _number(name, arguments[0], most=76)
    return Fixed(next(size for most, size in _DECIMAL_SIZES if precision <= most))


def _one(name: str, arguments: list[str], depth: int) -> Shape:
    if len(arguments) != 1:
        raise UnknownColumnType(name)
    return _parse(arguments[0], depth)


def _nullable(name: str, arguments: list[str], depth: int) -> Shape:
    return Nullable(_one(name, arguments, depth))


def _array(name: str, arguments: list[str], depth: int) -> Shape:
    return Array(_one(name, arguments, depth))


def _low_cardinality(name: str, arguments: list[str], depth: int) -> Shape:
    inner = _one(name, arguments, depth)
    # The dictionary holds plain values: its first one stands for null.
    return LowCardinality(inner.inner if isinstance(inner, Nullable) else inner)


def _map(name: str, arguments: list[str], depth: int) -> Shape:
    if len(arguments) != 2:
        raise UnknownColumnType(name)
    return Array(Tuple(tuple(_parse(argument, depth) for argument in arguments)))


def _tuple(_name: str, arguments: list[str], depth: int) -> Shape:
    return Tuple(tuple(_parse(_MEMBER_NAME.sub("", text, 1), depth) for text in arguments))


def _nested(name: str, arguments: list[str], depth: int) -> Shape:
    return Array(_tuple(name, arguments, depth))


def _simple_aggregate(name: str, arguments: list[str], depth: int) -> Shape:
    return _one(name, arguments[1:], depth)


_BUILDERS: dict[str, Callable[[str, list[str], int], Shape]] = {
    "FixedString": _fixed_string,
    "Decimal": _decimal,
    "Nullable": _nullable,
    "Array": _array,
    "LowCardinality": _low_cardinality,
    "Map": _map,
    "Tuple": _tuple,
    "Nested": _nested,
    "SimpleAggregateFunction": _simple_aggregate,
}
