"""Notes every message of a call as it passes: in the ladders, and for who follows it live."""

from __future__ import annotations

from services.common.events import CallEnded
from services.signaling.core.call import Call
from services.signaling.core.commands import Owner
from services.signaling.core.context import Context
from services.signaling.core.ladder import Ladders, Trace
from services.signaling.ports import TraceSink
from services.signaling.sip.actions import Peer, Send
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import Request, parse


class Tracer:
    """Sits where messages come and go. While nobody looks, every method is one test.

    Whose a received message is shows only after the layer has taken it: it is held until then,
    with what the layer itself sent because of it.
    """

    def __init__(self, ladders: Ladders, context: Context, sink: TraceSink | None) -> None:
        self.ladders = ladders
        self.enabled = ladders.enabled or sink is not None
        """Whether anything is noted."""
        self._context = context
        self._dialogs = context.dialogs
        self._sink = sink
        self._followed: set[str] = set()
        """Calls whose messages go to the sink."""
        self.heard: tuple[bytes, Peer] | None = None
        """The message at hand, until somebody claims it."""
        self._along: list[Send] = []

    def claim(self, call: Call, leg: str, now: float) -> None:
        """The message at hand is of ``call``; so are the answers it has drawn already."""
        heard = self.heard
        if heard is None:
            return
        self.heard = None
        self.note(call, now, leg, False, heard[1], heard[0])
        if self._along:
            for send in self._along:
                self.note(call, now, leg, True, send.peer, send.data)
            self._along.clear()

    def sent_by_layer(self, send: Send, owned: tuple[Call, Owner, str] | None, now: float) -> None:
        """The layer sends by itself: at once for the message at hand, or again."""
        if not self.enabled:
            return
        if self.heard is not None:
            self._along.append(send)
        elif owned is not None:
            self.note(owned[0], now, owned[2], True, send.peer, send.data)
        else:
            self._attribute(send.data, send.peer, True, now)

    def settle(self, now: float) -> None:
        """The message at hand is done with and nobody claimed it: it was a repetition."""
        heard, self.heard = self.heard, None
        if heard is not None and self._along:
            for send in self._along:
                self._attribute(send.data, send.peer, True, now, before=heard)
        self._along.clear()

    def _attribute(
        self,
        data: bytes,
        peer: Peer,
        is_sent: bool,
        now: float,
        before: tuple[bytes, Peer] | None = None,
    ) -> None:
        """Find the call of a message by our tag in it."""
        try:
            message = parse(data)
            # In a request of ours the tag is in From; in a response of ours, in To.
            tag = message.from_tag if isinstance(message, Request) else message.to_tag
        except MalformedMessage:
            return
        found = self._dialogs.get(tag) or self._dialogs.get(tag.partition("-")[0])
        if found is None:
            return
        call, leg = found
        if before is not None:
            self.note(call, now, leg, False, before[1], before[0])
        self.note(call, now, leg, is_sent, peer, data)

    def ended(self, event: CallEnded) -> None:
        """The call is over; one that was never answered is kept longer."""
        self.ladders.ended(event.call_id, is_failure=event.answered_at is None)

    def forget(self, call_id: str) -> None:
        """The call is gone."""
        self._followed.discard(call_id)

    def note(self, call: Call, now: float, leg: str, sent: bool, peer: Peer, raw: bytes) -> None:
        """A message of ``call``; only while :attr:`enabled`."""
        trace = call.trace
        if trace is None:
            trace = call.trace = self.ladders.open(call.record.call_id)
        trace.add(now, leg, sent, peer, raw)
        if self._sink is not None:
            self._follow(call, trace, self._sink)

    def _follow(self, call: Call, trace: Trace, sink: TraceSink) -> None:
        """Whether a call is one of those may show late: then what was said before comes first."""
        if not self._context.trunks.traces.is_any:
            return
        call_id = call.record.call_id
        if call_id in self._followed:
            sink.take(call_id, trace.steps[-1])
        elif self._context.trunks.traces.wants(call.record):
            self._followed.add(call_id)
            for each in trace.steps:
                sink.take(call_id, each)
