"""Answered calls of a process that died, as live calls of this one."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from services.common.causes import EndReason
from services.common.sip_options.auth import VendorAuth
from services.common.sip_options.session_timer import SessionTimer
from services.signaling.core.call import Call
from services.signaling.core.commands import Acknowledge, Command, Keep
from services.signaling.core.context import Context
from services.signaling.core.conversation import Conversation
from services.signaling.core.exchanges import Exchanges
from services.signaling.core.interrupted import InterruptedCall
from services.signaling.core.legs import Leg
from services.signaling.core.logins import Login
from services.signaling.core.record import AttemptRecord, CallRecord
from services.signaling.core.snapshot import CallSnapshot, EndNote, Facts, VendorInvite
from services.signaling.core.talk_time import TalkTime
from services.signaling.core.trunk_policy import USUAL_CUSTOMER, CustomerPolicy, VendorPolicy
from services.signaling.core.vigil import DEFAULT, resume_vigil
from services.signaling.core.watch import WatchState

_UNKNOWN = dt.datetime.fromtimestamp(0, dt.UTC)
FRESH_S = 32.0
"""64*T1: how long a 2xx is repeated, on either side, for want of its ACK."""


class LiveCall(NamedTuple):
    """What is known of one call that was live when its process died."""

    snapshot: CallSnapshot
    end: EndNote | None = None
    """Set when it was over, and only its record not written."""
    shift_s: float = 0.0
    """To be added to its instants: not 0 when the machine was started anew, and its clock too."""
    lost_at: float | None = None
    """When the process that died was last known to run."""


class Left(NamedTuple):
    """All that a process left behind, oldest first."""

    answered: list[LiveCall]
    interrupted: list[InterruptedCall]


def shift_s(snapshot: CallSnapshot, now: float, wall: dt.datetime) -> float:
    """How far a monotonic clock that began anew has moved instants of before, by the wall's."""
    invited_at, invited_wall = snapshot.record["invited_at"], snapshot.record["invited_wall"]
    assert isinstance(invited_at, float)
    assert isinstance(invited_wall, dt.datetime)
    return now - (wall - invited_wall).total_seconds() - invited_at


class Restored(NamedTuple):
    """A call that goes on."""

    call: Call
    commands: list[Command]
    """What it has to do at once."""
    awaits_ack: bool
    """Whether the 200 to the caller has to be repeated until its ACK. Where that had come to the
    process that died, he acknowledges again (RFC 3261 section 13.2.2.4)."""
    ack: Acknowledge | None
    """For the vendor, should he repeat his 2xx."""


def restore(context: Context, live: LiveCall, now: float) -> Restored:
    """Make a call of what is left of one."""
    snapshot = live.snapshot
    record = _record(context, live)
    assert record.answered_at is not None
    near, far = _options(context, record)
    caller = Leg.restored(snapshot.caller, near.policy, now)
    callee = Leg.restored(snapshot.callee, far.policy, now)
    if far.auth.username:
        callee.login = Login(far.auth, context.new_tag())
    exchanges = Exchanges(context, media_proxy=record.answered_on.candidate.media_proxy)
    is_fresh = now - record.answered_at < FRESH_S and live.end is None
    awaits_ack = is_fresh and not caller.is_acknowledged and bool(snapshot.answer)
    if awaits_ack:
        vendor = snapshot.vendor or VendorInvite("", 1, is_late=False)
        exchanges.begin(
            snapshot.invite_key,
            caller,
            callee,
            key=vendor.key,
            number=vendor.cseq,
            is_late=vendor.is_late,
        )
    else:
        caller.is_acknowledged = True
    ack = None
    if is_fresh and snapshot.vendor is not None:
        draft, target = callee.dialog.ack(snapshot.vendor.cseq), callee.target(context)
        tag = callee.dialog.remote_tag
        ack = Acknowledge(snapshot.vendor.key, tag, draft, target, callee.name)
    conversation = Conversation(
        context,
        record,
        caller,
        callee,
        exchanges,
        TalkTime(record.answered_at, paid_ms=snapshot.paid_ms, max_call_s=snapshot.max_call_s),
        invite_key=snapshot.invite_key,
        reservation_id=record.reservation_id,
        sell_terms=record.sell_terms,
        vigil=resume_vigil(
            context,
            exchanges,
            [
                (caller, near.timer, _shifted(snapshot.caller.watch, live.shift_s)),
                (callee, far.timer, _shifted(snapshot.callee.watch, live.shift_s)),
            ],
            now,
            now if live.lost_at is None else live.lost_at,
        ),
        has_media=snapshot.has_media,
        is_taken_over=True,
    )
    call = Call.taken_over(context, record, conversation, snapshot.invite_key)
    _count(context, record, now)
    # Kept with the numbers it skipped: another crash must not use them again.
    commands: list[Command] = [Keep(conversation.snapshot())]
    if live.end is not None:
        commands += _end(call, live.end, live.shift_s)
    return Restored(call, commands, awaits_ack, ack)


