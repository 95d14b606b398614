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

    __slots__ = ("_vetted", "customers", "max_call_s", "revision", "vendors")

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

    def priced_decks(self) -> dict[tuple[str, str], PricedDeck]:
        """Every priced deck in use, by deck and account: the next snapshot keeps what stayed."""
        trunks: list[CustomerTrunk | VendorTrunk] = [*self.customers.values(), *self.vendors]
        return {(trunk.rates.deck.id, trunk.rates.account.id): trunk.rates for trunk in trunks}
