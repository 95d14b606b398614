import struct
from io import BytesIO

import pytest

from deploy.local.clickhouse.blocks import Extent, header, rename_types, split, walk
from deploy.local.clickhouse.errors import ConnectionEnded, MalformedPacket, UnknownColumnType
from deploy.local.clickhouse.wire import WireReader, string, varint


def u64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def column(type_name: str, data: bytes, name: str = "c") -> bytes:
    return string(name) + string(type_name) + data


def block(rows: int, *columns: bytes) -> bytes:
    return varint(len(columns)) + varint(rows) + b"".join(columns)


def reader(data: bytes, piece: int = 1 << 20) -> WireReader:
    stream = BytesIO(data)
    return WireReader(lambda most: stream.read(min(most, piece)))


COLUMNS = {
    "fixed": (2, column("UInt32", b"\0" * 8)),
    "text": (2, column("String", string("a") + string("b" * 300))),
    "nullable": (2, column("Nullable(UInt16)", b"\1\0" + b"\0" * 4)),
    "array": (2, column("Array(String)", u64(1, 3) + string("a") * 3)),
    "empty arrays": (2, column("Array(LowCardinality(String))", u64(1) + u64(0, 0))),
    "nested arrays": (1, column("Array(Array(UInt8))", u64(2) + u64(1, 3) + b"abc")),
    "map": (1, column("Map(String, UInt8)", u64(2) + string("k") * 2 + b"\1\2")),
    "tuple": (2, column("Tuple(UInt8, String)", b"\1\2" + string("x") * 2)),
    "dictionary": (
        3,
        column(
            "LowCardinality(String)",
            u64(1) + u64(0x600, 2) + string("a") + string("b") + u64(3) + b"\0\1\0",
        ),
    ),
    "nullable dictionary with wide indexes": (
        2,
        column(
            "LowCardinality(Nullable(String))",
            u64(1) + u64(0x601, 2) + string("") + string("b") + u64(2) + b"\0\0\1\0",
        ),
    ),
    "no rows": (0, column("LowCardinality(String)", b"")),
}


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
@pytest.mark.parametrize("rows, one", COLUMNS.values(), ids=COLUMNS)
def test_the_end_of_a_block_is_found(rows: int, one: bytes, piece: int) -> None:
    source = reader(block(rows, one) + b"\x2a", piece)
    assert walk(source) == Extent(1, rows)
    assert source.byte() == 0x2A


@pytest.mark.parametrize("rows, one", COLUMNS.values(), ids=COLUMNS)
def test_a_block_cut_anywhere_has_no_end(rows: int, one: bytes) -> None:
    whole = block(rows, one)
    for cut in range(len(whole)):
        with pytest.raises(ConnectionEnded):
            walk(reader(whole[:cut]))


@pytest.mark.parametrize(
    "data",
    [
        varint(10_000) + varint(1),
        varint(1) + varint(1 << 40),
        block(1, column("Array(UInt8)", u64(1 << 60))),
        block(1, column("LowCardinality(String)", u64(1) + u64(0x604, 1))),
        block(1, column("LowCardinality(String)", u64(1) + u64(0x700, 1))),
        block(1, column("LowCardinality(String)", u64(1) + u64(0x600, 1 << 60))),
        block(1, column("LowCardinality(String)", u64(1, 0x600, 1) + string("") + u64(2))),
        block(1, column("String", varint(1 << 40))),
        block(1, column("JSON", b"")),
        block(1, string("n" * 5000)),
    ],
    ids=str,
)
def test_absurd_blocks_are_refused_before_they_are_read(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        walk(reader(data))


def test_an_empty_block_ends_an_insert() -> None:
    assert walk(reader(block(0))).is_end
    assert not walk(reader(block(0, column("UInt8", b"")))).is_end


def test_blocks_in_a_row_are_cut_apart() -> None:
    blocks = [block(rows, one) for rows, one in COLUMNS.values()]
    assert split(b"".join(blocks)) == blocks
    assert split(b"") == []


def test_a_type_is_renamed_and_the_data_stays() -> None:
    data = string("x") + string("y")
    before = block(2, column("DateTime", b"\0" * 8, "at"), column("String", data, "s"))
    after = block(2, column("DateTime('UTC')", b"\0" * 8, "at"), column("String", data, "s"))
    assert rename_types(before, ["DateTime('UTC')", None]) == after


def test_renaming_beside_an_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownColumnType):
        rename_types(block(1, column("JSON", b"abc")), ["x"])


def test_a_header_names_columns_and_has_no_rows() -> None:
    sample = header([("a", "UInt8"), ("b", "String")])
    assert walk(reader(sample)) == Extent(2, 0)
