"""A small switch to plan on: decks in cents, one customer, vendors by name."""

from collections.abc import Mapping, Sequence

from services.common.pricing.prefix_table import ALWAYS_US, NEVER_US, Prices, Rate, table_of
from services.routing.core.rates import Account, Deck, PricedDeck
from services.routing.core.snapshot import Snapshot
from services.routing.core.trunks import CustomerTrunk, VendorTrunk

NOW = 1_800_000_000_000_000
TENTH_OF_CENT = 10**7


def row(
    prefix: str,
    mills: int = 10,
    *,
    number: int = 1,
    blocked: bool = False,
    from_us: int = ALWAYS_US,
    till_us: int = NEVER_US,
) -> Rate:
    """A 1/1 row at so many thousandths of a unit per minute."""
    price = mills * TENTH_OF_CENT
    return Rate(prefix, number, Prices(0, price, price, 0, blocked=blocked), from_us, till_us)


def account(name: str = "A", **fields: object) -> Account:
    return Account(**{"id": f"acc_{name}", "name": name, "currency": "EUR", **fields})  # type: ignore[arg-type]


def rates(name: str, rows: Sequence[Rate], owner: Account, currency: str = "EUR") -> PricedDeck:
    deck = Deck(
        id=f"dck_{name}", name=f"{name} deck", currency=currency, version=1, table=table_of(rows)
    )
    return PricedDeck(deck, owner)


def vendor(name: str, *rows: Rate, currency: str = "EUR", **fields: object) -> VendorTrunk:
    owner = fields.pop("account", None) or account(name, currency=currency)
    assert isinstance(owner, Account)
    values: Mapping[str, object] = {
        "id": f"vtr_{name}",
        "name": name,
        "rates": rates(name, rows, owner, currency),
        "host": f"{name}.example",
        **fields,
    }
    return VendorTrunk(**values)  # type: ignore[arg-type]


def customer(*rows: Rate, currency: str = "EUR", **fields: object) -> CustomerTrunk:
    owner = fields.pop("account", None) or account("C")
    assert isinstance(owner, Account)
    values: Mapping[str, object] = {
        "id": "ctr",
        "name": "customer",
        "rates": rates("sell", rows or (row("", 20),), owner, currency),
        **fields,
    }
    return CustomerTrunk(**values)  # type: ignore[arg-type]


def switch(*vendors: VendorTrunk, buyer: CustomerTrunk | None = None) -> Snapshot:
    return Snapshot(revision=1, customers=[buyer or customer()], vendors=vendors)
