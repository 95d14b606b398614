"""Who is kept out, and for how long: failed authentications, strangers' requests, scanners.

Three things are counted over a minute: requests per address, per network (a /24 of IPv4, a /64
of IPv6) and failed authentications per user. Every table is bounded, and gives up what was
counted longest ago: an attacker with a million addresses fills none of them.

Nobody can have another one banned. Addresses of trunks are never looked up here. A source that
has proven who it is (a digest over a nonce that reached it) is not banned for what only claims
to come from it, and a user under attack can go on from where he was last. Over UDP all the rest
can be forged; whoever has a stranger banned by it gains the silence of a stranger.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

import msgspec

WINDOW_S: Final = 60.0
"""Over which is counted."""
MOST_COUNTED: Final = 20_000
"""Addresses, and as many networks and users."""
MOST_BANS: Final = 10_000
NETWORK_FACTOR: Final = 8
"""A network may fail so many times as often as one address before all of it is banned."""
USER_FACTOR: Final = 4
PROVEN_S: Final = 3600.0
"""How long a source counts as proven after it has authenticated."""

AUTHENTICATION = "authentication"
UNKNOWN = "unknown_source"
SCANNER = "scanner"
OPERATOR = "operator"


class GuardRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the switch's settings say."""

    max_retry: int = 6
    """Failed authentications within a minute before suspension; 0 = never."""
    suspend_s: int = 180
    """How long a ban lasts."""
    unknown_limit: int = 30
    """Requests a stranger may send within a minute before he is banned; 0 = any number."""


class Ban(NamedTuple):
    """Keep out an address, or a network written ``192.0.2.0/24``."""

    target: str
    seconds: float
    reason: str


class Unban(NamedTuple):
    """Let in again."""

    target: str


class Prove(NamedTuple):
    """An address has authenticated: bans of its network and meters do not concern it."""

    target: str
    seconds: float


Action = Ban | Unban | Prove


class Banned(NamedTuple):
    """One entry of the ban list."""

    target: str
    until: float
    reason: str
    hits: int


@lru_cache(8192)
def network_of(host: str) -> str:
    """The network an address belongs to; ``""`` for what is no address."""
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))


def ban_target(text: str) -> str:
    """An address or network as the ban list writes it.

    Raises:
        ValueError: it is neither an address nor a /24 (IPv4) or /64 (IPv6).
    """
    host, slash, _ = text.partition("/")
    if not slash:
        address = ip_address(host.strip("[]"))
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or address)
    network = str(ip_network(text))
    if network_of(host) != network:
        raise ValueError(f"{text} is neither an address, nor a /24 or (IPv6) a /64")
    return network


def overlaps(target: str, hosts: Iterable[str]) -> bool:
    """Whether an address that is to be banned is, or is in, one of ``hosts``.

    A network that merely has trunks in it may be banned: they are heard all the same.
    """
    banned = ip_network(target)
    for host in hosts:
        try:
            trusted = ip_network(host)
        except ValueError:
            continue  # a name nobody has looked up yet
        if trusted.version == banned.version and trusted.supernet_of(banned):  # type: ignore[arg-type]
            return True
    return False


class _Tally:
    """Counts by key within :data:`WINDOW_S`, for the keys seen last."""

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._most = most

    def add(self, key: str, now: float) -> int:
        began, count = self._counts.pop(key, (now, 0))
        if now - began >= WINDOW_S:
            began, count = now, 0
        self._counts[key] = (began, count + 1)
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return count + 1

    def forget(self, key: str) -> None:
        self._counts.pop(key, None)

    def highest(self, now: float, most: int) -> list[tuple[str, int]]:
        current = [
            (key, count) for key, (began, count) in self._counts.items() if now - began < WINDOW_S
        ]
        return sorted(current, key=lambda one: -one[1])[:most]

    def __len__(self) -> int:
        return len(self._counts)


class _Entry:
    __slots__ = ("hits", "reason", "until")

    def __init__(self, until: float, reason: str) -> None:
        self.until = until
        self.reason = reason
        self.hits = 0


