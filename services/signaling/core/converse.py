"""How a conversation begins: with what was agreed before the answer."""

from __future__ import annotations

from services.signaling.core.context import Context
from services.signaling.core.conversation import Conversation
from services.signaling.core.exchanges import Exchanges
from services.signaling.core.hunting import Answered
from services.signaling.core.ingress import Ingress
from services.signaling.core.legs import Leg
from services.signaling.core.record import CallRecord
from services.signaling.core.talk_time import TalkTime, shortest
from services.signaling.core.values import Credit, Plan
from services.signaling.core.vigil import keep_vigil


def converse(
    context: Context,
    record: CallRecord,
    ingress: Ingress,
    caller: Leg,
    answered: Answered,
    plan: Plan,
    credit: Credit,
    now: float,
    *,
    has_media: bool = False,
) -> Conversation:
    """The conversation that an answer begins; the caller has yet to acknowledge his 200."""
    attempt = answered.attempt
    assert attempt.draft is not None
    exchanges = Exchanges(context, media_proxy=attempt.candidate.media_proxy)
    exchanges.begin(
        ingress.key,
        caller,
        answered.leg,
        key=attempt.key,
        number=attempt.draft.cseq,
        is_late=answered.is_offer,
    )
    assert record.answered_at is not None
    talk = TalkTime(
        record.answered_at,
        paid_ms=credit.paid_ms if credit.reservation_id else None,
        max_call_s=shortest(plan.max_call_s, answered.attempt.candidate.max_call_s),
    )
    caller.heard_at = answered.leg.heard_at = now
    return Conversation(
        context,
        record,
        caller,
        answered.leg,
        exchanges,
        talk,
        invite_key=ingress.key,
        reservation_id=credit.reservation_id,
        sell_terms=plan.sell_terms,
        vigil=keep_vigil(context, exchanges, ingress, caller, answered, now),
        has_media=has_media,
    )
