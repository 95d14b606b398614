"""Trunks from Postgres, and the addresses of vendors named by host name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from services.common.errors import Invalid
from services.common.logs import get_logger
from services.common.postgres import Pool
from services.common.sip_options.trunk import CustomerSip, T, VendorSip, stored_options
from services.signaling.adapters.config_rows import (
    NO_ROWS,
    SHAPE,
    Row,
    Rows,
    decode_rows,
    encode_rows,
    read_rows,
)
from services.signaling.adapters.names import VendorNames
from services.signaling.core.addressing import vendor_peer
from services.signaling.core.contacts import REGISTERED
from services.signaling.core.reach import Reach, literal_address, server_place
from services.signaling.core.switch_settings import SwitchSettings, read_settings
from services.signaling.core.targets import Service
from services.signaling.core.trace_choice import NO_TRACES, TraceChoice, prefixes_of
from services.signaling.core.trunks import (
    CustomerTrunk,
    DigestRules,
    DigestUser,
    Place,
    TrunkTable,
    VendorPlace,
    split_address,
)
from services.signaling.sip.listeners import default_port
from services.signaling.sip.uri import SipUri, parse_sip_uri

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read last."""

    addresses: list[tuple[str, CustomerTrunk]] = field(default_factory=list)
    customers: list[CustomerTrunk] = field(default_factory=list)
    vendors: dict[str, VendorSip] = field(default_factory=dict)
    places: tuple[VendorPlace, ...] = ()
    """Those that are called at an address of theirs."""
    accounts: dict[str, Place] = field(default_factory=dict)
    digest: DigestRules = field(default_factory=DigestRules)
    reply_to_unknown: bool = False
    traces: TraceChoice = NO_TRACES


class TrunkLoader:
    """Reads the trunks and hands a new table over whenever they change.

    A :class:`services.common.last_known.Keeper` of them, too.
    """

    shape = SHAPE

    def __init__(
        self,
        pool: Pool,
        names: VendorNames,
        on_table: Callable[[TrunkTable], None],
        on_settings: Callable[[SwitchSettings], None] | None = None,
    ) -> None:
        self._pool = pool
        self._names = names
        self._on_table = on_table
        self._on_settings = on_settings
        self._read = _Read()
        self._rows = NO_ROWS

    async def load(self, revision: int) -> None:  # noqa: ARG002 - all of it is read anyway
        """Read everything.

        Raises:
            Unavailable: Postgres does not answer; what was read before stays in force.
        """
        self._take(await read_rows(self._pool))

    def write(self) -> bytes:
        """See :meth:`services.common.last_known.Keeper.write`."""
        return encode_rows(self._rows)

    def sweep(self) -> None:
        """See :meth:`services.common.last_known.Keeper.sweep`: there is the one file only."""

    def read(self, payload: bytes) -> Callable[[], None]:
        """See :meth:`services.common.last_known.Keeper.read`."""
        return partial(self._take, decode_rows(payload))

    def _take(self, read: Rows) -> None:
        customers, vendors = read.customers, read.vendors
        trunks = {row["id"]: _trunk(row) for row in customers}
        options = {row["id"]: _options(VendorSip, row) for row in vendors}
        accounts = {
            row["id"]: _registrar(row, options[row["id"]])
            for row in vendors
            if row["enabled"] and options[row["id"]].register.enabled
        }
        settings = read_settings(
            {row["name"]: msgspec.json.decode(row["value"]) for row in read.settings}
        )
        self._read = _Read(
            addresses=[
                (row["address"], trunks[row["customer_trunk_id"]]) for row in read.addresses
            ],
            customers=list(trunks.values()),
            vendors=options,
            places=tuple(
                _vendor(row, options[row["id"]])
                for row in vendors
                if not row["host"].startswith(REGISTERED)
            ),
            accounts=accounts,
            digest=_digest(read, trunks, settings),
            reply_to_unknown=settings.reply_to_unknown,
            traces=TraceChoice(
                is_all=settings.trace_all,
                prefixes=prefixes_of(settings.trace_prefixes),
                trunks=[
                    *(trunk_id for trunk_id, trunk in trunks.items() if trunk.sip.trace),
                    *(trunk_id for trunk_id, sip in options.items() if sip.trace),
                ],
            ),
        )
        if self._on_settings is not None:
            self._on_settings(settings)
        self._names.want(*_names(self._read))
        self.publish()
        self._rows = read

    def publish(self) -> None:
        """Hand the table over, with the addresses vendors have now."""
        known, read = self._names.addresses, self._read
        reach = Reach(known, self._names.services, draw=lambda: 0.0)
        found = [(place, peer) for place in read.places for peer in reach.every_peer(place)]
        self._on_table(
            TrunkTable(
                read.addresses,
                vendor_hosts={
                    *(host for host in _hosts(read) if host not in known),
                    *(peer.host for _, peer in found),
                    *(address for addresses in known.values() for address in addresses),
                },
                vendors=read.vendors,
                places=read.places,
                vendor_rules={
                    peer.host: place.sip.nat.reply_to
                    for place, peer in found
                    if place.sip.nat.reply_to != "auto"
                },
                kept_alive=[
                    (vendor_peer(place.host, *peer[1:3], peer.transport, place.sip), every)
                    for place, peer in found
                    if (every := place.sip.keepalive.crlf_s) and place.enabled
                ],
                reply_to_unknown=read.reply_to_unknown,
                traces=read.traces,
                digest=read.digest,
                accounts=read.accounts,
            )
        )


