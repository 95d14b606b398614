"""What follows a response to an egress INVITE: its dialog, its ACK, a BYE, or the INVITE again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.signaling.core.commands import Acknowledge, Owner, Request
from services.signaling.core.context import Context
from services.signaling.core.legs import Leg
from services.signaling.core.logins import CHALLENGES, Login
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Response

if TYPE_CHECKING:
    from services.signaling.core.hunting import Attempt


def acknowledge(key: str, leg: Leg, context: Context) -> Acknowledge:
    """The ACK, without body, of the 2xx that made ``leg``."""
    target = leg.target(context)
    return Acknowledge(key, leg.dialog.remote_tag, leg.ack(leg.invite_cseq), target, leg.name)


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
    """The dialog that a 2xx to an attempt's INVITE makes."""
    dialog = Dialog.from_response(draft, response)
    login, number = attempt.login, attempt.number
    return Leg(
        attempt.name, dialog, attempt.peer, attempt=number, policy=attempt.policy, login=login
    )


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
