"""Both ends of a route: customer trunks and vendor trunks."""

import msgspec

from services.routing.core.rates import PricedDeck


class CustomerTrunk(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls come from. ``rates`` is the deck it buys by, priced for its account."""

    id: str
    name: str
    rates: PricedDeck
    enabled: bool = True
    max_call_s: int | None = None
    max_attempts: int = 5
    media_proxy: bool = True
    addresses: frozenset[str] = frozenset()
    """As configured: ``host`` or ``host:port``."""
    vendors: frozenset[str] = frozenset()
    """Ids of the vendor trunks it may use; empty: all."""


class VendorTrunk(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls may go. ``rates`` is the deck it sells by, priced for its account."""

    id: str
    name: str
    rates: PricedDeck
    host: str
    port: int = 5060
    transport: str = "udp"
    enabled: bool = True
    priority: int = 100
    weight: int = 1
    max_calls: int | None = None
    max_cps: int | None = None
    media_proxy: bool = True
    strip: int = 0
    prepend: str = ""
    trying_timeout_ms: int = 5000
    ringing_timeout_ms: int = 120_000
    stop_codes: tuple[int, ...] = ()
