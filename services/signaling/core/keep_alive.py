"""Whom to send CRLF to and when, so that NATs and firewalls keep the way open (RFC 5626 4.4.1).

Vendors are known from the configuration; customers are where their last call came from, since
behind a NAT nobody knows beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.signaling.sip.actions import Peer

MOST_CUSTOMERS: Final = 10_000
"""Places remembered; who is beyond is not kept alive, but can call as ever."""
REMEMBERED_S: Final = 6 * 3600.0
"""Longer than a call may last; then nothing more can be meant for that place."""


class _Entry:
    __slots__ = ("due_at", "every_s", "until")

    def __init__(self, every_s: float, due_at: float, until: float) -> None:
        self.every_s = every_s
        self.due_at = due_at
        self.until = until


class KeepAlives:
    """All that is kept alive; looked through about once a second."""

    __slots__ = ("_heard", "_vendors")

    def __init__(self) -> None:
        self._heard: dict[Peer, _Entry] = {}
        self._vendors: dict[Peer, _Entry] = {}

    def heard(self, peer: Peer, every_s: float, now: float) -> None:
        """Somebody who wants to be kept alive sends from ``peer``."""
        entry = self._heard.get(peer)
        if entry is not None:
            entry.until = now + REMEMBERED_S
            entry.every_s = every_s
        elif len(self._heard) < MOST_CUSTOMERS:
            self._heard[peer] = _Entry(every_s, now + every_s, now + REMEMBERED_S)

    def keep(self, vendors: Iterable[tuple[Peer, float]], now: float) -> None:
        """The vendors to keep alive from now on, each with its interval in seconds."""
        old, self._vendors = self._vendors, {}
        for peer, every_s in vendors:
            known = old.get(peer)
            if known is None or known.every_s != every_s:
                known = _Entry(every_s, now + every_s, float("inf"))
            self._vendors[peer] = known

    def lost(self, peer: Peer) -> None:
        """Nothing can be sent there any more."""
        self._heard.pop(peer, None)

    def due(self, now: float) -> list[Peer]:
        """Whom to send to at ``now``."""
        for peer in [peer for peer, entry in self._heard.items() if entry.until <= now]:
            del self._heard[peer]
        due = []
        for entries in (self._heard, self._vendors):
            for peer, entry in entries.items():
                if entry.due_at <= now:
                    entry.due_at = now + entry.every_s
                    due.append(peer)
        return due
