"""What a process does with the answered calls that the one before it left behind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from services.common.causes import EndReason
from services.common.logs import get_logger
from services.signaling.app.switch import Switch
from services.signaling.core.context import Context
from services.signaling.core.headers import reason_line
from services.signaling.core.interrupted import InterruptedCall, given_up
from services.signaling.core.legs import reachable
from services.signaling.core.takeover import LiveCall, restore
from services.signaling.core.values import CallState
from services.signaling.ports import Journal, Media
from services.signaling.sip.actions import DeliverRequest
from services.signaling.sip.build import response_to
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.resume import resume_answer, resume_invite, resume_ringing

log = get_logger(__name__)


class Takeover:
    """Makes calls of a process that died calls of ``switch``."""

    def __init__(
        self,
        switch: Switch,
        media: Media,
        monotonic: Callable[[], float],
        utc_now: Callable[[], dt.datetime],
    ) -> None:
        self._switch = switch
        self._media = media
        self._monotonic = monotonic
        self._utc_now = utc_now
        self._lost_at: dict[str, float] = {}
        """When calls were last known to have their audio, until media says that they still do."""
        self.calls = 0
        """Answered ones that were taken over."""
        self.failed = 0
        """Those that could not be: errors of ours, see the log."""

    def begin(self, context: Context, layer: TransactionLayer, journal: Journal) -> None:
        """Do it; the sockets can send already, and nothing has been received yet."""
        now = self._monotonic()
        left = journal.take_over(now)
        for live in left.answered:
            try:
                self._adopt(live, context, layer, now)
            except Exception:
                # One call that makes no sense must not cost the others theirs, nor the start.
                call_id = str(live.snapshot.record.get("call_id"))
                log.exception("takeover.failed", call_id=call_id)
                journal.forget(call_id)
                self.failed += 1
        for interrupted in left.interrupted:
            _give_up(interrupted, self._switch, context, layer, now, self._utc_now())
            self._media.release(interrupted.begun.event.call_id, lambda _: None)
        self.calls = len(left.answered) - self.failed
        if self.calls or left.interrupted:
            log.warning("takeover.done", calls=self.calls, interrupted=len(left.interrupted))
        self.attach()

    def attach(self) -> None:
        """Claim the sessions of all calls; where an answered one has none any more, it ends.

        To be called whenever media can be reached again: until then it does not know whom to
        tell what it hears of a call, or it has lost all calls itself.
        """
        for call in list(self._switch.calls.values()):
            if call.has_media:
                is_answered = call.state is CallState.ANSWERED
                self._attach(call.record.call_id, is_answered=is_answered)

    def _attach(self, call_id: str, *, is_answered: bool) -> None:
        def on_known(is_known: bool | None) -> None:
            if is_known is None:
                return
            lost_at = self._lost_at.pop(call_id, None)
            # One that is not answered may have its offer on the way, or finds out itself.
            if is_answered and not is_known:
                self._switch.hang_up(call_id, EndReason.MEDIA_UNAVAILABLE, lost_at)

        self._media.attach(call_id, on_known)

    def _adopt(
        self, live: LiveCall, context: Context, layer: TransactionLayer, now: float
    ) -> None:
        snapshot = live.snapshot
        call, commands, awaits_ack, ack = restore(context, live, now)
        answered_at = call.record.answered_at
        assert answered_at is not None
        if awaits_ack:
            awaits_ack = resume_answer(
                layer,
                snapshot.invite_key,
                snapshot.answer,
                snapshot.caller.reachable,
                answered_at=answered_at,
                now=now,
            )
        if ack is not None:
            is_late = snapshot.vendor is not None and snapshot.vendor.is_late
            given = None if is_late else (ack.draft, ack.peer)
            resume_invite(
                layer, ack.key, ack.to_tag, ack.peer, given, answered_at=answered_at, now=now
            )
        if snapshot.has_media and live.lost_at is not None:
            self._lost_at[call.record.call_id] = max(answered_at, live.lost_at)
        self._switch.adopt(call, commands, is_acknowledged=not awaits_ack)


def _give_up(
    interrupted: InterruptedCall,
    switch: Switch,
    context: Context,
    layer: TransactionLayer,
    now: float,
    wall: dt.datetime,
) -> None:
    """Refuse the caller, who may have another way to go; let the vendor's telephone be silent."""
    begun, dialled = interrupted.begun, interrupted.dialled
    event = given_up(context.node, begun, wall)
    if dialled is not None:
        resume_ringing(layer, dialled.key, dialled.invite, reachable(dialled.peer))
        switch.follow(layer.cancel(dialled.key, now, (reason_line(event.q850_out),)), now)
    switch.tell(event)
    if not begun.invite:
        return
    for action in layer.on_message(begun.invite, reachable(begun.source), now):
        if isinstance(action, DeliverRequest):
            tag = context.new_tag()
            reply = response_to(action.request, event.sip_code_out, to_tag=tag)
            switch.follow(layer.respond(action.key, reply, now), now)