def _hosts(read: _Read) -> set[str]:
    """Where vendors, their registrars and customers' routing servers are: none is a stranger."""
    return {
        *(place.host for place in read.places),
        *(place.host for place in read.accounts.values()),
        *(uri.address[0].lower() for uri in _servers(read)),
    }


def _servers(read: _Read) -> list[SipUri]:
    servers = {trunk.sip.routing.server for trunk in read.customers}
    return [parse_sip_uri(server) for server in servers if server.startswith("sip:")]


def _names(read: _Read) -> tuple[set[str], set[Service]]:
    """What DNS is to be asked about."""
    services = {
        Service(place.host, place.transport, place.sip.dns.lookup)
        for place in read.places
        if place.sip.dns.lookup != "address"
    }
    servers = [*read.accounts.values(), *map(server_place, _servers(read))]
    services |= {
        Service(place.host, place.transport, place.lookup)
        for place in servers
        if place.lookup != "address"
    }
    return _hosts(read), {each for each in services if not literal_address(each.host)}


def _trunk(row: Row) -> CustomerTrunk:
    return CustomerTrunk(
        id=row["id"],
        account_id=row["account_id"],
        enabled=row["enabled"],
        max_calls=row["max_calls"],
        max_cps=row["max_cps"],
        tech_prefix=row["tech_prefix"],
        from_user=row["from_user"],
        sip=_options(CustomerSip, row),
    )


def _digest(
    read: Rows, trunks: Mapping[str, CustomerTrunk], settings: SwitchSettings
) -> DigestRules:
    return DigestRules(
        realm=settings.sip_realm,
        algorithms=settings.digest_algorithms,
        nonce_key=next((row["key"] for row in read.nonce_keys), b""),
        users={
            row["username"]: DigestUser(
                trunk=trunks[row["customer_trunk_id"]],
                realm=row["realm"],
                ha1=msgspec.json.decode(row["ha1"], type=dict[str, str]),
            )
            for row in read.credentials
        },
    )


def _registrar(row: Row, sip: VendorSip) -> Place:
    transport, lookup = row["transport"], sip.dns.lookup
    if not sip.register.registrar:
        return Place(row["host"], row["port"], transport, lookup)
    host, port = _split(sip.register.registrar)
    if port is not None:
        return Place(host, port, transport)
    # Named without port it is found by SRV, whatever the trunk itself is found by.
    lookup = "srv" if lookup == "address" else lookup
    return Place(host, default_port(transport), transport, lookup)


def _split(registrar: str) -> tuple[str, int | None]:
    try:
        return split_address(registrar)
    except ValueError:
        return registrar.lower(), None  # an impossible port: it will not be found


def _vendor(row: Row, sip: VendorSip) -> VendorPlace:
    return VendorPlace(
        id=row["id"],
        name=row["name"],
        host=row["host"],
        port=row["port"],
        transport=row["transport"],
        enabled=row["enabled"],
        sip=sip,
    )


def _options(kind: type[T], row: Row) -> T:
    """A row that makes no sense costs its trunk the options, not the others their calls."""
    try:
        return stored_options(kind, msgspec.json.decode(row["sip"]))
    except Invalid as error:
        log.warning("trunk.options_refused", trunk=row["id"], error=str(error))
        return kind()