class Guard:
    """See the module docstring. Inputs take ``now`` in monotonic seconds."""

    def __init__(
        self, rules: GuardRules | None = None, *, most_counted: int = MOST_COUNTED
    ) -> None:
        self.rules = rules or GuardRules()
        """Replaced when the settings change."""
        self.counters: dict[str, int] = {}
        """What was noted, by reason, since the start."""
        self._unknown = _Tally(most_counted)
        self._unknown_networks = _Tally(most_counted)
        self._failed = _Tally(most_counted)
        self._failed_networks = _Tally(most_counted)
        self._failed_users = _Tally(most_counted)
        self._most = most_counted
        self._bans: OrderedDict[str, _Entry] = OrderedDict()
        self._networks = 0
        """How many of the bans are of networks: while none is, none is looked for."""
        self._users: OrderedDict[str, float] = OrderedDict()
        self._proven: OrderedDict[str, float] = OrderedDict()

    # --- questions ----------------------------------------------------------------------

    def is_banned(self, host: str, now: float) -> bool:
        """Whether to drop what comes from ``host``; not to be asked about trunks."""
        entry = self._bans.get(host)
        if entry is None:
            if not self._networks or self._is_proven(host, now):
                return False
            entry = self._bans.get(network_of(host))
        if entry is None or entry.until <= now:
            return False
        entry.hits += 1
        return True

    def is_suspended(self, user: str, host: str, now: float) -> bool:
        """Whether to refuse ``user`` unheard: too many have tried his password of late.

        Not from an address that has proven to be one of ours, so that nobody is locked out by
        others' attempts.
        """
        until = self._users.get(user)
        return until is not None and until > now and not self._is_proven(host, now)

    @property
    def ban_count(self) -> int:
        """How many bans there are, those just over included."""
        return len(self._bans)

    def bans(self, now: float) -> Iterator[Banned]:
        """What is in force."""
        for target, entry in self._bans.items():
            if entry.until > now:
                yield Banned(target, entry.until, entry.reason, entry.hits)

    def meters(self, now: float, most: int = 20) -> dict[str, list[tuple[str, int]]]:
        """Who was counted most within the minute."""
        tallies = {
            "unknown_source": self._unknown, "unknown_network": self._unknown_networks,
            "failed_source": self._failed, "failed_network": self._failed_networks,
            "failed_user": self._failed_users,
        }  # fmt: skip
        return {name: tally.highest(now, most) for name, tally in tallies.items()}

    # --- inputs -------------------------------------------------------------------------

    def on_unknown(self, host: str, now: float) -> list[Action]:
        """A request came from an address nobody has."""
        self._count(UNKNOWN)
        limit = self.rules.unknown_limit
        if not limit or self._is_proven(host, now):
            return []
        if self._unknown.add(host, now) > limit:
            return self._ban(host, now, UNKNOWN)
        network = network_of(host)
        if network and self._unknown_networks.add(network, now) > limit * NETWORK_FACTOR:
            return self._ban(network, now, UNKNOWN)
        return []

    def on_scanner(self, host: str, now: float) -> list[Action]:
        """A stranger's message bore the signature of a scanner."""
        self._count(SCANNER)
        return [] if self._is_proven(host, now) else self._ban(host, now, SCANNER)

    def on_auth_failed(self, host: str, user: str, now: float) -> list[Action]:
        """Credentials over a nonce of ours, and so from somebody who can hear us, were wrong.

        Not to be told of requests without credentials, nor with a nonce nobody was given.
        """
        self._count(AUTHENTICATION)
        limit = self.rules.max_retry
        if not limit:
            return []
        if self._failed_users.add(user, now) > limit * USER_FACTOR:
            self._suspend(user, now + self.rules.suspend_s)
        if self._failed.add(host, now) > limit:
            self._proven.pop(host, None)
            return self._ban(host, now, AUTHENTICATION)
        network = network_of(host)
        if network and self._failed_networks.add(network, now) > limit * NETWORK_FACTOR:
            return self._ban(network, now, AUTHENTICATION)
        return []

    def on_auth_succeeded(self, host: str, user: str, now: float) -> list[Action]:
        """Credentials over a nonce of ours were right."""
        self._failed.forget(host)
        self._failed_users.forget(user)
        self._unknown.forget(host)
        known_until = self._proven.pop(host, 0.0)
        self._proven[host] = now + PROVEN_S
        if len(self._proven) > self._most:
            self._proven.popitem(last=False)
        # Told once in a while: a phone authenticates every minute.
        return [Prove(host, PROVEN_S)] if known_until < now + PROVEN_S / 2 else []

    def ban(self, target: str, seconds: float, now: float, reason: str = OPERATOR) -> list[Action]:
        """Keep ``target`` (see :func:`ban_target`) out from now on."""
        self._forget(target)
        self._bans[target] = _Entry(now + seconds, reason)
        self._networks += "/" in target
        actions: list[Action] = [Ban(target, seconds, reason)]
        if len(self._bans) > MOST_BANS:
            oldest = next(iter(self._bans))
            self._forget(oldest)
            actions.append(Unban(oldest))
        return actions

    def unban(self, target: str) -> list[Action]:
        """Let ``target`` in again, with nothing held against it."""
        for tally in (
            self._unknown, self._unknown_networks, self._failed, self._failed_networks,
        ):  # fmt: skip
            tally.forget(target)
        return [Unban(target)] if self._forget(target) else []

    def on_timer(self, now: float) -> None:
        """Forget what is over; to be called now and then."""
        for target in [one for one, entry in self._bans.items() if entry.until <= now]:
            self._forget(target)
        for table in (self._users, self._proven):
            for key in [one for one, until in table.items() if until <= now]:
                del table[key]

    # --- bookkeeping --------------------------------------------------------------------

    def _ban(self, target: str, now: float, reason: str) -> list[Action]:
        entry = self._bans.get(target)
        if entry is not None and entry.until > now:
            return []  # one message of many that were on their way already
        self._count(f"banned_{reason}")
        return self.ban(target, self.rules.suspend_s, now, reason)

    def _forget(self, target: str) -> bool:
        if self._bans.pop(target, None) is None:
            return False
        self._networks -= "/" in target
        return True

    def _suspend(self, user: str, until: float) -> None:
        self._users.pop(user, None)
        self._users[user] = until
        if len(self._users) > self._most:
            self._users.popitem(last=False)

    def _is_proven(self, host: str, now: float) -> bool:
        return self._proven.get(host, 0.0) > now

    def _count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1
