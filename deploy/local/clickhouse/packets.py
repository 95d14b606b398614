"""Packets of ClickHouse's native protocol, at the one revision spoken here.

Both sides speak the lower of their revisions. Ours is old enough to carry no per-column flags and
no secrets between servers, and new enough to send settings as text.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from deploy.local.clickhouse.errors import EngineRefused, MalformedPacket
from deploy.local.clickhouse.wire import WireReader, string, varint

REVISION = 54429
SERVER_NAME = "Tandem embedded ClickHouse"

MAX_NAME_BYTES = 4096
MAX_QUERY_BYTES = 16 << 20
MAX_SETTINGS = 512
MAX_SETTING_BYTES = 65_536

_NO_QUERY = 0
_TCP_INTERFACE = 1
_IMPORTANT = 1
_PLAIN_BLOCK = varint(0)
"""An empty list of block properties."""


class FromClient(IntEnum):
    """First number of what a client sends."""

    HELLO = 0
    QUERY = 1
    DATA = 2
    CANCEL = 3
    PING = 4


class FromServer(IntEnum):
    """First number of what a server sends."""

    HELLO = 0
    DATA = 1
    EXCEPTION = 2
    PONG = 4
    END_OF_STREAM = 5


@dataclass(frozen=True, slots=True)
class Hello:
    """Who connects, and to which database."""

    revision: int
    database: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and the settings that hold for it alone."""

    text: str
    settings: dict[str, tuple[str, bool]]
    """Value, and whether it is an error not to know the setting."""
    is_compressed: bool


def read_hello(reader: WireReader) -> Hello:
    """The client's first packet, its leading number already read."""
    reader.string(most=MAX_NAME_BYTES, what="a client name")
    reader.varint()  # major version
    reader.varint()  # minor version
    revision = reader.varint()
    database, user, password = (
        reader.string(most=MAX_NAME_BYTES, what=what)
        for what in ("a database name", "a user name", "a password")
    )
    return Hello(revision, database, user, password)


def read_query(reader: WireReader) -> Query:
    """A query packet, its leading number already read."""
    reader.string(most=MAX_NAME_BYTES, what="a query id")
    _skip_client_info(reader)
    settings = _read_settings(reader)
    reader.varint()  # the stage to process to: always complete
    is_compressed = bool(reader.varint())
    text = reader.string(most=MAX_QUERY_BYTES, what="a query")
    return Query(text, settings, is_compressed)


def read_data_header(reader: WireReader) -> str:
    """What stands before a block, the leading number already read; returns the table's name."""
    table = reader.string(most=MAX_NAME_BYTES, what="a table name")
    while field_number := reader.varint():
        if field_number == 1:
            reader.byte()  # overflow rows
        elif field_number == 2:
            reader.take(4)  # bucket of a distributed aggregation
        else:
            raise MalformedPacket(f"block property {field_number}")
    return table


def client_hello(database: str, user: str, password: str) -> bytes:
    """What a client says first; a server that admits it answers with a hello of its own."""
    version = varint(1) + varint(0) + varint(REVISION)
    return (
        varint(FromClient.HELLO)
        + string("Tandem supervisor")
        + version
        + string(database)
        + string(user)
        + string(password)
    )


def hello(version: tuple[int, int, int]) -> bytes:
    """The answer to a client's hello."""
    major, minor, patch = version
    return (
        varint(FromServer.HELLO)
        + string(SERVER_NAME)
        + varint(major)
        + varint(minor)
        + varint(REVISION)
        + string("UTC")
        + string(SERVER_NAME)
        + varint(patch)
    )


def data(block: bytes) -> bytes:
    """A block of rows, or one that only names columns."""
    return varint(FromServer.DATA) + string("") + _PLAIN_BLOCK + block


def exception(refused: EngineRefused) -> bytes:
    """An error: it ends the statement, not the connection."""
    return (
        varint(FromServer.EXCEPTION)
        + struct.pack("<i", refused.code)
        + string("DB::Exception")
        + string(refused.message)
        + string("")  # stack trace
        + b"\0"  # no nested exception
    )


PONG = varint(FromServer.PONG)
END_OF_STREAM = varint(FromServer.END_OF_STREAM)


def _skip_client_info(reader: WireReader) -> None:
    if reader.byte() == _NO_QUERY:
        return
    for what in ("a user name", "a query id", "an address"):
        reader.string(most=MAX_NAME_BYTES, what=what)
    if reader.byte() != _TCP_INTERFACE:
        raise MalformedPacket("client information of another interface")
    for what in ("a system user", "a host name", "a client name"):
        reader.string(most=MAX_NAME_BYTES, what=what)
    for _ in ("major", "minor", "revision"):
        reader.varint()
    reader.string(most=MAX_NAME_BYTES, what="a quota key")
    reader.varint()  # patch version


def _read_settings(reader: WireReader) -> dict[str, tuple[str, bool]]:
    settings: dict[str, tuple[str, bool]] = {}
    for _ in range(MAX_SETTINGS):
        name = reader.string(most=MAX_NAME_BYTES, what="a setting name")
        if not name:
            return settings
        flags = reader.varint()
        value = reader.string(most=MAX_SETTING_BYTES, what="a setting")
        settings[name] = (value, bool(flags & _IMPORTANT))
    raise MalformedPacket(f"more than {MAX_SETTINGS} settings")
