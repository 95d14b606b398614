"""``make bench``: measures everything once, prints one table, writes ``build/bench.json``."""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import bench_calls, bench_media, bench_rating, bench_routing, bench_sip

SECTIONS: dict[str, Callable[[], dict[str, float]]] = {
    "calls": bench_calls.run,
    "peers": bench_calls.run_peers,
    "media": bench_media.run,
    "routing": bench_routing.run,
    "rating": bench_rating.run,
    "sip": bench_sip.run,
}
OUTPUT = Path("build/bench.json")


def main() -> None:
    """Run the sections asked for; figures of earlier runs of the other sections are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; default: all")
    chosen = parser.parse_args().sections or list(SECTIONS)
    results = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    console = Console()
    for name in chosen:
        console.print(f"[bold]{name}[/] ...")
        results[name] = SECTIONS[name]()
        results["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(json.dumps(results, indent=2) + "\n")
    table = Table("section", "figure", "value", box=None)
    table.columns[2].justify = "right"
    for name in chosen:
        for figure, value in results[name].items():
            table.add_row(name, figure, f"{value:,.2f}".rstrip("0").rstrip("."))
    console.print(table)


main()
