"""Keeps what DNS says of vendors fresh, so that no call ever waits for it.

Every name is asked again shortly before its answer expires. While DNS does not answer, what it
said last stays in force (RFC 8767); what it says is gone, is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from services.common.errors import Unavailable
from services.common.logs import get_logger
from services.signaling.core.reach import literal_address
from services.signaling.core.targets import (
    Choice,
    Naptr,
    Service,
    Srv,
    choices_of,
    names_asked,
    services_of,
)

if TYPE_CHECKING:
    from services.signaling.adapters.dns import Records

log = get_logger(__name__)

RETRY_S: Final = 5.0
"""After DNS did not answer."""
_SOONEST_S: Final = 1.0
_LATEST_S: Final = 3_600.0
_AHEAD: Final = 0.9
"""Of the time an answer may be believed, when it is asked for again."""
_MOST_AT_ONCE: Final = 32

_T = TypeVar("_T")
_Subject = str | Service


class Lookups(Protocol):
    """DNS."""

    async def query(self, name: str, kind: str) -> Records:
        """Records of ``kind``. Raises: Unavailable."""


class VendorNames:
    """See the module docstring. The tables are read by every call, and changed in place."""

    def __init__(
        self,
        lookups: Callable[[], Lookups],
        *,
        monotonic: Callable[[], float],
        with_v6: bool = False,
    ) -> None:
        self.addresses: dict[str, tuple[str, ...]] = {}
        """By lower-case name; IPv4 first."""
        self.services: dict[Service, tuple[Choice, ...]] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called after the tables have changed."""
        self._open = lookups
        self._lookups: Lookups | None = None
        self._monotonic = monotonic
        self._kinds = ("A", "AAAA") if with_v6 else ("A",)
        self._hosts: set[str] = set()
        self._wanted_services: set[Service] = set()
        self._found: dict[Service, list[tuple[str, list[Srv]]]] = {}
        self._due: dict[_Subject, float] = {}
        self._asking: set[_Subject] = set()
        self._failing: set[_Subject] = set()
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()

    def want(self, hosts: set[str], services: set[Service]) -> None:
        """The names there are now; addresses among them need no asking."""
        self._hosts = {host.lower() for host in hosts if not literal_address(host)}
        self._wanted_services = services
        wanted = self._subjects()
        for gone in self._due.keys() - wanted:
            del self._due[gone]
        self._found = {
            service: found for service, found in self._found.items() if service in services
        }
        self._rebuild()
        self._wake.set()

    async def settled(self, within_s: float) -> None:
        """Return when every name was asked for once, or the time is over."""
        try:
            async with asyncio.timeout(within_s):
                while not self._subjects() <= self._due.keys():
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Ask, again and again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                soonest = self._monotonic() + _LATEST_S
                for subject in self._subjects() - self._asking:
                    due_at = self._due.get(subject, 0.0)
                    if due_at > self._monotonic():
                        soonest = min(soonest, due_at)
                        continue
                    self._asking.add(subject)
                    tasks.create_task(self._refresh(subject))
                try:
                    async with asyncio.timeout(max(0.0, soonest - self._monotonic())):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    def _subjects(self) -> set[_Subject]:
        """What has to be known: vendors' names, their services, and the hosts of these."""
        below = {
            record.host
            for found in self._found.values()
            for _, records in found
            for record in records
            if record.host != "." and not literal_address(record.host)
        }
        return {*self._hosts, *self._wanted_services, *below}

    async def _refresh(self, subject: _Subject) -> None:
        try:
            async with self._turns:
                if isinstance(subject, str):
                    ttl_s = await self._ask_host(subject)
                else:
                    ttl_s = await self._ask_service(subject)
            self._failing.discard(subject)
            wait_s = min(max(ttl_s * _AHEAD, _SOONEST_S), _LATEST_S)
        except Unavailable as error:
            wait_s = RETRY_S
            if subject not in self._failing:
                self._failing.add(subject)
                log.warning("vendor.unresolved", name=str(subject), error=str(error))
        self._asking.discard(subject)
        self._due[subject] = self._monotonic() + wait_s
        self._wake.set()
        self._answered.set()

    async def _query(self, name: str, kind: str, read: type[_T]) -> tuple[list[_T], float]:
        if self._lookups is None:
            self._lookups = self._open()
        records = await self._lookups.query(name, kind)
        return [each for each in records.values if isinstance(each, read)], records.ttl_s

    async def _ask_host(self, host: str) -> float:
        found: list[str] = []
        ttl_s, failure = _LATEST_S, None
        for kind in self._kinds:
            try:
                addresses, kind_ttl_s = await self._query(host, kind, str)
            except Unavailable as error:
                failure = error
                continue
            found += addresses
            ttl_s = min(ttl_s, kind_ttl_s)
        if failure is not None and not found:
            raise failure
        before = self.addresses.get(host, ())
        # Servers turn their lists; the address in use stays first: calls do not hop without need.
        kept = [address for address in before if address in found]
        now = tuple(dict.fromkeys([*kept, *found]))
        if now != before:
            self.addresses[host] = now
            self._rebuild()
            self.on_change()
        return RETRY_S if failure is not None else ttl_s

    async def _ask_service(self, service: Service) -> float:
        asked = names_asked(service)
        ttl_s = _LATEST_S
        if service.lookup == "naptr":
            naptrs, ttl_s = await self._query(service.host, "NAPTR", Naptr)
            asked = services_of(naptrs, service.transport) or asked
        found: list[tuple[str, list[Srv]]] = []
        for transport, name in asked:
            records, name_ttl_s = await self._query(name, "SRV", Srv)
            ttl_s = min(ttl_s, name_ttl_s)
            if records:
                # In an order that does not depend on the server's mood.
                found.append((transport, sorted(records)))
        if found != self._found.get(service):
            self._found[service] = found
            self._rebuild()
            self.on_change()
        return ttl_s

    def _rebuild(self) -> None:
        """Make the tables of what is wanted and known."""
        subjects = self._subjects()
        for host in self.addresses.keys() - subjects:
            del self.addresses[host]
        for service in self.services.keys() - subjects:
            del self.services[service]
        for service, found in self._found.items():
            self.services[service] = choices_of(found, self._with_literals(found))

    def _with_literals(
        self, found: Sequence[tuple[str, Sequence[Srv]]]
    ) -> dict[str, Sequence[str]]:
        """Addresses of the hosts of SRV records: some zones write an address for a name."""
        hosts = {record.host for _, records in found for record in records}
        return {
            host: [literal] if (literal := literal_address(host)) else self.addresses.get(host, ())
            for host in hosts
        }
