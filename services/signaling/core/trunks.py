"""Who is calling: customer trunks by the address their signaling comes from, or by username."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network
from typing import NamedTuple

import msgspec

from services.common.digest import ALGORITHMS
from services.common.sip_options.trunk import (
    DEFAULT_CUSTOMER,
    DEFAULT_VENDOR,
    CustomerSip,
    VendorSip,
)
from services.signaling.core.headers import numbers
from services.signaling.core.trace_choice import NO_TRACES, TraceChoice
from services.signaling.core.trunk_policy import (
    USUAL_CUSTOMER,
    USUAL_VENDOR,
    CustomerPolicy,
    VendorPolicy,
    customer_policy,
    vendor_policy,
)
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import readable
from services.signaling.sip.listeners import default_port
from services.signaling.sip.message import Request


class CustomerTrunk(msgspec.Struct, frozen=True, kw_only=True):
    """One customer trunk, as far as signaling needs it."""

    id: str
    account_id: str
    enabled: bool = True
    max_calls: int | None = None
    """``None`` = no limit, as ``max_cps``."""
    max_cps: int | None = None
    tech_prefix: str = ""
    """Digits its called numbers begin with, which are not part of them."""
    from_user: str = ""
    """The user part of its From, where several trunks share an address."""
    sip: CustomerSip = DEFAULT_CUSTOMER
    policy: CustomerPolicy = USUAL_CUSTOMER
    """Compiled from ``sip``, whatever it is given."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "policy", customer_policy(self.sip))

    def without_prefix(self, called: str) -> str:
        """The number that is meant by a called number as received."""
        return called.removeprefix(self.tech_prefix) if self.tech_prefix else called


