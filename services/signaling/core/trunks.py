"""Who is calling: customer trunks by the address their signaling comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

import msgspec

from services.common.sip_options.trunk import (
    DEFAULT_CUSTOMER,
    DEFAULT_VENDOR,
    CustomerSip,
    VendorSip,
)
from services.signaling.core.trunk_policy import (
    USUAL_CUSTOMER,
    USUAL_VENDOR,
    CustomerPolicy,
    VendorPolicy,
    customer_policy,
    vendor_policy,
)


class CustomerTrunk(msgspec.Struct, frozen=True, kw_only=True):
    """One customer trunk, as far as signaling needs it."""

    id: str
    account_id: str
    enabled: bool = True
    max_calls: int | None = None
    """``None`` = no limit, as ``max_cps``."""
    max_cps: int | None = None
    sip: CustomerSip = DEFAULT_CUSTOMER
    policy: CustomerPolicy = USUAL_CUSTOMER
    """Compiled from ``sip``, whatever it is given."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "policy", customer_policy(self.sip))


class VendorPlace(NamedTuple):
    """A vendor trunk as far as it has to be found."""

    id: str
    name: str
    host: str
    port: int = 5060
    transport: str = "udp"
    enabled: bool = True
    sip: VendorSip = DEFAULT_VENDOR


@lru_cache(4096)
def canonical_host(host: str) -> str:
    """An address literal as the kernel writes it: mapped IPv4 as IPv4, IPv6 compressed.

    A name is returned in lower case.
    """
    text = host.strip("[]")
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        pass
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return text.lower()
    return str(address.ipv4_mapped or address)


def split_address(text: str) -> tuple[str, int | None]:
    """Host and port of ``192.0.2.1:5060``, ``[2001:db8::1]:5060`` or either without port.

    Raises:
        ValueError: the port is not a number from 1 to 65535.
    """
    text = text.strip()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port_text = text, ""
    else:
        host, _, port_text = text.partition(":")
    if not port_text:
        return canonical_host(host), None
    port = int(port_text)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    return canonical_host(host), port


class TrunkTable:
    """Immutable lookup of trunks; a new one replaces it when the configuration changes.

    An address with a port wins over the bare address, so that several customers may share
    one address behind different ports.
    """

    __slots__ = (
        "_by_host", "_by_host_port", "_by_id", "_hosts", "_policies", "_vendors",
        "places", "reply_to_unknown",
    )  # fmt: skip

    def __init__(
        self,
        addresses: Mapping[str, CustomerTrunk],
        *,
        vendor_hosts: Iterable[str] = (),
        vendors: Mapping[str, VendorSip] | None = None,
        places: Sequence[VendorPlace] = (),
        reply_to_unknown: bool = False,
    ) -> None:
        self.places = places
        """Every vendor trunk, for those who ask whether it lives."""
        self.reply_to_unknown = reply_to_unknown
        """Whether strangers are answered 403; else they are dropped, and only counted."""
        self._vendors = vendors or {}
        self._policies = {
            trunk_id: policy
            for trunk_id, sip in self._vendors.items()
            if (policy := vendor_policy(sip)) is not USUAL_VENDOR
        }
        self._by_host: dict[str, CustomerTrunk] = {}
        self._by_host_port: dict[tuple[str, int], CustomerTrunk] = {}
        for text, trunk in addresses.items():
            host, port = split_address(text)
            if port is None:
                self._by_host[host] = trunk
            else:
                self._by_host_port[host, port] = trunk
        self._by_id = {trunk.id: trunk for trunk in addresses.values()}
        self._hosts = {
            *self._by_host,
            *(host for host, _ in self._by_host_port),
            *(canonical_host(host) for host in vendor_hosts),
        }

    def identify(self, host: str, port: int) -> CustomerTrunk | None:
        """The customer trunk that sends from ``host`` and ``port``."""
        return self._by_host_port.get((host, port)) or self._by_host.get(host)

    def customer(self, trunk_id: str) -> CustomerTrunk | None:
        """The customer trunk with this id."""
        return self._by_id.get(trunk_id)

    @property
    def asks_http(self) -> bool:
        """Whether any customer has a routing server that is asked over HTTP."""
        trunks = self._by_id.values()
        return any(trunk.sip.routing.server.startswith("http") for trunk in trunks)

    def vendor(self, vendor_trunk_id: str) -> VendorSip:
        """How a vendor is spoken to."""
        return self._vendors.get(vendor_trunk_id, DEFAULT_VENDOR)

    @property
    def hosts(self) -> frozenset[str]:
        """Every address a trunk, customer or vendor, lives at."""
        return frozenset(self._hosts)

    def vendor_policy(self, vendor_trunk_id: str) -> VendorPolicy:
        """The same, compiled."""
        return self._policies.get(vendor_trunk_id, USUAL_VENDOR)

    def knows(self, host: str) -> bool:
        """Whether any trunk, customer or vendor, lives at ``host``."""
        return host in self._hosts
