"""``make bench``: measures everything once, prints one table, writes ``build/bench.json``."""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import (
    bench_calls,
    bench_flood,
    bench_media,
    bench_rating,
    bench_routing,
    bench_sip,
)

SECTIONS: dict[str, Callable[[], dict[str, float]]] = {
    "calls": bench_calls.run,
    "peers": bench_calls.run_peers,
    "media": bench_media.run,
    "routing": bench_routing.run,
    "rating": bench_rating.run,
    "sip": bench_sip.run,
    "flood": bench_flood.run,
}
OUTPUT = Path("build/bench.json")

Document = dict[str, Any]


def merge(document: Document, figures: dict[str, float]) -> None:
    """Put figures into a document, ``us_per_call.total`` under ``us_per_call``, ``total``."""
    for name, value in figures.items():
        *path, last = name.split(".")
        inner = document
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = round(value, 3)


def main() -> None:
    """Run the sections asked for; figures of earlier runs of the other sections are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; default: all")
    chosen = parser.parse_args().sections or list(SECTIONS)
    document: Document = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    document["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
    console = Console()
    table = Table("section", "figure", "value", box=None)
    table.columns[2].justify = "right"
    for section in chosen:
        console.print(f"[bold]{section}[/] ...")
        figures = SECTIONS[section]()
        merge(document, figures)
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(json.dumps(document, indent=2) + "\n")
        for name, value in figures.items():
            table.add_row(section, name, f"{value:,.2f}".rstrip("0").rstrip("."))
    console.print(table)


main()