class Place(NamedTuple):
    """Where a vendor, or his registrar, is, as configured."""

    host: str
    port: int
    transport: str
    lookup: str = "address"
    """What DNS is asked first, as in the options: ``address``, ``srv`` or ``naptr``."""

    @property
    def uri(self) -> str:
        """Its URI; where DNS says the port, there is none in it (RFC 3263 section 4.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.lookup != "address" or self.port == default_port(self.transport)
        port = "" if is_usual else f":{self.port}"
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{host}{port}{transport}"


class DigestUser(msgspec.Struct, frozen=True, kw_only=True):
    """One username and what is kept of its password."""

    trunk: CustomerTrunk
    realm: str
    """The realm the hashes were made for."""
    ha1: Mapping[str, str]
    """By algorithm."""


class DigestRules(msgspec.Struct, frozen=True, kw_only=True):
    """Digest in the whole switch."""

    realm: str = "sip"
    algorithms: tuple[str, ...] = ALGORITHMS
    """Offered, in this order."""
    nonce_key: bytes = b""
    """Shared by all nodes."""
    users: Mapping[str, DigestUser] = {}


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


class _Shared:
    """Several trunks at one address, told apart by tech prefix and From user."""

    __slots__ = ("_trunks",)

    def __init__(self, trunks: Iterable[CustomerTrunk]) -> None:
        # What says more is asked first: a trunk that asks for nothing takes what is left.
        self._trunks = sorted(
            trunks, key=lambda trunk: (len(trunk.tech_prefix), trunk.from_user), reverse=True
        )

    def choose(self, request: Request | None) -> CustomerTrunk | None:
        """The trunk a request fits; without one, the trunk that takes what is left."""
        caller = called = ""
        if request is not None:
            try:
                caller, called = map(readable, numbers(request))
            except MalformedMessage:
                return None
        for trunk in self._trunks:
            is_from = not trunk.from_user or trunk.from_user == caller
            if is_from and called.startswith(trunk.tech_prefix):
                return trunk
        return None

    def __contains__(self, trunk_id: object) -> bool:
        return any(trunk.id == trunk_id for trunk in self._trunks)


def _entry(trunks: list[CustomerTrunk]) -> CustomerTrunk | _Shared:
    (first, *others) = trunks
    is_plain = not (others or first.tech_prefix or first.from_user)
    return first if is_plain else _Shared(trunks)


_Found = CustomerTrunk | _Shared
_Networks = list[tuple[int, int, dict[int, _Found]]]
"""Bits of the address, bits that do not count, trunks by the rest; longest masks first."""

_MOST_CACHED = 4096


class TrunkTable:
    """Immutable lookup of trunks; a new one replaces it when the configuration changes.

    An address with a port wins over the bare address, and that over a network, of which the
    smallest wins. Several customers may share any of them, told apart by their tech prefix
    or From user.
    """

    __slots__ = (
        "_by_host", "_by_host_port", "_by_id", "_cache", "_hosts", "_network_names",
        "_networks", "_policies", "_vendor_rules", "_vendors", "accounts", "digest",
        "kept_alive", "places", "reply_to", "reply_to_unknown", "traces",
    )  # fmt: skip

    def __init__(
        self,
        addresses: Mapping[str, CustomerTrunk] | Iterable[tuple[str, CustomerTrunk]],
        *,
        vendor_hosts: Iterable[str] = (),
        vendors: Mapping[str, VendorSip] | None = None,
        places: Sequence[VendorPlace] = (),
        vendor_rules: Mapping[str, str] | None = None,
        kept_alive: Iterable[tuple[Peer, float]] = (),
        reply_to_unknown: bool = False,
        digest: DigestRules | None = None,
        accounts: Mapping[str, Place] | None = None,
        traces: TraceChoice = NO_TRACES,
    ) -> None:
        self.places = places
        """Every vendor trunk, for those who ask whether it lives."""
        self.reply_to_unknown = reply_to_unknown
        """Whether strangers are answered 403; else they are dropped, and only counted."""
        self.digest = digest or DigestRules()
        """Who may prove himself, and how; while nobody may, strangers are not asked to."""
        self.accounts = accounts or {}
        """The registrars where the switch registers, by vendor trunk."""
        self.traces = traces
        """Whose calls are followed live."""
        self._vendors = vendors or {}
        self._vendor_rules = vendor_rules or {}
        """``reply_to`` of vendors that have such a rule, by address."""
        self.kept_alive = tuple(kept_alive)
        """Vendors that are sent signs of life, each with its interval in seconds."""
        self._policies = {
            trunk_id: policy
            for trunk_id, sip in self._vendors.items()
            if (policy := vendor_policy(sip)) is not USUAL_VENDOR
        }
        hosts: dict[str, list[CustomerTrunk]] = {}
        host_ports: dict[tuple[str, int], list[CustomerTrunk]] = {}
        networks: dict[str, list[CustomerTrunk]] = {}
        self._by_id = {user.trunk.id: user.trunk for user in self.digest.users.values()}
        pairs = addresses.items() if isinstance(addresses, Mapping) else addresses
        for text, trunk in pairs:
            self._by_id[trunk.id] = trunk
            if "/" in text:
                networks.setdefault(text, []).append(trunk)
                continue
            host, port = split_address(text)
            if port is None:
                hosts.setdefault(host, []).append(trunk)
            else:
                host_ports.setdefault((host, port), []).append(trunk)
        self._by_host = {host: _entry(trunks) for host, trunks in hosts.items()}
        self._by_host_port = {place: _entry(trunks) for place, trunks in host_ports.items()}
        self._networks = _by_mask(networks)
        self._network_names = frozenset(networks)
        self._cache: dict[str, _Found | None] = {}
        self._hosts = frozenset({
            *self._by_host,
            *(host for host, _ in self._by_host_port),
            *(canonical_host(host) for host in vendor_hosts),
        })  # fmt: skip
        has_rules = any(trunk.sip.nat.reply_to != "auto" for trunk in self._by_id.values())
        self.reply_to = self._reply_to if has_rules or self._vendor_rules else None
        """The rule by which a source is answered; ``None`` when all have the usual one."""

    def identify(
        self, host: str, port: int, request: Request | None = None
    ) -> CustomerTrunk | None:
        """The customer trunk that sends from ``host`` and ``port``.

        Where several do, ``request`` tells which.
        """
        first = self._by_host_port.get((host, port)) or self._by_host.get(host)
        if type(first) is CustomerTrunk:
            return first
        for found in self._all_at(host, port):
            trunk = found if isinstance(found, CustomerTrunk) else found.choose(request)
            if trunk is not None:
                return trunk
        return None

    def lives_at(self, trunk_id: str, host: str, port: int) -> bool:
        """Whether an address is among those of a trunk, whoever shares it."""
        return any(
            found.id == trunk_id if isinstance(found, CustomerTrunk) else trunk_id in found
            for found in self._all_at(host, port)
        )

    def _all_at(self, host: str, port: int) -> list[_Found]:
        """Who has an address, most specific first."""
        found = (
            self._by_host_port.get((host, port)),
            self._by_host.get(host),
            self._in_network(host),
        )
        return [one for one in found if one is not None]

    def customer(self, trunk_id: str) -> CustomerTrunk | None:
        """The customer trunk with this id."""
        return self._by_id.get(trunk_id)

    def _reply_to(self, source: Peer) -> str:
        trunk = self.identify(source.host, source.port)
        if trunk is not None:
            return trunk.sip.nat.reply_to
        return self._vendor_rules.get(source.host, "auto")

    def listeners_named(self) -> dict[str, str]:
        """What trunks call the listening address they want, by the trunk's id."""
        named = {trunk_id: trunk.sip.listener for trunk_id, trunk in self._by_id.items()}
        named |= {trunk_id: sip.listener for trunk_id, sip in self._vendors.items()}
        return {trunk_id: listener for trunk_id, listener in named.items() if listener}

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
        """Every address and network a trunk, customer or vendor, lives at."""
        return self._hosts | self._network_names

    def vendor_policy(self, vendor_trunk_id: str) -> VendorPolicy:
        """The same, compiled."""
        return self._policies.get(vendor_trunk_id, USUAL_VENDOR)

    def knows(self, host: str) -> bool:
        """Whether any trunk, customer or vendor, lives at ``host``."""
        return host in self._hosts or self._in_network(host) is not None

    def _in_network(self, host: str) -> _Found | None:
        """Who has the smallest network around ``host``."""
        if not self._networks:
            return None
        try:
            return self._cache[host]
        except KeyError:
            pass
        found = _smallest(self._networks, host)
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()  # it only saves work
        self._cache[host] = found
        return found


def _by_mask(networks: Mapping[str, list[CustomerTrunk]]) -> _Networks:
    masks: dict[tuple[int, int], dict[int, _Found]] = {}
    for text, trunks in networks.items():
        network = ip_network(text)
        ignored = network.max_prefixlen - network.prefixlen
        rows = masks.setdefault((network.max_prefixlen, ignored), {})
        rows[int(network.network_address) >> ignored] = _entry(trunks)
    return sorted((bits, ignored, rows) for (bits, ignored), rows in masks.items())


def _smallest(networks: _Networks, host: str) -> _Found | None:
    try:
        address: IPv4Address | IPv6Address = (
            IPv6Address(host) if ":" in host else IPv4Address(host)
        )
    except AddressValueError:
        return None
    number, bits = int(address), address.max_prefixlen
    for size, ignored, rows in networks:
        if size == bits and (found := rows.get(number >> ignored)) is not None:
            return found
    return None
