"""What commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, soft_wrap=True)

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
        grid.add_row(*("" if row.get(key) is None else str(row[key]) for _, key in columns))
    if grid.row_count:
        Console(highlight=False, width=_WIDEST).print(grid)
    else:
        console.print("none")


def seconds(ms: int | None) -> str:
    """Milliseconds as ``1:02.5``."""
    total = (ms or 0) / 1000
    return f"{int(total // 60)}:{total % 60:04.1f}"
