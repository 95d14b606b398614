"""Turns new INVITEs away while there is too much to do, and does nothing else meanwhile.

What came together is sifted in one go: refusals that follow one another directly cost half of
those that find a call set up between them, for that leaves the processor's caches cold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from services.signaling.app.counters import Counters
from services.signaling.app.summing import SummedEvents
from services.signaling.core.context import Context
from services.signaling.core.overload import Overload, Verdict
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.sip.actions import Peer, Send
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.glance import ACK_OF_SHED, CANCEL, NEW_CALL, Glance, glance, kind_of
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request, parse
from services.signaling.sip.replies import AUTO

Datagram = tuple[bytes, Peer]

MOST_REMEMBERED = 8_192
"""INVITEs refused: a second's worth of them, in which they might be repeated."""


class _Sender(NamedTuple):
    """Who sends, as far as all his INVITEs of one batch have it in common."""

    is_known: bool
    trunk: CustomerTrunk | None
    is_heavy: bool
    is_usual: bool
    """Whether answers go back the usual way, the only one that a glance knows."""


class Shedding:
    """One per switch. ``put`` sends; ``records`` counts what is turned away."""

    def __init__(
        self,
        context: Context,
        layer: TransactionLayer,
        counters: Counters,
        put: Callable[[Send, float], None],
        on_error: Callable[[Exception], None],
        *,
        overload: Overload,
        records: SummedEvents | None = None,
    ) -> None:
        self.overload = overload
        self._context = context
        self._layer = layer
        self._counters = counters
        self._put = put
        self._on_error = on_error
        self._records = records
        self._refused: OrderedDict[str, float] = OrderedDict()
        """When the INVITEs of these transactions were last refused."""

    def sift(self, datagrams: Iterable[Datagram], now: float) -> Iterable[Datagram]:
        """What of messages that came together is to be handled, in the order to do it.

        Under overload those inside calls come first, for they free resources; then new INVITEs,
        without those refused here, and CANCELs. Strangers' are left to :meth:`admits`. What
        acknowledges a refusal is left out: nobody waits for it.
        """
        if not self.overload.is_active:
            return datagrams
        senders: dict[Peer, _Sender] = {}
        first: list[Datagram] = []
        last: list[Datagram] = []
        for datagram in datagrams:
            data, source = datagram
            kind = kind_of(data)
            if kind is NEW_CALL:
                sender = senders.get(source)
                if sender is None:
                    sender = senders[source] = self._sender(source)
                if not sender.is_known or self._lets_in(data, source, sender, now):
                    last.append(datagram)
                else:
                    self._counters.hear(data)
            elif kind is CANCEL:
                last.append(datagram)  # of an INVITE that may be among them
            elif kind is ACK_OF_SHED:
                self._counters.hear(data)
            else:
                first.append(datagram)
        return first + last

    def admits(self, data: bytes, source: Peer, now: float) -> bool:
        """Whether to handle a stranger's message; one that is shed was answered, if at all."""
        if not self.overload.is_active or kind_of(data) is not NEW_CALL:
            return True
        return self._lets_in(data, source, self._sender(source), now)

    def _sender(self, source: Peer) -> _Sender:
        trunks, reply_to = self._context.trunks, self._layer.reply_to
        trunk = trunks.identify(source.host, source.port)
        name = trunk.id if trunk is not None else source.host
        return _Sender(
            trunks.knows(source.host),
            trunk,
            self._records is not None and self._records.meters.is_flooding(name),
            reply_to is None or reply_to(source) == AUTO,
        )

    def _lets_in(self, data: bytes, source: Peer, sender: _Sender, now: float) -> bool:
        try:
            return not self._sheds(data, source, sender, now)
        except Exception as error:  # noqa: BLE001 - one message must not stop the others
            self._on_error(error)
            return False

    def _sheds(self, data: bytes, source: Peer, sender: _Sender, now: float) -> bool:
        overload, refused = self.overload, self._refused
        verdict = overload.judge(now, reliable=source.reliable, heavy=sender.is_heavy)
        if verdict is Verdict.ADMIT and not refused:
            return False
        seen = glance(data) if sender.is_usual else None
        invite: Request | None = None
        if seen is not None:
            key = "" if self._layer.has(seen.transaction) else seen.transaction
        else:
            invite, key = self._parsed(data, source)
        # Who was refused hears the same again: he may have heard it the first time.
        refused_at = refused.get(key)
        if not key or (verdict is Verdict.ADMIT and refused_at is None):
            return False
        # A copy that was sent before our answer to the first needs none of its own.
        is_crossing = refused_at is not None and refused_at > now - overload.age_s
        if is_crossing or (verdict is Verdict.DROP and refused_at is None):
            self._counters.shed_dropped += 1
            return True
        self._refuse(seen, invite, source, now, for_good=verdict is Verdict.HOLD_OFF)
        refused[key] = now
        if refused_at is None:
            self._count(source, sender.trunk, now)
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
        if self._records is not None:
            self._records.shed(source, trunk, now)
