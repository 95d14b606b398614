"""The configuration that calls are planned by, at one revision; replaced whole, never changed."""

from collections.abc import Mapping, Sequence

import msgspec

from services.common.explanation import Considered
from services.routing.core.rates import PricedDeck
from services.routing.core.trunks import CustomerTrunk, VendorTrunk
from services.routing.core.vetting import vet

DEFAULT_MAX_CALL_S = 4 * 3600
"""A call whose end got lost on both sides must not be charged for ever."""


class Vetted(msgspec.Struct, frozen=True):
    """The vendors of one customer trunk, as far as the number does not matter."""

    usable: tuple[VendorTrunk, ...]
    dropped: tuple[Considered, ...]


class Snapshot:
    """One revision of the configuration, indexed for planning."""

    __slots__ = ("_directory", "_vetted", "customers", "max_call_s", "revision", "vendors")

    def __init__(
        self,
        *,
        revision: int,
        customers: Sequence[CustomerTrunk],
        vendors: Sequence[VendorTrunk],
        max_call_s: int = DEFAULT_MAX_CALL_S,
    ) -> None:
        self.revision = revision
        self.customers: Mapping[str, CustomerTrunk] = {trunk.id: trunk for trunk in customers}
        self.vendors = tuple(sorted(vendors, key=lambda trunk: trunk.id))
        self.max_call_s = max_call_s
        """Of customer trunks without a limit of their own; 0: none."""
        self._vetted: dict[str, Vetted] = {}
        self._directory: dict[str, VendorTrunk] | None = None

    @property
    def rates(self) -> int:
        """Rows of all its decks."""
        decks = {rates.deck.id: rates.deck for rates in self.priced_decks().values()}
        return sum(len(deck.table) for deck in decks.values())

    def vetted(self, customer: CustomerTrunk) -> Vetted:
        """Which vendors this customer trunk may use at all; worked out once per customer."""
        known = self._vetted.get(customer.id)
        if known is None:
            verdicts = [(vendor, vet(customer, vendor)) for vendor in self.vendors]
            known = self._vetted[customer.id] = Vetted(
                tuple(vendor for vendor, dropped in verdicts if dropped is None),
                tuple(dropped for _, dropped in verdicts if dropped is not None),
            )
        return known

    def vendor_named(self, name: str) -> VendorTrunk | None:
        """The vendor trunk of this id or name, or with this ``host`` or ``host:port``.

        Of several trunks with one host the first by id is meant.
        """
        if self._directory is None:
            self._directory = _directory(self.vendors)
        key = name.strip()
        return self._directory.get(key) or self._directory.get(_plain(key))

    def priced_decks(self) -> dict[tuple[str, str], PricedDeck]:
        """Every priced deck in use, by deck and account: the next snapshot keeps what stayed."""
        trunks: list[CustomerTrunk | VendorTrunk] = [*self.customers.values(), *self.vendors]
        return {(trunk.rates.deck.id, trunk.rates.account.id): trunk.rates for trunk in trunks}


def _directory(vendors: Sequence[VendorTrunk]) -> dict[str, VendorTrunk]:
    """What each vendor may be called; ids go before names, and names before hosts."""
    known: dict[str, VendorTrunk] = {}
    for vendor in reversed(vendors):
        known[_plain(vendor.host)] = known[_plain(f"{vendor.host}:{vendor.port}")] = vendor
    for vendor in reversed(vendors):
        known[vendor.name.lower()] = vendor
    for vendor in vendors:
        known[vendor.name] = vendor
    for vendor in vendors:
        known[vendor.id] = vendor
    return known


def _plain(name: str) -> str:
    return name.lower().replace("[", "").replace("]", "")
