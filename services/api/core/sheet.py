"""Cuts a CSV that arrives in pieces into numbered rows, holding no more than one of them."""

import codecs
import csv
from collections.abc import Iterator

from services.api.core.problems import Problem, Rejected

# One rate is some hundred bytes. A record past this is a quote that was never closed.
_LONGEST_RECORD = 64 * 1024

_DELIMITERS = ",;\t|"

Row = tuple[int, list[str]]
"""The row number as a spreadsheet shows it (the header is row 1) and its cells."""


class SheetReader:
    """Feed it bytes as they come; take complete rows."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("strict")
        self._rest = ""
        self._row = 0
        self.delimiter = ""
        """Found in the first row: comma, semicolon, tab or bar."""

    def feed(self, data: bytes) -> Iterator[Row]:
        """The rows completed by ``data``; blank ones are counted and left out.

        Raises:
            Rejected: the text is not UTF-8, or a row is no CSV; nothing after it can be trusted.
        """
        return self._rows(self._records(self._decode(data, final=False)))

    def finish(self) -> Iterator[Row]:
        """The last row, when the text did not end with a line end.

        Raises:
            Rejected: as :meth:`feed`, or a quoted cell was never closed.
        """
        records = self._records(self._decode(b"", final=True) + "\n")
        if self._rest.strip():
            raise self._broken("a quoted cell is never closed")
        return self._rows(records)

    def _decode(self, data: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError:
            raise self._broken("the text is not UTF-8") from None

    def _records(self, text: str) -> list[str]:
        whole = self._rest + text
        lines = whole.split("\n")
        self._rest = lines.pop()
        if '"' in whole:
            lines = self._joined(lines)
        if len(self._rest) > _LONGEST_RECORD:
            raise self._broken(f"a row is longer than {_LONGEST_RECORD} characters")
        return lines

    def _joined(self, lines: list[str]) -> list[str]:
        """Joins the lines of a cell that contains line ends: an odd number of quotes is open."""
        records: list[str] = []
        held: list[str] = []
        is_open = False
        for line in lines:
            held.append(line)
            is_open ^= line.count('"') % 2 == 1
            if not is_open:
                records.append("\n".join(held))
                held.clear()
        if held:
            self._rest = "\n".join([*held, self._rest])
        return records

    def _rows(self, records: list[str]) -> Iterator[Row]:
        if not self.delimiter and records:
            self.delimiter = max(_DELIMITERS, key=next(filter(str.strip, records), "").count)
        try:
            for record in records:
                self._row += 1
                text = record.rstrip("\r")
                if text.strip():
                    lines = [line + "\n" for line in text.split("\n")]
                    yield self._row, next(csv.reader(lines, delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            raise self._broken(str(error), self._row) from None

    def _broken(self, reason: str, row: int | None = None) -> Rejected:
        where = self._row + 1 if row is None else row
        return Rejected([Problem(f"rows[{where}]", reason, "malformed_csv")])
