"""Where registered users are: contacts by username, shared by all nodes (RFC 3261 section 10).

Instants are wall time, because bindings outlive the process and travel between nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec

from services.signaling.sip.actions import Peer

SWEEP_S: Final = 10.0
"""Bindings that ran out are not used; they are forgotten this often."""


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """One contact of one username."""

    id: str
    username: str
    uri: str
    """The contact as registered."""
    expires_at: float
    """Unix seconds, as all instants here."""
    registered_at: float
    """When it was first registered."""
    call_id: str
    cseq: int
    q: float = 1.0
    path: tuple[str, ...] = ()
    """Path values (RFC 3327), the way to it."""
    node: str
    """Who took the REGISTER, and so has the flow it came by."""
    transport: str
    host: str
    port: int
    connection: int = 0
    """The flow on that node; 0 when it is gone."""
    instance: str = ""
    reg_id: int = 0
    """RFC 5626; 0 for who does not speak it."""
    agent: str = ""

    @property
    def source(self) -> Peer:
        """Where the REGISTER came from, and by which flow."""
        return Peer(self.transport, self.host, self.port, self.connection)


def binding_id(username: str, *identity: str) -> str:
    """The name of a binding: short, and fit for a subject of the bus."""
    return sha256("\0".join((username, *identity)).encode("utf-8", "replace")).hexdigest()[:32]


class Location:
    """All bindings there are."""

    def __init__(self) -> None:
        self._bindings: dict[str, dict[str, Binding]] = {}
        self._hosts: Counter[str] = Counter()
        self._swept_at = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._bindings.values()))

    def of(self, username: str, unix_s: float) -> list[Binding]:
        """The bindings in force, the best first: by q, then the newest."""
        found = [
            binding
            for binding in self._bindings.get(username, {}).values()
            if binding.expires_at > unix_s
        ]
        found.sort(key=lambda binding: (-binding.q, -binding.registered_at))
        return found

    def all(self, unix_s: float) -> Iterator[Binding]:
        """Every binding in force."""
        for username in list(self._bindings):
            yield from self.of(username, unix_s)

    def get(self, username: str, binding: str) -> Binding | None:
        """One binding, in force or not."""
        return self._bindings.get(username, {}).get(binding)

    def put(self, binding: Binding) -> None:
        """Add or replace one."""
        self.remove(binding.username, binding.id)
        self._bindings.setdefault(binding.username, {})[binding.id] = binding
        self._hosts[binding.host] += 1

    def remove(self, username: str, binding: str) -> None:
        """Forget one, if it is there."""
        bindings = self._bindings.get(username)
        gone = None if bindings is None else bindings.pop(binding, None)
        if gone is None:
            return
        if not bindings:
            del self._bindings[username]
        self._hosts[gone.host] -= 1
        if not self._hosts[gone.host]:
            del self._hosts[gone.host]

    def knows(self, host: str) -> bool:
        """Whether anybody is registered from ``host``."""
        return host in self._hosts

    def lose(self, peer: Peer, node: str) -> list[Binding]:
        """A connection is gone: forget its flow; the bindings this changed.

        A binding of RFC 5626 is its flow, and goes with it (section 7); another may still be
        reachable at its contact.
        """
        if not peer.connection or peer.host not in self._hosts:
            return []
        changed = [
            binding
            for bindings in self._bindings.values()
            for binding in bindings.values()
            if binding.node == node and binding.source == peer
        ]
        for binding in changed:
            if binding.reg_id:
                self.remove(binding.username, binding.id)
            else:
                self.put(msgspec.structs.replace(binding, connection=0))
        return changed

    def sweep(self, unix_s: float) -> None:
        """Forget what has run out."""
        if unix_s - self._swept_at < SWEEP_S:
            return
        self._swept_at = unix_s
        gone = [
            binding
            for bindings in self._bindings.values()
            for binding in bindings.values()
            if binding.expires_at <= unix_s
        ]
        for binding in gone:
            self.remove(binding.username, binding.id)
