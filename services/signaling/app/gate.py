"""What is let through to the transaction layer, decided before anything is parsed where it can be.

Messages of trunks cost one lookup here. Strangers meet the bans, the signatures of scanners and
the counters of the guard; new INVITEs, while there is too much to do, the overload controller.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from services.signaling.app.counters import Counters
from services.signaling.app.summing import SummedEvents
from services.signaling.core.context import Context
from services.signaling.core.guard import Action, Guard
from services.signaling.core.overload import Overload, Verdict
from services.signaling.core.scanners import signature_in
from services.signaling.core.strangers import may_speak
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.sip.actions import Peer, Send
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.glance import Glance, calls_last, glance, is_ack_of_shed
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request, parse
from services.signaling.sip.replies import AUTO

_SHOWN = ("unknown_dropped", "banned_dropped", "scanners_dropped", "shed", "shed_dropped")

MOST_REMEMBERED = 8_192
"""INVITEs refused: a second's worth of them, in which they might be repeated."""

OnGuard = Callable[[list[Action]], None]


class Gate:
    """One per switch. ``put`` sends; ``records`` counts what is turned away."""

    def __init__(
        self,
        context: Context,
        layer: TransactionLayer,
        counters: Counters,
        put: Callable[[Send, float], None],
        *,
        overload: Overload,
        records: SummedEvents | None = None,
    ) -> None:
        self.guard = Guard()
        self.overload = overload
        self.on_guard: list[OnGuard] = []
        """Told of every ban, so that a firewall, other nodes and the log follow."""
        self.records = records
        self._context = context
        self._layer = layer
        self._counters = counters
        self._put = put
        self._refused: OrderedDict[str, float] = OrderedDict()
        """When the INVITEs of these transactions were last refused."""

    @property
    def counters_by_name(self) -> dict[str, int]:
        """What was turned away since the start."""
        return {name: getattr(self._counters, name) for name in _SHOWN}

    def ordered(self, datagrams: Iterable[tuple[bytes, Peer]]) -> Iterable[tuple[bytes, Peer]]:
        """Messages that came together, in the order to handle them."""
        return calls_last(datagrams) if self.overload.is_active else datagrams

    def admits(self, data: bytes, source: Peer, now: float, *, is_stranger: bool) -> bool:
        """Whether to handle a message; one that is shed has been answered, if at all."""
        if is_stranger and not self._hears(data, source, now):
            return False
        return not self.overload.is_active or not self._sheds(data, source, now)

    def act(self, actions: list[Action]) -> None:
        """Tell everybody what the guard decided."""
        if actions:
            for listener in self.on_guard:
                listener(actions)

    # --- strangers ----------------------------------------------------------------------

    def _hears(self, data: bytes, source: Peer, now: float) -> bool:
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

    # --- overload -----------------------------------------------------------------------

    def _sheds(self, data: bytes, source: Peer, now: float) -> bool:
        if not data.startswith(b"INVITE "):
            return is_ack_of_shed(data)
        trunk = self._context.trunks.identify(source.host, source.port)
        name = trunk.id if trunk is not None else source.host
        is_heavy = self.records is not None and self.records.meters.is_flooding(name)
        verdict = self.overload.judge(now, reliable=source.reliable, heavy=is_heavy)
        if verdict is Verdict.ADMIT and not self._refused:
            return False
        reply_to = self._layer.reply_to
        # A glance knows only the usual way back.
        seen = glance(data) if reply_to is None or reply_to(source) == AUTO else None
        invite: Request | None = None
        if seen is not None:
            key = "" if self._layer.has(seen.transaction) else seen.transaction
        else:
            invite, key = self._parsed(data, source)
        # Who was refused hears the same again: he may have heard it the first time.
        refused_at = self._refused.get(key)
        if not key or (verdict is Verdict.ADMIT and refused_at is None):
            return False
        # A copy that was sent before our answer to the first needs none of its own.
        is_crossing = refused_at is not None and refused_at > now - self.overload.age_s
        if is_crossing or (verdict is Verdict.DROP and refused_at is None):
            self._counters.shed_dropped += 1
            return True
        self._refuse(seen, invite, source, now, for_good=verdict is Verdict.HOLD_OFF)
        self._refused[key] = now
        if refused_at is None:
            self._count(source, trunk, now)
        return True

    def _refuse(
        self,
        seen: Glance | None,
        invite: Request | None,
        source: Peer,
        now: float,
        *,
        for_good: bool,
    ) -> None:
        line = f"Retry-After: {self.overload.retry_after_s()}" if for_good else ""
        if seen is not None:
            self._put(seen.refusal(source, f"\r\n{line}".encode() if line else b""), now)
        elif invite is not None:
            for action in self._layer.shed(invite, source, (line,) if line else ()):
                if isinstance(action, Send):
                    self._put(action, now)

    def _parsed(self, data: bytes, source: Peer) -> tuple[Request | None, str]:
        """An INVITE that is not written as usual, and its key if it is a new call."""
        try:
            message = parse(data, stream=source.reliable)
            if isinstance(message, Request):
                return message, self._layer.new_call(message)
        except MalformedMessage:
            pass
        return None, ""

    def _count(self, source: Peer, trunk: CustomerTrunk | None, now: float) -> None:
        self._counters.shed += 1
        if len(self._refused) > MOST_REMEMBERED:
            self._refused.popitem(last=False)
        if self.records is not None:
            self.records.shed(source, trunk, now)
