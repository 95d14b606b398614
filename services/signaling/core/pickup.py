"""The moment a call is answered: what the caller will be told once the answer is durable."""

from __future__ import annotations

from typing import NamedTuple

from services.common.causes import EndReason
from services.signaling.core.answers import take_back
from services.signaling.core.commands import Command
from services.signaling.core.context import Context
from services.signaling.core.conversation import Conversation
from services.signaling.core.converse import converse
from services.signaling.core.hunting import Answered
from services.signaling.core.ingress import Ingress
from services.signaling.core.record import CallRecord
from services.signaling.core.snapshot import CallSnapshot
from services.signaling.core.values import Credit, Plan
from services.signaling.sip.build import Reply


class Pickup(NamedTuple):
    """The 200, and the conversation it begins."""

    reply: Reply
    conversation: Conversation
    answered: Answered
    ingress: Ingress

    def snapshot(self) -> CallSnapshot:
        """What a process needs that takes over from the instant the 200 may be sent."""
        return self.conversation.snapshot(answered=self.answered, answer=self.reply.data)

    def put_down(
        self, context: Context, record: CallRecord, reason: EndReason, now: float
    ) -> list[Command]:
        """The caller will not hear of the answer: nobody talked."""
        record.answered_at = record.answered_attempt = None
        return take_back(context, self.answered, reason, now)


def pick_up(
    context: Context,
    record: CallRecord,
    ingress: Ingress | None,
    answered: Answered,
    plan: Plan | None,
    credit: Credit | None,
    now: float,
    *,
    has_media: bool,
) -> Pickup:
    """Prepare both, and take note of the answer."""
    assert ingress is not None
    assert plan is not None
    assert credit is not None
    callee, attempt = answered.leg, answered.attempt
    record.answer(attempt.record, min(attempt.answered_at, now))
    record.sip_code_out = 200
    tag = ingress.tag(attempt.number, callee.dialog.remote_tag)
    headers = ingress.passed(answered.response, attempt.policy)
    reply = ingress.answer(200, tag, answered.sdp, headers)
    caller = ingress.leg(tag, callee.attempt)
    caller.dialog.confirm()
    conversation = converse(
        context, record, ingress, caller, answered, plan, credit, now, has_media=has_media
    )
    return Pickup(reply, conversation, answered, ingress)
