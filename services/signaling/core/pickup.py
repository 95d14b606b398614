"""The moment a call is answered: what the caller will be told once the answer is durable."""

from __future__ import annotations

from typing import NamedTuple

from services.common.causes import EndReason
from services.signaling.core.commands import Command, Owner, Request
from services.signaling.core.context import Context
from services.signaling.core.conversation import Conversation, converse
from services.signaling.core.headers import RESPONSE_PASSES, passed_lines
from services.signaling.core.hunting import Answered, acknowledge
from services.signaling.core.legs import Ingress
from services.signaling.core.record import CallRecord
from services.signaling.core.snapshot import CallSnapshot
from services.signaling.core.values import Credit, Plan
from services.signaling.sip.build import Reply


class Pickup(NamedTuple):
    """The 200, and the conversation it begins."""

    reply: Reply
    conversation: Conversation

    def snapshot(self, record: CallRecord, answered: Answered) -> CallSnapshot:
        """What a process needs that takes over from the instant the 200 may be sent."""
        return self.conversation.snapshot(record, answered=answered, answer=self.reply.data)


def pick_up(
    context: Context,
    record: CallRecord,
    ingress: Ingress,
    answered: Answered,
    plan: Plan | None,
    credit: Credit | None,
    *,
    has_media: bool,
) -> Pickup:
    """Prepare both."""
    assert plan is not None
    assert credit is not None
    callee = answered.leg
    tag = ingress.tag(answered.attempt.number, callee.dialog.remote_tag)
    headers = passed_lines(answered.response, RESPONSE_PASSES)
    reply = ingress.answer(200, tag, answered.sdp, headers)
    caller = ingress.leg(tag, callee.attempt)
    conversation = converse(
        context,
        record,
        caller,
        answered,
        plan,
        credit,
        invite_key=ingress.key,
        has_media=has_media,
    )
    return Pickup(reply, conversation)


def put_down(
    context: Context, record: CallRecord, answered: Answered, reason: EndReason, now: float
) -> list[Command]:
    """The vendor answered, but the caller will not hear of it: nobody talked."""
    leg, attempt = answered.leg, answered.attempt
    record.answered_at = record.answered_attempt = None
    attempt.record.end_reason = reason
    attempt.record.ended_at = now
    context.vendor_limits.give_back(attempt.candidate.vendor_trunk_id)
    commands: list[Command] = []
    if answered.is_offer:
        commands.append(acknowledge(attempt.key, leg, context))
    if not leg.is_over:
        bye = leg.request(context, "BYE")
        commands.append(Request(Owner(), bye, leg.target(context), leg.name))
    return commands