class _Options(NamedTuple):
    policy: CustomerPolicy | VendorPolicy
    timer: SessionTimer
    auth: VendorAuth = VendorAuth()


def _options(context: Context, record: CallRecord) -> tuple[_Options, _Options]:
    """How customer and vendor are dealt with, as the configuration has it now."""
    customer = context.trunks.customer(record.customer_trunk_id)
    vendor_id = record.answered_on.candidate.vendor_trunk_id
    near = _Options(USUAL_CUSTOMER, DEFAULT)
    if customer is not None:
        near = _Options(customer.policy, customer.sip.session_timer)
    trunks = context.trunks
    sip = trunks.vendor(vendor_id)
    return near, _Options(trunks.vendor_policy(vendor_id), sip.session_timer, sip.auth)


def _shifted(state: WatchState | None, by_s: float) -> WatchState | None:
    if state is None or not by_s:
        return state
    shifted = state.copy()
    for name in ("refresh_at", "ends_at", "probe_at", "capped_at"):
        at = shifted[name]
        if at is not None:
            shifted[name] = at + by_s
    return shifted


def _record(context: Context, live: LiveCall) -> CallRecord:
    facts = live.snapshot.record
    record = CallRecord(str(facts["call_id"]), context.node, 0.0, _UNKNOWN)
    _fill(record, facts, live.shift_s)
    for state in live.snapshot.attempts:
        attempt = AttemptRecord(state.candidate, 0.0)
        _fill(attempt, state.facts, live.shift_s)
        record.attempts.append(attempt)
    return record


def _fill(record: CallRecord | AttemptRecord, facts: Facts, by_s: float) -> None:
    for name, value in facts.items():
        # What another version knew and this one does not is not needed here.
        if name in type(record).__slots__:
            is_instant = name.endswith("_at") and isinstance(value, float)
            setattr(record, name, value + by_s if is_instant else value)  # type: ignore[operator]


def _count(context: Context, record: CallRecord, now: float) -> None:
    """Live calls count against the limits of their trunks, which they passed when they began."""
    vendor = record.answered_on.candidate.vendor_trunk_id
    for limits, trunk_id in (
        (context.customer_limits, record.customer_trunk_id),
        (context.vendor_limits, vendor),
    ):
        limits.take(trunk_id, max_calls=None, max_cps=None, now=now)


def _end(call: Call, note: EndNote, by_s: float) -> list[Command]:
    """Hang up again: who has heard our BYE says that he knows of no call, and that is that."""
    record, facts = call.record, note.facts
    ended_at = facts["ended_at"]
    assert isinstance(ended_at, float)
    commands = call.hang_up(
        EndReason(str(facts["end_reason"])), ended_at + by_s, side=str(facts["end_side"])
    )
    _fill(record, facts, by_s)
    return commands
