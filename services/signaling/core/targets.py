"""From DNS records to the addresses to try, in order (RFC 3263, RFC 2782)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from services.signaling.sip.actions import Peer

Draw = Callable[[], float]
"""A random number from 0 (inclusive) to 1."""

MOST_TARGETS: Final = 16
"""Addresses of one name that are looked at: a zone must not make a call endless."""

SUPPORTED: Final = ("udp", "tcp", "tls")
"""Transports we speak, the one we would rather have first."""
_SERVICES: Final = {"sip+d2u": "udp", "sip+d2t": "tcp", "sips+d2t": "tls"}
_SRV: Final = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}


class Naptr(NamedTuple):
    """A NAPTR record of a SIP domain."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """An SRV record."""

    priority: int
    weight: int
    port: int
    host: str
    """``.``: there is decidedly no such service."""


class Choice(NamedTuple):
    """Addresses that stand or fall together in the draw: those of one SRV record."""

    rank: int
    """Smaller first; among equal ones weight decides."""
    weight: int
    peers: tuple[Peer, ...]


class Service(NamedTuple):
    """What a vendor trunk wants DNS to say."""

    host: str
    """Lower case."""
    transport: str
    lookup: str
    """``srv`` or ``naptr``, as in the options."""

    def __str__(self) -> str:
        """As logs name it."""
        return f"{self.lookup} {self.host} {self.transport}"


def services_of(naptrs: Iterable[Naptr], transport: str) -> list[tuple[str, str]]:
    """Transport and SRV name of each usable NAPTR record, best first (RFC 3263 section 4.1).

    ``transport``: the trunk's; one that is called over TLS is never called without.
    """
    usable = [
        (record.order, record.preference, named, record.replacement.lower().rstrip("."))
        for record in naptrs
        if record.flags.lower() == "s"
        and (named := _SERVICES.get(record.service.lower())) in SUPPORTED
        and (named == "tls" or transport != "tls")
    ]
    usable.sort(key=lambda each: each[:2])
    return [(named, name) for _, _, named, name in usable if named and name]


def names_asked(service: Service) -> list[tuple[str, str]]:
    """Transport and SRV name to ask for where no NAPTR record says otherwise."""
    transports = [service.transport]
    if service.lookup == "naptr" and service.transport != "tls":
        # "the client ... would then do an SRV query for each supported transport" (section 4.1)
        transports += [each for each in ("udp", "tcp") if each != service.transport]
    return [(each, f"{_SRV[each]}.{service.host}") for each in transports]


def choices_of(
    found: Sequence[tuple[str, Sequence[Srv]]], addresses: Mapping[str, Sequence[str]]
) -> tuple[Choice, ...]:
    """What calls choose among: the SRV records of each transport, best transport first."""
    choices: list[Choice] = []
    for place, (transport, records) in enumerate(found):
        for record in records:
            hosts = addresses.get(record.host.lower(), ()) if record.host != "." else ()
            if hosts and record.port:
                rank = place * 65_536 + record.priority
                peers = tuple(Peer(transport, host, record.port) for host in hosts)
                choices.append(Choice(rank, record.weight, peers))
    choices.sort(key=lambda choice: choice.rank)
    return tuple(choices)


def in_order(choices: Sequence[Choice], draw: Draw) -> list[Peer]:
    """One drawing of the order to try: by rank, among equal ranks by weight (RFC 2782)."""
    if len(choices) == 1:
        return list(choices[0].peers[:MOST_TARGETS])
    peers: list[Peer] = []
    start = 0
    while start < len(choices) and len(peers) < MOST_TARGETS:
        end = start
        while end < len(choices) and choices[end].rank == choices[start].rank:
            end += 1
        for choice in _drawn(list(choices[start:end]), draw):
            peers += choice.peers
        start = end
    return peers[:MOST_TARGETS]


def _drawn(equals: list[Choice], draw: Draw) -> list[Choice]:
    # "all those with weight 0 are placed at the beginning of the list": they are drawn last,
    # but for the one time in sum + 1 that the random number is 0.
    left = sorted(equals, key=lambda choice: choice.weight > 0)
    drawn: list[Choice] = []
    while len(left) > 1:
        total = sum(choice.weight for choice in left)
        wanted = int(draw() * (total + 1))
        running = 0
        for index, choice in enumerate(left):
            running += choice.weight
            if running >= wanted:
                drawn.append(left.pop(index))
                break
    return drawn + left
