"""Where vendors are reached: the addresses of their names, and what is known of each.

Nothing is looked up here: adapters keep the tables fresh behind the back of the calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from services.common.causes import EndReason
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.targets import Choice, Draw, Service, in_order
from services.signaling.core.trunks import Place, VendorPlace, canonical_host, split_address
from services.signaling.core.vendor_health import VendorHealth
from services.signaling.sip.actions import Peer
from services.signaling.sip.listeners import Listeners, default_port
from services.signaling.sip.uri import SipUri

_LITERAL: Final = re.compile(r"[0-9.]+|.*:.*")

Addresses = Mapping[str, Sequence[str]]


class Reach:
    """Shared by every call."""

    __slots__ = ("addresses", "draw", "health", "own", "services")

    def __init__(
        self,
        addresses: Addresses,
        services: Mapping[Service, tuple[Choice, ...]],
        *,
        draw: Draw,
        own: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        self.addresses = addresses
        """By lower-case name; changed in place by whoever looks names up."""
        self.services = services
        """What SRV and NAPTR records say, likewise."""
        self.draw = draw
        self.own = own
        """Hosts and ports that are ourselves: nothing is ever redirected there."""
        self.health = VendorHealth()

    def resolve(self, host: str) -> str | None:
        """The address to send to; ``None`` for a name that nobody has looked up yet."""
        literal = literal_address(host)
        if literal:
            return literal
        found = self.addresses.get(host.lower())
        return found[0] if found else None

    def has_address(self, host: str, address: str) -> bool:
        """Whether ``host`` is a name and ``address`` one of its addresses."""
        return bool(self.addresses) and address in self.addresses.get(host.lower(), ())

    def service_of(self, host: str, transport: str, sip: VendorSip) -> Service | None:
        """The DNS service a vendor is found by; ``None`` when plain addresses will do."""
        if sip.dns.lookup == "address" or literal_address(host):
            return None
        return Service(host.lower(), transport, sip.dns.lookup)

    def peers(self, host: str, port: int, transport: str) -> list[Peer]:
        """Every address of ``host``, in order; none for an unknown name."""
        literal = literal_address(host)
        if literal:
            return [Peer(transport, literal, port)]
        found = self.addresses.get(host.lower(), ())
        return [Peer(transport, address, port) for address in found]

    def served(self, service: Service) -> list[Peer]:
        """One drawing of what DNS says of a service; empty when it says nothing."""
        choices = self.services.get(service)
        return in_order(choices, self.draw) if choices else []

    def located(self, place: Place) -> list[Peer]:
        """Addresses of a server of which there may be several, in the order to try.

        Empty while its name is unknown.
        """
        served: list[Peer] = []
        if place.lookup != "address" and not literal_address(place.host):
            served = self.served(Service(place.host.lower(), place.transport, place.lookup))
        return served or self.peers(place.host, place.port, place.transport)

    def every_peer(self, place: VendorPlace) -> list[Peer]:
        """All addresses of a vendor, in no particular order."""
        service = self.service_of(place.host, place.transport, place.sip)
        choices = self.services.get(service, ()) if service is not None else ()
        if choices:
            return list(dict.fromkeys(peer for choice in choices for peer in choice.peers))
        return self.peers(place.host, place.port, place.transport)

    def usable(
        self, vendor_trunk_id: str, peers: list[Peer], now: float
    ) -> tuple[list[Peer], EndReason]:
        """Those that may be called now; and why not, for when there are none."""
        if self.health.is_quiet:
            return peers, EndReason.VENDOR_UNREACHABLE
        good: list[Peer] = []
        reason = EndReason.VENDOR_UNREACHABLE
        for peer in peers:
            trouble = self.health.trouble(vendor_trunk_id, peer, now)
            if trouble is None:
                good.append(peer)
            elif reason is not EndReason.VENDOR_BACKOFF:
                # One that rests will be back sooner than one that is down.
                reason = trouble
        return good, reason


def server_place(uri: SipUri) -> Place:
    """Where the server of a URI is, as RFC 3263 section 4 has it.

    A port, or an address for a name, leaves DNS no choice; a transport leaves it that of SRV.
    """
    transport = uri.transport or "udp"
    host = uri.host.strip("[]").lower()
    lookup = "srv" if uri.transport else "naptr"
    if uri.port is not None or literal_address(host):
        lookup = "address"
    return Place(host, uri.port or default_port(transport), transport, lookup)


def own_places(listeners: Listeners) -> frozenset[tuple[str, int]]:
    """Where we are ourselves, as bound and as others know us."""
    named = [split_address(address) for address in listeners.addresses]
    return frozenset([*listeners.places, *((host, port or 5060) for host, port in named)])


@lru_cache(4096)  # every call asks for one of the same few hosts
def literal_address(host: str) -> str:
    """The address that ``host`` already is, as the kernel writes it; ``""`` for a name."""
    return canonical_host(host) if _LITERAL.fullmatch(host) else ""
