"""Rate tables on the disk, for a start without Postgres: a file for each, named by its content.

A table's columns are written as they are in memory, after a line that says which they are. As
the name is a digest of the whole file, what was damaged is noticed, and what is there already
need not be written again, whichever deck, version or process it came from.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from services.common.last_known import Unusable, replace_file
from services.common.pricing.prefix_table import PrefixTable

_MAGIC: Final = f"tandem-deck 1 {sys.byteorder}"
_SUFFIX: Final = ".deck"
_DIGITS: Final = 40
_LONGEST_HEAD: Final = 1000


class DeckFiles:
    """The tables of one folder. Blocking calls, made in a thread, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[tuple[PrefixTable, str]] = []
        """Of the tables written last: hashing one takes longer than a call."""

    def write(self, tables: Mapping[str, PrefixTable]) -> dict[str, str]:
        """Have ``tables`` on the disk; returns the name to read each by.

        Raises:
            OSError: the disk is full, or the folder is not ours.
        """
        written = [(table, self._write(table)) for table in tables.values()]
        self._names = written
        return {key: name for key, (_, name) in zip(tables, written, strict=True)}

    def _write(self, table: PrefixTable) -> str:
        for known, name in self._names:
            if known is table and self._path(name).exists():
                return name
        digest, size = hashlib.sha256(), 0
        for piece in _pieces(table):
            digest.update(piece)
            size += len(piece)
        name = digest.hexdigest()[:_DIGITS]
        path = self._path(name)
        if not path.exists() or path.stat().st_size != size:
            replace_file(path, _pieces(table))
        return name

    def read(self, name: str) -> PrefixTable:
        """The table of this name.

        Raises:
            OSError: it is not there.
            Unusable: it is not what it was; the file is removed, to be written anew.
        """
        path = self._path(name)
        content = path.read_bytes()
        try:
            if hashlib.sha256(content).hexdigest()[:_DIGITS] != name:
                raise Unusable(f"{path.name} is damaged")
            return _table(content)
        except Unusable:
            path.unlink(missing_ok=True)
            raise

    def sweep(self) -> None:
        """Remove what was not among the tables written last, or only half written."""
        names = {name for _, name in self._names}
        for path in self._folder.glob(f"*{_SUFFIX}*"):
            if path.suffix != _SUFFIX or path.stem not in names:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"


def _pieces(table: PrefixTable) -> Iterator[memoryview]:
    columns = table.columns
    words = " ".join(f"{each.typecode}{each.itemsize}x{len(each)}" for each in columns)
    yield memoryview(f"{_MAGIC} {words}\n".encode())
    for column in columns:
        if column:  # an empty one cannot be seen as bytes
            yield memoryview(column).cast("B")


def _table(content: bytes) -> PrefixTable:
    head, _, _ = content[:_LONGEST_HEAD].partition(b"\n")
    if not head.startswith(_MAGIC.encode() + b" "):
        raise Unusable("another version wrote the rates")
    at, columns = len(head) + 1, []
    for word in head[len(_MAGIC) + 1 :].decode().split(" "):
        column, size = array(word[0]), int(word[1:].partition("x")[0])
        if size != column.itemsize:
            raise Unusable("another machine wrote the rates")
        end = at + size * int(word.partition("x")[2])
        column.frombytes(memoryview(content)[at:end])
        columns.append(column)
        at = end
    return PrefixTable.of_columns(columns)
