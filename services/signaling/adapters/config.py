"""Trunks from Postgres, and the addresses of vendors named by host name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from services.common.errors import Invalid
from services.common.logs import get_logger
from services.common.postgres import Pool, bounded
from services.common.sip_options.trunk import CustomerSip, T, VendorSip, read_options
from services.signaling.core.trace_choice import NO_TRACES, TraceChoice, prefixes_of
from services.signaling.core.trunks import CustomerTrunk, TrunkTable, canonical_host

log = get_logger(__name__)

_TIMEOUT_S: Final = 10.0
RESOLVE_EVERY_S: Final = 30.0
_RESOLVE_TIMEOUT_S: Final = 5.0

_ADDRESSES: Final = """
    SELECT a.address, t.id, t.account_id, t.enabled, t.max_calls, t.max_cps, t.sip::text AS sip
      FROM config.customer_trunk_address a
      JOIN config.customer_trunk t ON t.id = a.customer_trunk_id
"""
_VENDORS: Final = "SELECT id, lower(host) AS host, sip::text AS sip FROM config.vendor_trunk"
_REPLY_TO_UNKNOWN: Final = "SELECT value FROM config.setting WHERE name = 'reply_to_unknown'"
_TRACE_ALL: Final = "SELECT value FROM config.setting WHERE name = 'trace_all'"
_TRACE_PREFIXES: Final = "SELECT value FROM config.setting WHERE name = 'trace_prefixes'"


class TrunkLoader:
    """Reads the trunks and hands a new table over whenever they change."""

    def __init__(
        self, pool: Pool, names: VendorNames, on_table: Callable[[TrunkTable], None]
    ) -> None:
        self._pool = pool
        self._names = names
        self._on_table = on_table
        self._addresses: dict[str, CustomerTrunk] = {}
        self._vendor_hosts: set[str] = set()
        self._vendors: dict[str, VendorSip] = {}
        self._reply_to_unknown = False
        self._traces = NO_TRACES

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
            trace_all = await connection.fetchval(_TRACE_ALL)
            prefixes = await connection.fetchval(_TRACE_PREFIXES)
        self._addresses = {row["address"]: _trunk(row) for row in addresses}
        self._vendor_hosts = {row["host"] for row in vendors}
        self._vendors = {row["id"]: _options(VendorSip, row) for row in vendors}
        self._reply_to_unknown = setting in {"true", True}
        customers = (trunk.id for trunk in self._addresses.values() if trunk.sip.trace)
        vendors_traced = (trunk_id for trunk_id, sip in self._vendors.items() if sip.trace)
        self._traces = TraceChoice(
            is_all=trace_all in {"true", True},
            prefixes=prefixes_of(str(prefixes or "").strip('"')),
            trunks={*customers, *vendors_traced},
        )
        await self._names.resolve(self._vendor_hosts)
        self.publish()

    def publish(self) -> None:
        """Hand the table over, with the addresses vendors have now."""
        known = self._names.addresses
        self._on_table(
            TrunkTable(
                self._addresses,
                vendor_hosts={known.get(host, host) for host in self._vendor_hosts},
                vendors=self._vendors,
                reply_to_unknown=self._reply_to_unknown,
                traces=self._traces,
            )
        )

    async def follow_names(self) -> None:
        """Look vendors' names up again and again, until cancelled."""
        while True:
            await asyncio.sleep(RESOLVE_EVERY_S)
            if await self._names.resolve(self._vendor_hosts):
                self.publish()


def _trunk(row: asyncpg.Record) -> CustomerTrunk:
    return CustomerTrunk(
        id=row["id"],
        account_id=row["account_id"],
        enabled=row["enabled"],
        max_calls=row["max_calls"],
        max_cps=row["max_cps"],
        sip=_options(CustomerSip, row),
    )


def _options(kind: type[T], row: asyncpg.Record) -> T:
    """A row that makes no sense costs its trunk the options, not the others their calls."""
    try:
        return read_options(kind, msgspec.json.decode(row["sip"]))
    except Invalid as error:
        log.warning("trunk.options_refused", trunk=row["id"], error=str(error))
        return kind()


class VendorNames:
    """Addresses by host name. What was once found stays until something newer is."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        """Read by every call; changed in place."""

    async def resolve(self, hosts: set[str]) -> bool:
        """Look names up; whether any address is new."""
        names = [host for host in hosts if not _is_literal(host)]
        found = await asyncio.gather(*map(self._look_up, names))
        fresh = {name: address for name, address in zip(names, found, strict=True) if address}
        is_new = any(self.addresses.get(name) != address for name, address in fresh.items())
        self.addresses.update(fresh)
        return is_new

    async def _look_up(self, host: str) -> str | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            log.warning("vendor.unresolved", host=host, error=str(error))
            return None
        known = self.addresses.get(host)
        addresses = [canonical_host(str(entry[4][0])) for entry in found]
        # The one in use is kept while it is valid: calls should not hop without need.
        return known if known in addresses else addresses[0]


def _is_literal(host: str) -> bool:
    text = canonical_host(host)
    return ":" in text or text.replace(".", "").isdigit()
