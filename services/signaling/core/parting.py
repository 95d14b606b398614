"""Taking up, and ending, the leg of a vendor that answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.causes import EndReason
from services.signaling.core.commands import Acknowledge, Command, Owner, Request
from services.signaling.core.context import Context
from services.signaling.core.legs import Leg
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Response

if TYPE_CHECKING:
    from services.signaling.core.hunting import Answered, Attempt


def acknowledge(key: str, leg: Leg, context: Context) -> Acknowledge:
    """The ACK, without body, of the 2xx that made ``leg``."""
    dialog = leg.dialog
    return Acknowledge(key, dialog.remote_tag, dialog.ack(1), leg.target(context), leg.name)


def hang_up_answer(
    context: Context, attempt: Attempt, response: Response
) -> list[Acknowledge | Request]:
    """ACK and BYE for a 2xx nobody wants: another fork's, or one that crossed our CANCEL."""
    assert attempt.draft is not None
    leg = leg_of(attempt, attempt.draft, response)
    bye = leg.request(context, "BYE")
    return [
        acknowledge(attempt.key, leg, context),
        Request(Owner(), bye, leg.target(context), leg.name),
    ]


def leg_of(attempt: Attempt, draft: RequestDraft, response: Response) -> Leg:
    """The dialog that a 2xx from a vendor makes."""
    dialog = Dialog.from_response(draft, response)
    return Leg(attempt.name, dialog, attempt.peer, attempt=attempt.number, policy=attempt.policy)


def let_go(context: Context, answered: Answered, reason: EndReason, now: float) -> list[Command]:
    """End the leg of a vendor that answered a call the caller will not hear of."""
    attempt, leg = answered.attempt, answered.leg
    attempt.record.end_reason, attempt.record.ended_at = reason, now
    context.vendor_limits.give_back(attempt.candidate.vendor_trunk_id)
    commands: list[Command] = []
    if answered.is_offer:
        commands.append(acknowledge(attempt.key, leg, context))
    if not leg.is_over:
        bye = leg.request(context, "BYE")
        commands.append(Request(Owner(), bye, leg.target(context), leg.name))
    return commands
