"""What a process does with the answered calls that the one before it left behind."""

from __future__ import annotations

from services.common.causes import EndReason
from services.common.clock import utc_now
from services.signaling.app.services import Services
from services.signaling.app.switch import Switch
from services.signaling.core.context import Context
from services.signaling.core.headers import reason_line
from services.signaling.core.interrupted import InterruptedCall, given_up
from services.signaling.core.legs import reachable
from services.signaling.core.takeover import LiveCall, restore
from services.signaling.core.values import CallState
from services.signaling.ports import Media
from services.signaling.sip.actions import DeliverRequest, Peer
from services.signaling.sip.build import response_to
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.resume import resume_answer, resume_invite, resume_ringing


def take_over(
    switch: Switch, context: Context, layer: TransactionLayer, services: Services, now: float
) -> int:
    """Make them calls of ``switch``, whose sockets can send already; returns how many."""
    left = services.journal.take_over(now)
    for live in left.answered:
        _adopt(live, switch, context, layer, now)
    for interrupted in left.interrupted:
        _give_up(interrupted, switch, context, layer, now)
        services.media.release(interrupted.begun.event.call_id, lambda _: None)
    attach_all(switch, services.media)
    return len(left.answered)


def attach_all(switch: Switch, media: Media) -> None:
    """Claim the sessions of all answered calls; where there is none any more, the call ends.

    To be called whenever media can be reached again: until then it does not know whom to tell
    that a call is silent, or it has lost all calls itself.
    """
    for call in list(switch.calls.values()):
        if call.state is CallState.ANSWERED and call.has_media:
            _attach(call.record.call_id, switch, media)


def _attach(call_id: str, switch: Switch, media: Media) -> None:
    def on_known(is_known: bool | None) -> None:
        if is_known is False:
            switch.hang_up(call_id, EndReason.MEDIA_UNAVAILABLE)

    media.attach(call_id, on_known)


def _adopt(
    live: LiveCall, switch: Switch, context: Context, layer: TransactionLayer, now: float
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
    if live.lost_at is not None and snapshot.has_media:
        # What relayed its audio is gone with everything else that ran on the machine.
        ended_at = max(answered_at, live.lost_at)
        commands += call.hang_up(EndReason.MEDIA_UNAVAILABLE, ended_at)
    switch.adopt(call, commands, is_acknowledged=not awaits_ack)


def _give_up(
    interrupted: InterruptedCall,
    switch: Switch,
    context: Context,
    layer: TransactionLayer,
    now: float,
) -> None:
    """Refuse the caller, who may have another way to go; let the vendor's telephone be silent."""
    begun, dialled = interrupted
    event = given_up(context.node, begun, utc_now())
    if dialled is not None:
        vendor = Peer(*dialled.peer)
        resume_ringing(layer, dialled.key, dialled.invite, reachable(vendor))
        switch.follow(layer.cancel(dialled.key, now, (reason_line(event.q850_out),)), now)
    switch.tell(event)
    if not begun.invite:
        return
    for action in layer.on_message(begun.invite, reachable(Peer(*begun.source)), now):
        if isinstance(action, DeliverRequest):
            tag = context.new_tag()
            reply = response_to(action.request, event.sip_code_out, to_tag=tag)
            switch.follow(layer.respond(action.key, reply, now), now)
