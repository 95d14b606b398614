"""Blocks of columns: finding where one ends, without decoding a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from deploy.local.clickhouse import column_types as types
from deploy.local.clickhouse.errors import MalformedPacket
from deploy.local.clickhouse.wire import WireReader, string, varint

MAX_COLUMNS = 2_000
MAX_ROWS = 1 << 24
"""Rows of one block: sixteen times what clickhouse-driver puts in one."""

MAX_ELEMENTS = 1 << 28
"""Elements of all arrays of one column of one block."""

MAX_VALUE_BYTES = 64 << 20
"""Longest single string."""

MAX_COLUMN_NAME_BYTES = 1024

_INDEX_SIZES = (1, 2, 4, 8)
_INDEX_MASK = 0xFF
_SHARED_DICTIONARY = 1 << 8


@dataclass(frozen=True, slots=True)
class Extent:
    """What a block held."""

    columns: int
    rows: int

    @property
    def is_end(self) -> bool:
        """An empty block ends the data of an insert."""
        return self.columns == 0 and self.rows == 0


def walk(reader: WireReader) -> Extent:
    """Pass over one block.

    Raises:
        MalformedPacket: a bound was exceeded, or a type is unknown.
        ConnectionEnded: the stream ended inside the block.
    """
    extent = _extent(reader)
    for _ in range(extent.columns):
        reader.string(most=MAX_COLUMN_NAME_BYTES, what="a column name")
        shape = types.parse(reader.string(most=types.MAX_NAME_BYTES, what="a column type"))
        _skip_column(reader, shape, extent.rows)
    return extent


def split(blocks: bytes) -> list[bytes]:
    """Cut ``blocks``, several in a row, into one item each."""
    items: list[bytes] = []
    reader = _over(blocks)
    start = 0
    while reader.buffered:
        walk(reader)
        end = len(blocks) - reader.buffered
        items.append(blocks[start:end])
        start = end
    return items


def rename_types(block: bytes, full_names: Sequence[str | None]) -> bytes:
    """The same block, with each column's type written as given; ``None`` leaves it as it is."""
    reader = _over(block)
    extent = _extent(reader)
    pieces = [varint(extent.columns), varint(extent.rows)]
    for full_name in full_names[: extent.columns]:
        name = reader.string(most=len(block), what="a column name")
        type_name = reader.string(most=types.MAX_NAME_BYTES, what="a column type")
        pieces.append(string(name) + string(full_name or type_name))
        reader.copy_to(pieces.append)
        _skip_column(reader, types.parse(type_name), extent.rows)
        reader.copy_to(None)
    return b"".join(pieces)


def header(columns: Sequence[tuple[str, str]]) -> bytes:
    """A block without rows that says which columns follow, or which are wanted."""
    named = b"".join(string(name) + string(type_name) for name, type_name in columns)
    return varint(len(columns)) + varint(0) + named


def _over(block: bytes) -> WireReader:
    stream = BytesIO(block)
    # One read takes it all, so that what is left in the buffer tells the position.
    reader = WireReader(lambda _: stream.read())
    if block:
        reader.fill()
    return reader


def _extent(reader: WireReader) -> Extent:
    extent = Extent(reader.varint(), reader.varint())
    if extent.columns > MAX_COLUMNS or extent.rows > MAX_ROWS:
        raise MalformedPacket(f"a block of {extent.columns} columns and {extent.rows} rows")
    return extent


def _skip_column(reader: WireReader, shape: types.Shape, rows: int) -> None:
    # No rows: neither a prefix nor data is sent.
    if rows:
        _skip_prefix(reader, shape)
        _skip_values(reader, shape, rows)


def _skip_prefix(reader: WireReader, shape: types.Shape) -> None:
    """Dictionary versions: all of a column's stand in front of its data."""
    match shape:
        case types.LowCardinality():
            reader.skip(8)
        case types.Nullable(inner) | types.Array(inner):
            _skip_prefix(reader, inner)
        case types.Tuple(members):
            for member in members:
                _skip_prefix(reader, member)
        case types.Fixed() | types.Text():
            pass


def _skip_values(reader: WireReader, shape: types.Shape, count: int) -> None:
    match shape:
        case types.Fixed(size_bytes):
            reader.skip(size_bytes * count)
        case types.Text():
            reader.skip_strings(count, most=MAX_VALUE_BYTES)
        case types.Nullable(inner):
            reader.skip(count)
            _skip_values(reader, inner, count)
        case types.Tuple(members):
            for member in members:
                _skip_values(reader, member, count)
        case types.Array(inner):
            _skip_array(reader, inner, count)
        case types.LowCardinality(inner):
            _skip_dictionary(reader, inner, count)


def _skip_array(reader: WireReader, inner: types.Shape, count: int) -> None:
    if count == 0:
        return
    reader.skip(8 * (count - 1))
    elements = reader.uint64()
    if elements > MAX_ELEMENTS:
        raise MalformedPacket(f"arrays of {elements} elements together")
    _skip_values(reader, inner, elements)


def _skip_dictionary(reader: WireReader, inner: types.Shape, count: int) -> None:
    if count == 0:
        return
    flags = reader.uint64()
    if flags & _INDEX_MASK >= len(_INDEX_SIZES) or flags & _SHARED_DICTIONARY:
        raise MalformedPacket(f"a dictionary with flags {flags:#x}")
    entries = reader.uint64()
    if entries > MAX_ELEMENTS:
        raise MalformedPacket(f"a dictionary of {entries} entries")
    _skip_values(reader, inner, entries)
    if (indexes := reader.uint64()) != count:
        raise MalformedPacket(f"{indexes} dictionary indexes for {count} values")
    reader.skip(count * _INDEX_SIZES[flags & _INDEX_MASK])
