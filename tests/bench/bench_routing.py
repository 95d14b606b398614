"""Rates: loading, memory and lookups. Plans: what one costs with many vendors.

1,000,000 rows in 20 decks, as Postgres copies them out, are made into tables and asked for
numbers drawn from their own prefixes, so that nearly every lookup finds something.
"""

import gc
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import TypeVar

from proto.routing.v1 import routing_pb2 as pb
from services.common.pricing.prefix_table import PrefixTable, key_of
from services.routing.adapters.rate_copy import DeckReader
from services.routing.app import Routing
from services.routing.core.rates import Account, Deck, PricedDeck
from services.routing.core.snapshot import Snapshot
from services.routing.core.trunks import CustomerTrunk, VendorTrunk
from services.routing.entrypoints.grpc import RoutingServicer

T = TypeVar("T")

DECKS = 20
ROWS = 50_000
"""Per deck."""
AT_MS = 1_800_000_000_000
_PIECE = 65_536


def run() -> dict[str, float]:
    """Measure; figures by name, with their unit at the end."""
    dice = random.Random(20)
    prefixes = sorted(_prefixes(dice))
    copies = [_copied(prefixes, dice) for _ in range(DECKS)]
    figures, tables = _loading(copies)
    numbers = [f"{dice.choice(prefixes)}{dice.randrange(10**6):06d}" for _ in range(2000)]
    figures |= _lookups(tables, numbers)
    figures |= _plans(tables, numbers)
    return figures


def _prefixes(dice: random.Random) -> set[str]:
    """Codes as decks have them: mostly 4 to 8 digits, many inside another."""
    found: set[str] = set()
    while len(found) < ROWS:
        code = str(dice.randrange(10, 10**4))
        found.add(code)
        for _ in range(dice.randrange(12)):
            found.add(code + str(dice.randrange(10 ** dice.randrange(1, 5))))
    return set(list(found)[:ROWS])


def _copied(prefixes: Sequence[str], dice: random.Random) -> bytes:
    prices = [f"{dice.randrange(1, 9999) / 10000:.10f}" for _ in range(2000)]
    lines = []
    for number, prefix in enumerate(prefixes):
        price = dice.choice(prices)
        lines.append(f"{prefix}\t{number}\t0.0000000000 {price} {price} 0 1 1 0 0 0\t\n")
    return "".join(lines).encode()


def _loading(copies: Sequence[bytes]) -> tuple[dict[str, float], list[PrefixTable]]:
    began = time.perf_counter()
    tables = [_table(copy) for copy in copies]
    took_s = time.perf_counter() - began
    tracemalloc.start()
    extra = _table(copies[0])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rows = sum(map(len, tables))
    return {
        "rates_rows": float(rows),
        "rates_loaded_per_s": rows / took_s,
        "rate_bytes_per_row": held / len(extra),
    }, tables


def _table(copied: bytes) -> PrefixTable:
    reader = DeckReader()
    for start in range(0, len(copied), _PIECE):
        reader.feed(copied[start : start + _PIECE])
    return reader.table()


def _lookups(tables: Sequence[PrefixTable], numbers: Sequence[str]) -> dict[str, float]:
    def look(number: str) -> None:
        key = key_of(number)
        for table in tables:
            table.find(key, AT_MS * 1000)

    return {f"us_per_lookup_over_{DECKS}_decks": _us_each(look, numbers)}


def _plans(tables: Sequence[PrefixTable], numbers: Sequence[str]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for vendors in (2, DECKS):
        servicer = RoutingServicer(_routing(tables[:vendors]), lambda: 0)
        requests = [
            pb.PlanRequest(
                id=1, customer_trunk_id="ctr", caller="4930111", called=each, at_unix_ms=AT_MS
            )
            for each in numbers
        ]

        def ask(request: pb.PlanRequest, servicer: RoutingServicer = servicer) -> None:
            servicer.answer(request).SerializeToString()

        figures[f"us_per_plan_first_{vendors}_vendors"] = _us_each(ask, requests, rounds=1)
        figures[f"us_per_plan_{vendors}_vendors"] = _us_each(ask, requests[:500])
    return figures


class _Still:
    """A configuration that is already there."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def load(self, previous: Snapshot | None) -> Snapshot:
        """The snapshot."""
        del previous
        return self._snapshot


def _routing(tables: Sequence[PrefixTable]) -> Routing:
    account = Account(id="acc", name="Carrier", currency="EUR")
    priced = [
        PricedDeck(
            Deck(id=f"dck_{at}", name=f"deck {at}", currency="EUR", version=1, table=table),
            account,
        )
        for at, table in enumerate(tables)
    ]
    vendors = [
        VendorTrunk(id=f"vtr_{at}", name=f"vendor {at}", rates=rates, host="192.0.2.1")
        for at, rates in enumerate(priced)
    ]
    snapshot = Snapshot(
        revision=1,
        customers=[CustomerTrunk(id="ctr", name="customer", rates=priced[0])],
        vendors=vendors,
    )
    routing = Routing(_Still(snapshot), random.Random(1).random)
    routing.snapshot = snapshot
    return routing


def _us_each(do: Callable[[T], None], inputs: Sequence[T], rounds: int = 5) -> float:
    gc.collect()
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for each in inputs:
            do(each)
        best = min(best, time.process_time() - began)
    return best / len(inputs) * 1e6


if __name__ == "__main__":
    for name, value in run().items():
        sys.stdout.write(f"{name:32} {value:14,.2f}\n")
