"""Trunks from Postgres, and the addresses of vendors named by host name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import msgspec

from services.common.errors import Invalid
from services.common.logs import get_logger
from services.common.postgres import Pool, bounded
from services.common.sip_options.trunk import CustomerSip, T, VendorSip, read_options
from services.signaling.core.addressing import vendor_peer
from services.signaling.core.contacts import REGISTERED
from services.signaling.core.switch_settings import SwitchSettings, read_settings
from services.signaling.core.trace_choice import NO_TRACES, TraceChoice, prefixes_of
from services.signaling.core.trunks import (
    CustomerTrunk,
    DigestRules,
    DigestUser,
    Place,
    TrunkTable,
    canonical_host,
    split_address,
)
from services.signaling.sip.listeners import default_port

log = get_logger(__name__)

_TIMEOUT_S: Final = 10.0
RESOLVE_EVERY_S: Final = 30.0
_RESOLVE_TIMEOUT_S: Final = 5.0

_CUSTOMERS: Final = """
    SELECT id, account_id, enabled, max_calls, max_cps, tech_prefix, from_user, sip::text AS sip
      FROM config.customer_trunk
"""
_ADDRESSES: Final = "SELECT address, customer_trunk_id FROM config.customer_trunk_address"
_CREDENTIALS: Final = """
    SELECT username, customer_trunk_id, realm, ha1::text AS ha1
      FROM config.customer_trunk_credential
"""
_VENDORS: Final = """
    SELECT id, lower(host) AS host, port, transport, enabled, sip::text AS sip
      FROM config.vendor_trunk
"""
_SETTINGS: Final = "SELECT name, value::text AS value FROM config.setting"
_NONCE_KEY: Final = "SELECT key FROM config.nonce_key"


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read last."""

    addresses: list[tuple[str, CustomerTrunk]] = field(default_factory=list)
    vendor_hosts: set[str] = field(default_factory=set)
    vendors: dict[str, VendorSip] = field(default_factory=dict)
    vendor_rows: list[asyncpg.Record] = field(default_factory=list)
    """Those that are called at an address of theirs."""
    accounts: dict[str, Place] = field(default_factory=dict)
    digest: DigestRules = field(default_factory=DigestRules)
    reply_to_unknown: bool = False
    traces: TraceChoice = NO_TRACES


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
        self._read = _Read()

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
            customers = await connection.fetch(_CUSTOMERS)
            addresses = await connection.fetch(_ADDRESSES)
            credentials = await connection.fetch(_CREDENTIALS)
            vendors = await connection.fetch(_VENDORS)
            rows = await connection.fetch(_SETTINGS)
            nonce_key = await connection.fetchval(_NONCE_KEY)
        trunks = {row["id"]: _trunk(row) for row in customers}
        options = {row["id"]: _options(VendorSip, row) for row in vendors}
        accounts = {
            row["id"]: _registrar(row, options[row["id"]])
            for row in vendors
            if row["enabled"] and options[row["id"]].register.enabled
        }
        settings = read_settings({row["name"]: msgspec.json.decode(row["value"]) for row in rows})
        hosts = {row["host"] for row in vendors if not row["host"].startswith(REGISTERED)}
        self._read = _Read(
            addresses=[(row["address"], trunks[row["customer_trunk_id"]]) for row in addresses],
            vendor_hosts=hosts | {place.host for place in accounts.values()},
            vendors=options,
            vendor_rows=[row for row in vendors if row["host"] in hosts],
            accounts=accounts,
            digest=_digest(credentials, trunks, settings, nonce_key or b""),
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
        await self._names.resolve(self._read.vendor_hosts)
        self.publish()

    def publish(self) -> None:
        """Hand the table over, with the addresses vendors have now."""
        known, read = self._names.addresses, self._read
        vendors = [
            (row, read.vendors[row["id"]], canonical_host(known.get(row["host"], row["host"])))
            for row in read.vendor_rows
        ]
        self._on_table(
            TrunkTable(
                read.addresses,
                vendor_hosts={known.get(host, host) for host in read.vendor_hosts},
                vendors=read.vendors,
                vendor_rules={
                    address: sip.nat.reply_to
                    for _, sip, address in vendors
                    if sip.nat.reply_to != "auto"
                },
                kept_alive=[
                    (vendor_peer(row["host"], address, row["port"], row["transport"], sip), every)
                    for row, sip, address in vendors
                    if (every := sip.keepalive.crlf_s) and row["enabled"] and _is_literal(address)
                ],
                reply_to_unknown=read.reply_to_unknown,
                traces=read.traces,
                digest=read.digest,
                accounts=read.accounts,
            )
        )

    async def follow_names(self) -> None:
        """Look vendors' names up again and again, until cancelled."""
        while True:
            await asyncio.sleep(RESOLVE_EVERY_S)
            if await self._names.resolve(self._read.vendor_hosts):
                self.publish()


def _trunk(row: asyncpg.Record) -> CustomerTrunk:
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
    credentials: Sequence[asyncpg.Record],
    trunks: Mapping[str, CustomerTrunk],
    settings: SwitchSettings,
    nonce_key: bytes,
) -> DigestRules:
    return DigestRules(
        realm=settings.sip_realm,
        algorithms=settings.digest_algorithms,
        nonce_key=nonce_key,
        users={
            row["username"]: DigestUser(
                trunk=trunks[row["customer_trunk_id"]],
                realm=row["realm"],
                ha1=msgspec.json.decode(row["ha1"], type=dict[str, str]),
            )
            for row in credentials
        },
    )


def _registrar(row: asyncpg.Record, sip: VendorSip) -> Place:
    host, port = row["host"], row["port"]
    if sip.register.registrar:
        host, named = _split(sip.register.registrar)
        port = named or default_port(row["transport"])
    return Place(host, port, row["transport"])


def _split(registrar: str) -> tuple[str, int | None]:
    try:
        return split_address(registrar)
    except ValueError:
        return registrar.lower(), None  # an impossible port: it will not be found


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
