"""Trunks from Postgres, with the addresses that DNS gives their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import asyncpg
import msgspec

from services.common.errors import Invalid
from services.common.logs import get_logger
from services.common.postgres import Pool, bounded
from services.common.sip_options.trunk import CustomerSip, T, VendorSip, read_options
from services.signaling.adapters.names import VendorNames
from services.signaling.core.reach import literal_address
from services.signaling.core.route_finding import server_service
from services.signaling.core.switch_settings import SwitchSettings, read_settings
from services.signaling.core.targets import Service
from services.signaling.core.trunks import CustomerTrunk, TrunkTable, VendorPlace
from services.signaling.sip.uri import parse_sip_uri

log = get_logger(__name__)

_TIMEOUT_S: Final = 10.0

_ADDRESSES: Final = """
    SELECT a.address, t.id, t.account_id, t.enabled, t.max_calls, t.max_cps, t.sip::text AS sip
      FROM config.customer_trunk_address a
      JOIN config.customer_trunk t ON t.id = a.customer_trunk_id
"""
_VENDORS: Final = """
    SELECT id, name, lower(host) AS host, port, transport, enabled, sip::text AS sip
      FROM config.vendor_trunk
     ORDER BY id
"""
_REPLY_TO_UNKNOWN: Final = "SELECT value FROM config.setting WHERE name = 'reply_to_unknown'"
_SETTINGS: Final = "SELECT name, value::text AS value FROM config.setting"


class TrunkLoader:
    """Reads the trunks and hands a new table over whenever they change."""

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
        self._addresses: dict[str, CustomerTrunk] = {}
        self._places: list[VendorPlace] = []
        self._reply_to_unknown = False

    async def load(self, revision: int) -> None:  # noqa: ARG002 - all of it is read anyway
        """Read everything.

        Raises:
            Unavailable: Postgres does not answer; what was read before stays in force.
        """
        async with (
            bounded("config database", _TIMEOUT_S),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            addresses = await connection.fetch(_ADDRESSES)
            vendors = await connection.fetch(_VENDORS)
            setting = await connection.fetchval(_REPLY_TO_UNKNOWN)
            rows = await connection.fetch(_SETTINGS)
        settings = {row["name"]: msgspec.json.decode(row["value"]) for row in rows}
        self._addresses = {row["address"]: _trunk(row) for row in addresses}
        self._places = [_place(row) for row in vendors]
        self._reply_to_unknown = setting in {"true", True}
        self._names.want(*_names(self._places, self._addresses.values()))
        if self._on_settings is not None:
            self._on_settings(read_settings(settings))
        self.publish()

    def publish(self) -> None:
        """Hand the table over, with the addresses vendors have now."""
        known = self._names.addresses
        named = {*(place.host for place in self._places), *_servers(self._addresses.values())}
        hosts = {host for host in named if host not in known}
        self._on_table(
            TrunkTable(
                self._addresses,
                vendor_hosts={*hosts, *(each for found in known.values() for each in found)},
                vendors={place.id: place.sip for place in self._places},
                places=tuple(self._places),
                reply_to_unknown=self._reply_to_unknown,
            )
        )


def _servers(customers: Iterable[CustomerTrunk]) -> set[str]:
    """Hosts of customers' routing servers: what they send is no stranger's."""
    servers = {trunk.sip.routing.server for trunk in customers}
    uris = [parse_sip_uri(server) for server in servers if server.startswith("sip:")]
    return {uri.address[0].lower() for uri in uris}


def _names(
    places: Iterable[VendorPlace], customers: Iterable[CustomerTrunk]
) -> tuple[set[str], set[Service]]:
    """What DNS is to be asked about: vendors, and customers' routing servers."""
    hosts: set[str] = set()
    services: set[Service] = set()
    for place in places:
        hosts.add(place.host)
        if place.sip.dns.lookup != "address":
            services.add(Service(place.host, place.transport, place.sip.dns.lookup))
    for trunk in customers:
        if trunk.sip.routing.server.startswith("sip:"):
            uri = parse_sip_uri(trunk.sip.routing.server)
            hosts.add(uri.address[0].lower())
            if uri.port is None:
                services.add(server_service(uri))
    return hosts, {each for each in services if not literal_address(each.host)}


def _trunk(row: asyncpg.Record) -> CustomerTrunk:
    return CustomerTrunk(
        id=row["id"],
        account_id=row["account_id"],
        enabled=row["enabled"],
        max_calls=row["max_calls"],
        max_cps=row["max_cps"],
        sip=_options(CustomerSip, row),
    )


def _place(row: asyncpg.Record) -> VendorPlace:
    return VendorPlace(
        id=row["id"],
        name=row["name"],
        host=row["host"],
        port=row["port"],
        transport=row["transport"],
        enabled=row["enabled"],
        sip=_options(VendorSip, row),
    )


def _options(kind: type[T], row: asyncpg.Record) -> T:
    """A row that makes no sense costs its trunk the options, not the others their calls."""
    try:
        return read_options(kind, msgspec.json.decode(row["sip"]))
    except Invalid as error:
        log.warning("trunk.options_refused", trunk=row["id"], error=str(error))
        return kind()
