"""Which strangers are heard, decided before anything is parsed where it can be.

They meet the bans, the signatures of scanners and the counters of the guard.
"""

from __future__ import annotations

from collections.abc import Callable

from services.signaling.app.counters import Counters
from services.signaling.app.summing import SummedEvents
from services.signaling.core.context import Context
from services.signaling.core.guard import Action, Guard
from services.signaling.core.scanners import signature_in
from services.signaling.core.strangers import may_speak
from services.signaling.sip.actions import Peer

_SHOWN = ("unknown_dropped", "banned_dropped", "scanners_dropped", "shed", "shed_dropped")

OnGuard = Callable[[list[Action]], None]


class Gate:
    """One per switch. ``records`` counts what is turned away."""

    def __init__(
        self, context: Context, counters: Counters, *, records: SummedEvents | None = None
    ) -> None:
        self.guard = Guard()
        self.on_guard: list[OnGuard] = []
        """Told of every ban, so that a firewall, other nodes and the log follow."""
        self.records = records
        self._context = context
        self._counters = counters

    @property
    def counters_by_name(self) -> dict[str, int]:
        """What was turned away since the start."""
        return {name: getattr(self._counters, name) for name in _SHOWN}

    def hears(self, data: bytes, source: Peer, now: float) -> bool:
        """Whether to handle a stranger's message."""
        counters, host = self._counters, source.host
        if self.guard.is_banned(host, now):
            counters.banned_dropped += 1
            return False
        if data.startswith(b"SIP/2.0 "):
            return True  # matched to what we asked, or dropped by the layer
        if signature_in(data):
            counters.scanners_dropped += 1
            self.act(self.guard.on_scanner(host, now))
            return False
        if len(data) <= 4 and not data.strip(b"\r\n\0"):
            return True  # a keep-alive
        if may_speak(self._context, data, source):
            return True
        self.act(self.guard.on_unknown(host, now))
        if self._context.trunks.reply_to_unknown:
            return True
        counters.unknown_dropped += 1
        if self.records is not None and data.startswith(b"INVITE "):
            self.records.illegal(data, source, now)
        return False

    def act(self, actions: list[Action]) -> None:
        """Tell everybody what the guard decided."""
        if actions:
            for listener in self.on_guard:
                listener(actions)
