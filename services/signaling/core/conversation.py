"""An answered call: two dialogs, what is asked inside them, how long they last, how they end.

Tells its call one thing among its commands: :class:`Over`.
"""

from __future__ import annotations

from typing import NamedTuple

from services.common.causes import EndReason
from services.signaling.core.commands import Command, Extend, Owner, Request, Respond
from services.signaling.core.context import Context
from services.signaling.core.exchanges import Broken, Exchange, Exchanges
from services.signaling.core.exchanges import Step as ExchangeStep
from services.signaling.core.headers import q850_received
from services.signaling.core.hunting import Answered
from services.signaling.core.legs import Leg, closing_lines, options_reply
from services.signaling.core.record import CallRecord, q850_of_end
from services.signaling.core.talk_time import TalkTime, shortest
from services.signaling.core.values import Credit, MediaAnswer, Plan
from services.signaling.sip.build import response_to
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response


class Over(NamedTuple):
    """The conversation has ended, at the instant ``at``."""

    reason: EndReason
    side: str
    """``caller``, ``callee`` or ``server``."""
    at: float
    bye: Received | None = None


Step = Command | Over


class Conversation:
    """See the module docstring."""

    __slots__ = (
        "_byes", "_context", "_exchanges", "_invite_key", "_is_over", "_talk", "callee", "caller",
        "reservation_id", "sell_terms",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        caller: Leg,
        callee: Leg,
        exchanges: Exchanges,
        talk: TalkTime,
        *,
        invite_key: str,
        reservation_id: str,
        sell_terms: bytes,
    ) -> None:
        self._context = context
        self.caller = caller
        self.callee = callee
        self.reservation_id = reservation_id
        self.sell_terms = sell_terms
        self._exchanges = exchanges
        self._talk = talk
        self._invite_key = invite_key
        self._byes: list[Owner | None] = []
        """BYEs of ours without answer; ``None`` for one that waits for the caller's ACK."""
        self._is_over = False

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        return float("inf") if self._is_over else self._talk.deadline

    @property
    def is_settled(self) -> bool:
        """Whether it is over and no BYE of ours waits for anything."""
        return self._is_over and not self._byes

    # --- inputs -------------------------------------------------------------------------

    def on_request(self, received: Received, key: str, leg: Leg, now: float) -> list[Step]:
        """Take a request that truly came from the other end of ``leg``."""
        method = received.method
        if method == "BYE":
            return self._on_bye(received, key, leg, now)
        if self._is_over:
            return [Respond(key, response_to(received, 481), leg.name)]
        refusal = leg.dialog.on_request(received)
        if refusal:
            return [Respond(key, response_to(received, refusal), leg.name)]
        if method == "OPTIONS":
            return [Respond(key, options_reply(received, ""), leg.name)]
        other = self.callee if leg is self.caller else self.caller
        return self._follow(self._exchanges.on_request(received, key, leg, other), now)

    def on_ack(self, received: Received, key: str, now: float) -> list[Step]:
        """Take the ACK of a 2xx of ours."""
        if key == self._invite_key and not self.caller.is_acknowledged:
            self.caller.is_acknowledged = True
            if self._is_over:
                return self._late_bye()
        offer = self._exchanges.offer
        if offer is None or offer.server_key != key:
            return []
        return self._follow(self._exchanges.on_ack(received), now)

    def on_no_ack(self, key: str, now: float) -> list[Step]:
        """A 2xx of ours was never acknowledged: BYE (section 13.3.1.4)."""
        if key == self._invite_key:
            self.caller.is_acknowledged = True
        if self._is_over:
            return self._late_bye()
        return self.end(EndReason.NO_ACK, now)

    def on_cancel(self, key: str, now: float) -> list[Step]:
        """A re-INVITE was cancelled."""
        return self._follow(self._exchanges.on_cancel(key), now)

    def on_response(self, owner: Owner, response: Response, now: float) -> list[Step]:
        """Take a response to a request of ours."""
        if isinstance(owner, Exchange):
            return self._follow(self._exchanges.on_response(owner, response), now)
        if response.status >= 200 and owner in self._byes:
            self._byes.remove(owner)
        return []

    def on_failure(self, owner: Owner, status: int, now: float) -> list[Step]:
        """No response will come."""
        if isinstance(owner, Exchange):
            return self._follow(self._exchanges.on_failure(owner, status), now)
        if owner in self._byes:
            self._byes.remove(owner)
        return []

    def on_media(self, token: int, answer: MediaAnswer | None, now: float) -> list[Step]:
        """Take rewritten SDP."""
        if self._is_over:
            return []
        return self._follow(self._exchanges.on_media(token, answer), now)

    def on_extended(self, credit: Credit | None, now: float) -> None:
        """Take rating's answer to :class:`Extend`."""
        if credit is not None:
            self.reservation_id = credit.reservation_id or self.reservation_id
        self._talk.on_extended(None if credit is None else credit.paid_ms, now)

    def on_timer(self, now: float) -> list[Step]:
        """Ask for more talk time, or end the call when there is none."""
        if self._is_over:
            return []
        due = self._talk.on_timer(now)
        if isinstance(due, EndReason):
            return self.end(due, now)
        if due:
            return [Extend(self.reservation_id, self.sell_terms, self._talk.paid_ms)]
        return []

    def end(self, reason: EndReason, now: float, *, side: str = "server") -> list[Step]:
        """Hang up both sides."""
        if self._is_over:
            return []
        steps = self._close(q850_of_end(reason))
        return [*steps, Over(reason, side, self._talk.end(now))]

    # --- the end ------------------------------------------------------------------------

    def _on_bye(self, received: Received, key: str, leg: Leg, now: float) -> list[Step]:
        # Whatever its CSeq: nobody can be kept in a call.
        steps: list[Step] = [Respond(key, response_to(received, 200), leg.name)]
        leg.is_over = True
        if leg is self.caller:
            self._byes = [owner for owner in self._byes if owner is not None]
        if self._is_over:
            return steps
        side = "caller" if leg is self.caller else "callee"
        steps += self._close(q850_received(received) or 16, received, leg)
        return [*steps, Over(EndReason.NORMAL, side, self._talk.end(now), received)]

    def _close(
        self, cause: int, received: Received | None = None, source: Leg | None = None
    ) -> list[Step]:
        self._is_over = True
        steps: list[Step] = list(self._exchanges.close())
        for leg in (self.caller, self.callee):
            if leg.is_over:
                continue
            if leg.is_acknowledged:
                headers = closing_lines(
                    leg.policy, None if source is None else source.policy, received, cause
                )
                steps.append(self._bye(leg, headers))
            else:
                # "MUST NOT send a BYE on a confirmed dialog until it has received an ACK"
                self._byes.append(None)
        return steps

    def _late_bye(self) -> list[Step]:
        if None not in self._byes:
            return []
        self._byes.remove(None)
        return [] if self.caller.is_over else [self._bye(self.caller, [])]

    def _bye(self, leg: Leg, headers: list[str]) -> Step:
        leg.is_over = True
        owner = Owner()
        self._byes.append(owner)
        draft = leg.request(self._context, "BYE", headers=headers)
        return Request(owner, draft, leg.target(self._context), leg.name)

    def _follow(self, steps: list[ExchangeStep], now: float) -> list[Step]:
        followed: list[Step] = []
        for step in steps:
            if isinstance(step, Broken):
                side = "server"
                if step.reason is EndReason.REJECTED:
                    side = "caller" if step.leg is self.caller else "callee"
                    step.leg.is_over = True  # it has no dialog to hang up
                followed += self.end(step.reason, now, side=side)
            else:
                followed.append(step)
        return followed


def converse(
    context: Context,
    record: CallRecord,
    caller: Leg,
    answered: Answered,
    plan: Plan,
    credit: Credit,
    *,
    invite_key: str,
) -> Conversation:
    """The conversation that an answer begins; the caller has yet to acknowledge his 200."""
    exchanges = Exchanges(context, media_proxy=answered.attempt.candidate.media_proxy)
    exchanges.begin(
        invite_key, caller, answered.leg, key=answered.attempt.key, is_late=answered.is_offer
    )
    assert record.answered_at is not None
    talk = TalkTime(
        record.answered_at,
        paid_ms=credit.paid_ms if credit.reservation_id else None,
        max_call_s=shortest(plan.max_call_s, answered.attempt.candidate.max_call_s),
    )
    return Conversation(
        context,
        caller,
        answered.leg,
        exchanges,
        talk,
        invite_key=invite_key,
        reservation_id=credit.reservation_id,
        sell_terms=plan.sell_terms,
    )
