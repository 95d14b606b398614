"""Keeps calls that are being set up, for the process that takes over when this one dies."""

from __future__ import annotations

from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted
from services.signaling.core.attempt import Attempt
from services.signaling.core.call import Call
from services.signaling.core.commands import Request
from services.signaling.core.interrupted import Begun, Dialled
from services.signaling.core.loop import LOOP
from services.signaling.ports import Journal
from services.signaling.sip.actions import Action, Peer, Send


class Keeper:
    """Told of every INVITE, with the bytes it came in, and of what becomes of its call."""

    def __init__(self, journal: Journal) -> None:
        self.data = b""
        """The message at hand."""
        self._journal = journal
        self._invite: tuple[str, bytes, Peer] = ("", b"", LOOP)

    def invited(self, call_id: str, source: Peer) -> None:
        """The message at hand begins a call."""
        self._invite = (call_id, self.data, source)

    def told(self, event: CallStarted | CallRinging | CallAnswered) -> None:
        """A call was accepted for processing, usually while its INVITE is still at hand."""
        if not isinstance(event, CallStarted):
            return
        call_id, invite, source = self._invite
        is_at_hand = call_id == event.call_id
        begun = Begun(event, invite, source) if is_at_hand else Begun(event)
        self._journal.begin(event.call_id, begun)

    def requested(self, call: Call, command: Request, actions: list[Action]) -> None:
        """A request has been sent; an INVITE to a vendor may have to be cancelled."""
        if isinstance(command.owner, Attempt):
            sent = next(action.data for action in actions if type(action) is Send)
            dialled = Dialled(command.owner.key, sent, command.peer)
            self._journal.dial(call.record.call_id, dialled)

    def ended(self, event: CallEnded) -> None:
        """Its record is written."""
        self._journal.forget(event.call_id)
