"""Turns new INVITEs away while there is too much to do, and does nothing else meanwhile.

What came together is sifted in one go: a refusal after another finds the processor's caches warm,
one after a call that was set up does not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from services.signaling.app.counters import Counters
from services.signaling.app.summing import SummedEvents
from services.signaling.core.context import Context
from services.signaling.core.overload import ADMIT, DROP, HOLD_OFF, Overload
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.ports import Network
from services.signaling.sip.actions import Datagram, Peer, Send
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.glance import ACK_OF_SHED, CANCEL, NEW_CALL, Glance, glance, kind_of
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request, parse
from services.signaling.sip.replies import AUTO

MOST_REMEMBERED = 8_192
"""INVITEs refused: a second's worth of them, in which they might be repeated."""


class _Sender(msgspec.Struct):
    """Who sends, as far as all his INVITEs of one batch have it in common."""

    is_known: bool
    trunk: CustomerTrunk | None
    is_heavy: bool
    is_usual: bool
    """Whether answers go back the usual way, the only one that a glance knows."""
    refused: int = 0


class _Parsed(NamedTuple):
    transaction: str
    request: Request


class Shedding:
    """One per switch. ``records`` counts what is turned away."""

    def __init__(
        self,
        context: Context,
        layer: TransactionLayer,
        counters: Counters,
        network: Network,
        on_error: Callable[[Exception], None],
        *,
        overload: Overload,
        records: SummedEvents | None = None,
    ) -> None:
        self.overload = overload
        self._context = context
        self._layer = layer
        self._counters = counters
        self._network = network
        self._on_error = on_error
        self._records = records
        self._refused: OrderedDict[str, float] = OrderedDict()
        """When the INVITEs of these transactions were last refused."""
        self._answers: dict[tuple[Peer, int], list[bytes]] = {}
        """What is about to be sent, by receiver and length."""

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
                    self._counters.received(data)
            elif kind is CANCEL:
                last.append(datagram)  # of an INVITE that may be among them
            elif kind is ACK_OF_SHED:
                self._counters.received(data)
            else:
                first.append(datagram)
        self._answer()
        for source, sender in senders.items():
            self._record(source, sender, now)
        return first + last

    def admits(self, data: bytes, source: Peer, now: float) -> bool:
        """Whether to handle a stranger's message; one that is shed was answered, if at all."""
        if not self.overload.is_active or kind_of(data) is not NEW_CALL:
            return True
        sender = self._sender(source)
        lets_in = self._lets_in(data, source, sender, now)
        self._answer()
        self._record(source, sender, now)
        return lets_in

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
        if verdict is ADMIT and not refused:
            return False
        seen = (glance(data) if sender.is_usual else None) or self._parsed(data, source)
        if seen is None or self._layer.has(key := seen.transaction):
            return False
        # Who was refused hears the same again: he may have heard it the first time.
        refused_at = refused.get(key)
        if refused_at is None:
            if verdict is ADMIT:
                return False
            if verdict is DROP:
                self._counters.shed_dropped += 1
                return True
            sender.refused += 1
            if len(refused) >= MOST_REMEMBERED:
                refused.popitem(last=False)
        elif refused_at > now - overload.age_s:
            # A copy that was sent before our answer to the first needs none of its own.
            self._counters.shed_dropped += 1
            return True
        refused[key] = now
        self._refuse(seen, source, for_good=verdict is HOLD_OFF)
        return True

    def _refuse(self, seen: Glance | _Parsed, source: Peer, *, for_good: bool) -> None:
        line = f"Retry-After: {self.overload.retry_after_s()}" if for_good else ""
        if isinstance(seen, Glance):
            self._gather(seen.refusal(source, f"\r\n{line}".encode() if line else b""))
        else:
            for action in self._layer.shed(seen.request, source, (line,) if line else ()):
                if isinstance(action, Send):
                    self._gather(action)

    def _gather(self, send: Send) -> None:
        data, alike = send.data, (send.peer, len(send.data))
        self._counters.sent(data)
        if (answers := self._answers.get(alike)) is None:
            self._answers[alike] = [data]
        else:
            answers.append(data)

    def _answer(self) -> None:
        answers, self._answers = self._answers, {}
        for (peer, _), messages in answers.items():
            if not self._network.send_alike(messages, peer):
                self._counters.send_failures += len(messages)

    def _parsed(self, data: bytes, source: Peer) -> _Parsed | None:
        """An INVITE that is not written as usual, if it is a new call."""
        try:
            message = parse(data, stream=source.reliable)
            if isinstance(message, Request) and (key := self._layer.new_call(message)):
                return _Parsed(key, message)
        except MalformedMessage:
            pass
        return None

    def _record(self, source: Peer, sender: _Sender, now: float) -> None:
        self._counters.shed += sender.refused
        if sender.refused and self._records is not None:
            self._records.shed(source, sender.trunk, now, sender.refused)
