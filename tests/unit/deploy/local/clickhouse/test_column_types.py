import pytest

from deploy.local.clickhouse.column_types import (
    Array,
    Fixed,
    LowCardinality,
    Nullable,
    Text,
    Tuple,
    parse,
    split_arguments,
)
from deploy.local.clickhouse.errors import UnknownColumnType


@pytest.mark.parametrize(
    "name, shape",
    [
        ("UInt8", Fixed(1)),
        ("Int256", Fixed(32)),
        ("DateTime", Fixed(4)),
        ("DateTime('Europe/Berlin')", Fixed(4)),
        ("DateTime64(3, 'UTC')", Fixed(8)),
        ("Enum8('a' = 1, 'b,)(' = 2)", Fixed(1)),
        ("FixedString(16)", Fixed(16)),
        ("Decimal(9, 2)", Fixed(4)),
        ("Decimal(18, 4)", Fixed(8)),
        ("Decimal(38, 10)", Fixed(16)),
        ("Decimal(76, 0)", Fixed(32)),
        ("Decimal64(6)", Fixed(8)),
        ("UUID", Fixed(16)),
        ("IntervalMonth", Fixed(8)),
        ("String", Text()),
        ("Nullable(String)", Nullable(Text())),
        ("Array(Array(UInt16))", Array(Array(Fixed(2)))),
        ("LowCardinality(String)", LowCardinality(Text())),
        ("LowCardinality(Nullable(String))", LowCardinality(Text())),
        ("Map(String, Array(UInt8))", Array(Tuple((Text(), Array(Fixed(1)))))),
        ("Tuple(UInt8, String)", Tuple((Fixed(1), Text()))),
        ("Tuple(a UInt8, `odd name` Decimal(38, 10))", Tuple((Fixed(1), Fixed(16)))),
        ("Nested(a UInt8, b String)", Array(Tuple((Fixed(1), Text())))),
        ("SimpleAggregateFunction(sum, UInt64)", Fixed(8)),
        ("Point", Tuple((Fixed(8), Fixed(8)))),
    ],
)
def test_shape_of_a_type(name: str, shape: object) -> None:
    assert parse(name) == shape


@pytest.mark.parametrize(
    "name",
    [
        "",
        "UInt99",
        "JSON",
        "Dynamic",
        "Variant(UInt8, String)",
        "AggregateFunction(sum, UInt64)",
        "Array",
        "Array()",
        "Array(UInt8, UInt8)",
        "Map(String)",
        "FixedString(-1)",
        "FixedString(99999999999999999999)",
        "FixedString(²)",
        "Decimal(77, 0)",
        "Decimal(0, 0)",
        "SimpleAggregateFunction(sum)",
        "UInt8; DROP TABLE cdr",
        "Array(" * 17 + "UInt8" + ")" * 17,
        "E" * 20_000,
    ],
)
def test_what_cannot_be_measured_is_refused(name: str) -> None:
    with pytest.raises(UnknownColumnType):
        parse(name)


def test_arguments_are_split_at_their_own_commas_only() -> None:
    inside = r"a Decimal(38, 10), 'x, \', y', `n,m` String"
    assert list(split_arguments(inside)) == [
        "a Decimal(38, 10)",
        r"'x, \', y'",
        "`n,m` String",
    ]
