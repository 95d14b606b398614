"""What commands print: tables for people, JSON for programs."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDEST = 1000
"""Columns. An id cut short is of no use to the next command: long rows run over the edge."""


def emit(value: object) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def table(rows: Iterable[Mapping[str, object]], columns: Sequence[tuple[str, str]]) -> None:
    """Rows as a table; ``columns`` are heading and key."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading, key in columns:
        numeric = key in ("price", "cost", "talk", "billed_s", "amount", "order")
        grid.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        # Not as markup: numbers and names are what peers and operators wrote.
        grid.add_row(*(Text(harmless(_shown(row.get(key)))) for _, key in columns))
    if grid.row_count:
        Console(highlight=False, width=_WIDEST).print(grid)
    else:
        console.print("none")


def harmless(text: str) -> str:
    """A stranger's text, fit for a terminal: control characters are spelled out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def seconds(ms: int | None) -> str:
    """Milliseconds as ``1:02.5``."""
    total = (ms or 0) / 1000
    return f"{int(total // 60)}:{total % 60:04.1f}"
