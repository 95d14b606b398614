"""The ClickHouse engine in this process: statements in, blocks in its native format out."""

import json
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Self

import chdb
from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from deploy.local.clickhouse import blocks, statements
from deploy.local.clickhouse.errors import EngineRefused, UnknownColumnType
from deploy.local.clickhouse.statements import Insert

_FORMAT = "Native"
_ENGINE_ERRORS = (ChdbError, RuntimeError)
"""What its bindings raise when it refuses something."""

_CONFIG = """<clickhouse>
  <timezone>UTC</timezone>
  <mark_cache_size>67108864</mark_cache_size>
  <merge_tree>
    <fsync_after_insert>{fsync}</fsync_after_insert>
    <fsync_part_directory>{fsync}</fsync_part_directory>
  </merge_tree>
</clickhouse>
"""


class Engine:
    """One data directory, opened once; connections to it work in parallel."""

    def __init__(self, data: Path, *, fsync: bool = True) -> None:
        """Open, or create, the databases under ``data``.

        Raises:
            EngineRefused: the directory is in use, damaged, or its path has a character that
                the engine takes for the start of its options.
        """
        path = data.resolve()
        if {"?", "&", "#"} & set(str(path)):
            raise EngineRefused(statements.UNKNOWN_EXCEPTION, f"unusable path {path}")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = path / "config.xml"
        config.write_text(_CONFIG.format(fsync=int(fsync)))
        self._staging = path / "staging"
        self._staging.mkdir(exist_ok=True, mode=0o700)
        self._location = f"{path / 'engine'}?config-file={config}"
        # Kept open: the engine shuts down with its last connection.
        self._first = self._open()

    def connect(self) -> "EngineConnection":
        """A connection with a current database and settings of its own."""
        return EngineConnection(self._open(), self._staging)

    def create_database(self, name: str) -> None:
        """See to it that there is a database of this name.

        Raises:
            EngineRefused: it cannot be made.
        """
        connection = self.connect()
        try:
            connection.run(f"CREATE DATABASE IF NOT EXISTS {statements.quoted_name(name)}")
        finally:
            connection.close()

    def version(self) -> tuple[int, int, int]:
        """Major, minor and patch version of the engine."""
        numbers = chdb.engine_version.split(".")
        return int(numbers[0]), int(numbers[1]), int(numbers[2])

    def close(self) -> None:
        """Close the data directory."""
        self._first.close()

    def _open(self) -> Connection:
        try:
            return chdb.connect(self._location)
        except _ENGINE_ERRORS as error:
            raise statements.refusal(str(error)) from error


class EngineConnection:
    """What one client talks to. Not for use by two threads at once."""

    def __init__(self, connection: Connection, staging: Path) -> None:
        self._connection = connection
        self._staging = staging

    def use(self, database: str) -> None:
        """Make ``database`` the current one."""
        self.run(f"USE {statements.quoted_name(database)}")

    def apply(self, settings: Mapping[str, tuple[str, bool]]) -> None:
        """Set each setting to its value; an unknown one matters only if it is marked so."""
        for name, (value, is_important) in settings.items():
            try:
                self.run(statements.setting(name, value))
            except EngineRefused as refused:
                if is_important or refused.code != statements.UNKNOWN_SETTING:
                    raise

    def reset(self, settings: Mapping[str, tuple[str, bool]]) -> None:
        """Put the settings that :meth:`apply` was given back to their defaults."""
        for name in settings:
            try:
                self.run(statements.setting(name, None))
            except EngineRefused as refused:
                if refused.code != statements.UNKNOWN_SETTING:
                    raise

    def rows(self, query: str) -> Generator[bytes, None, None]:
        """Run any statement; yields blocks as the engine produces them.

        Closing the iterator early cancels the statement. What a SELECT yields first is a block
        that only names its columns.

        Raises:
            EngineRefused: also after some blocks.
        """
        if not statements.is_select(query):
            yield from blocks.split(self.run(query))
            return
        query = statements.without_format(query)
        # Asked first: a connection forgets its stream when it is asked something else.
        columns = self._columns(query)
        yield blocks.header(columns)
        for block in self._stream(query):
            yield _zoned(block, columns)

    def insert(self, insert: Insert) -> "Insertion":
        """Begin an insert; its rows are handed over in pieces."""
        return Insertion(self, insert, self._columns(insert.sample), self._staging)

    def run(self, statement: str, output: str = _FORMAT) -> bytes:
        """Run a statement; returns all of its rows.

        Raises:
            EngineRefused: it failed.
        """
        try:
            return bytes(self._connection.query(statement, output).bytes())
        except _ENGINE_ERRORS as error:
            raise statements.refusal(str(error)) from error

    def close(self) -> None:
        """Give the connection up."""
        self._connection.close()

    def _stream(self, query: str) -> Generator[bytes, None, None]:
        try:
            stream = self._connection.send_query(query, _FORMAT)
            try:
                for chunk in stream:
                    yield bytes(chunk.bytes())
            finally:
                stream.cancel()  # type: ignore[no-untyped-call] # its bindings have no types
        except _ENGINE_ERRORS as error:
            raise statements.refusal(str(error)) from error

    def _columns(self, query: str) -> list[tuple[str, str]]:
        listed = self.run(statements.describing(query), "JSONCompactEachRow")
        rows = [json.loads(line) for line in listed.splitlines()]
        return [(row[0], row[1]) for row in rows]


class Insertion:
    """An insert under way: all of its rows become visible at :meth:`finish`, or none.

    None, as long as they fit the engine's insert block (a million rows): beyond that ClickHouse
    commits block by block, here as elsewhere.

    Rows wait in an unnamed file, which goes with us however we end. The engine has a call that
    takes them piece by piece, but that one keeps an error of the table (a constraint, a full
    disk) to itself and reports rows as written that are not there.
    """

    def __init__(
        self,
        connection: EngineConnection,
        insert: Insert,
        columns: Sequence[tuple[str, str]],
        staging: Path,
    ) -> None:
        self._connection = connection
        self._insert = insert
        self._columns = columns
        # Closed by our own context.
        self._file = tempfile.TemporaryFile(dir=staging, buffering=0)  # noqa: SIM115
        self._size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def sample(self) -> bytes:
        """The block that tells a client which columns are wanted."""
        return blocks.header(self._columns)

    def append(self, piece: bytes) -> None:
        """Hand over the next bytes, cut anywhere."""
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise EngineRefused(statements.NO_SPACE, f"DB::Exception: {error}") from error
        self._size_bytes += len(piece)

    def finish(self) -> None:
        """Commit what was handed over; nothing to do when that is nothing."""
        if self._size_bytes:
            path = f"/proc/self/fd/{self._file.fileno()}"
            self._connection.run(self._insert.statement(path, self._columns))


def _zoned(block: bytes, columns: Sequence[tuple[str, str]]) -> bytes:
    """Put the time zones back: the engine's format leaves DateTime's out, a server sends it."""
    full_names = [full if "DateTime(" in full else None for _, full in columns]
    if not any(full_names):
        return block
    try:
        return blocks.rename_types(block, full_names)
    except UnknownColumnType:
        # Beside a column we cannot measure the zone stays unsaid: the values are the same.
        return block
