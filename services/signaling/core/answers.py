"""What a vendor's responses make: a leg, or one to hang up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.causes import EndReason
from services.signaling.core.attempt import Attempt
from services.signaling.core.commands import Acknowledge, Command, Owner, Request
from services.signaling.core.context import Context
from services.signaling.core.early_dialogs import new_leg
from services.signaling.core.legs import Leg
from services.signaling.core.logins import CHALLENGES, Login
from services.signaling.sip.message import Response

if TYPE_CHECKING:
    from services.signaling.core.hunting import Answered


def prove(context: Context, attempt: Attempt, response: Response) -> list[Request]:
    """The INVITE once more with our credentials, if that is what the vendor asks for.

    Once: who challenges the answer too will never be content.
    """
    draft = attempt.draft
    if response.status not in CHALLENGES or attempt.login is not None or draft is None:
        return []
    attempt.login = Login.answering(response, attempt.sip.auth, context.new_tag())
    if attempt.login is None:
        return []
    attempt.draft = attempt.login.again(draft, draft.cseq + 1)
    return [Request(attempt, attempt.draft, attempt.peer, attempt.name)]


def answered_leg(attempt: Attempt, response: Response) -> Leg:
    """The leg that a 2xx makes."""
    known = None if attempt.dialogs is None else attempt.dialogs.confirmed(response)
    return known or new_leg(attempt, response)


def acknowledge(attempt: Attempt, leg: Leg, context: Context) -> Acknowledge:
    """The ACK, without body, of the 2xx that made ``leg``."""
    assert attempt.draft is not None
    ack = leg.ack(attempt.draft.cseq)
    return Acknowledge(attempt.key, leg.dialog.remote_tag, ack, leg.target(context), leg.name)


def hang_up_answer(
    context: Context, attempt: Attempt, response: Response
) -> list[Acknowledge | Request]:
    """ACK and BYE for a 2xx nobody wants: another fork's, or one that crossed our CANCEL."""
    leg = answered_leg(attempt, response)
    bye = leg.request(context, "BYE")
    return [
        acknowledge(attempt, leg, context),
        Request(Owner(), bye, leg.target(context), leg.name),
    ]


def take_back(
    context: Context, answered: Answered, reason: EndReason, now: float
) -> list[Command]:
    """ACK where it is due, and BYE, for an answer that the caller will not hear of."""
    attempt, leg = answered.attempt, answered.leg
    attempt.record.end_reason, attempt.record.ended_at = reason, now
    context.vendor_limits.give_back(attempt.candidate.vendor_trunk_id)
    commands: list[Command] = []
    if answered.is_offer:
        commands.append(acknowledge(attempt, leg, context))
    if not leg.is_over:
        bye = leg.request(context, "BYE")
        commands.append(Request(Owner(), bye, leg.target(context), leg.name))
    return commands
