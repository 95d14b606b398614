"""One question to DNS at a time, over dnspython's asynchronous resolver."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
from dns.name import Name
from dns.rdata import Rdata
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from services.common.errors import Unavailable
from services.signaling.core.targets import Naptr, Srv
from services.signaling.core.trunks import canonical_host

TIMEOUT_S: Final = 5.0
"""For one question, all servers and repetitions included."""
HOSTS_FILE: Final = Path("/etc/hosts")
_HOSTS_TTL_S: Final = 30.0
_NOTHING_TTL_S: Final = 30.0
"""How long a name that does not exist is believed not to: RFC 2308 would allow more."""

Record = str | Srv | Naptr


@dataclass(frozen=True, slots=True)
class Records:
    """What DNS says of a name; no records when it says that there are none."""

    values: tuple[Record, ...]
    ttl_s: float


class DnsLookups:
    """Implements :class:`services.signaling.adapters.names.Lookups`.

    ``servers`` are addresses with ports; without any, those of the system.
    """

    def __init__(
        self, servers: Sequence[tuple[str, int]] = (), *, hosts_file: Path = HOSTS_FILE
    ) -> None:
        self._servers = servers
        self._hosts_file = hosts_file
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def query(self, name: str, kind: str) -> Records:
        """Records of ``kind`` (A, AAAA, SRV or NAPTR).

        Raises:
            Unavailable: nobody could be asked, or nobody knew.
        """
        if kind in {"A", "AAAA"}:
            listed = await asyncio.to_thread(_listed, self._hosts_file, name, kind)
            if listed:
                return Records(listed, _HOSTS_TTL_S)
        try:
            answer = await self._open().resolve(
                name,
                kind,
                raise_on_no_answer=False,
                lifetime=TIMEOUT_S,
                search=kind in {"A", "AAAA"},
            )
        except dns.resolver.NXDOMAIN:
            return Records((), _NOTHING_TTL_S)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            # The system may have been given other servers meanwhile.
            self._resolver = None
            raise Unavailable(f"DNS for {name} ({type(error).__name__})") from error
        if answer.rrset is None:
            return Records((), _NOTHING_TTL_S)
        values = tuple(read for record in answer.rrset if (read := _read(record)) is not None)
        # Every alias on the way counts, not the last record alone.
        return Records(values, float(answer.chaining_result.minimum_ttl))

    def _open(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                resolver.nameservers = [
                    dns.nameserver.Do53Nameserver(host, port) for host, port in self._servers
                ]
            self._resolver = resolver
        return self._resolver


def _listed(path: Path, name: str, kind: str) -> tuple[str, ...]:
    """Addresses in the hosts file, which comes before DNS."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ()
    found: list[str] = []
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if name.lower() in (each.lower() for each in names):
            literal = canonical_host(address)
            if (":" in literal) is (kind == "AAAA"):
                found.append(literal)
    return tuple(dict.fromkeys(found))


def _read(record: Rdata) -> Record | None:
    match record:
        case A() | AAAA():
            return canonical_host(record.address)
        case SRV():
            return Srv(record.priority, record.weight, record.port, _text(record.target))
        case NAPTR():
            return Naptr(
                record.order,
                record.preference,
                record.flags.decode("latin-1"),
                record.service.decode("latin-1"),
                _text(record.replacement),
            )
        case _:
            return None


def _text(name: Name) -> str:
    return str(name).lower().rstrip(".") or "."
