"""An answered call: two dialogs, what is asked inside them, how long they last, how they end.

Tells its call one thing among its commands: :class:`Over`.
"""

from __future__ import annotations

from typing import NamedTuple

from services.common.causes import EndReason
from services.signaling.core.admission import prack_reply
from services.signaling.core.commands import Command, Extend, Owner, Request, Respond
from services.signaling.core.context import Context
from services.signaling.core.exchanges import Broken, Exchange, Exchanges
from services.signaling.core.exchanges import Step as ExchangeStep
from services.signaling.core.extensions import required_in_dialog
from services.signaling.core.headers import q850_received
from services.signaling.core.hunting import Answered
from services.signaling.core.legs import Ingress, Leg, closing_lines, options_reply
from services.signaling.core.record import CallRecord, q850_of_end
from services.signaling.core.snapshot import CallSnapshot, dialled_by, record_facts
from services.signaling.core.talk_time import TalkTime
from services.signaling.core.values import Credit, MediaAnswer, Plan
from services.signaling.core.vigil import GONE, Ask, Lifeless, Vigil, is_refresh, keep_vigil
from services.signaling.core.vigil import Step as VigilStep
from services.signaling.sip.actions import Peer
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
    silent: str = ""
    """``caller`` or ``callee`` when that one was not heard any more, as was noticed at
    :attr:`noticed_at`."""
    noticed_at: float = 0.0


Step = Command | Over


class Conversation:
    """See the module docstring."""

    __slots__ = (
        "_byes", "_context", "_exchanges", "_invite_key", "_is_over", "_is_taken_over", "_kept",
        "_talk", "_vigil", "callee", "caller", "has_media", "reservation_id", "sell_terms",
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
        vigil: Vigil | None = None,
        has_media: bool = False,
        is_taken_over: bool = False,
    ) -> None:
        self._context = context
        self.caller = caller
        self.callee = callee
        self.reservation_id = reservation_id
        self.sell_terms = sell_terms
        self._exchanges = exchanges
        self._talk = talk
        self._vigil = vigil
        """Set when a leg's life has to be proven."""
        self._invite_key = invite_key
        self._byes: list[Owner | None] = []
        """BYEs of ours without answer; ``None`` for one that waits for the caller's ACK."""
        self._is_over = False
        self.has_media = has_media
        """Whether media holds a session of this call."""
        self._is_taken_over = is_taken_over
        """Whether it is from a process that died."""
        self._kept = (0, talk.paid_ms)

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        if self._is_over:
            return float("inf")
        if self._vigil is not None:
            return min(self._vigil.deadline, self._talk.deadline)
        return self._talk.deadline

    @property
    def is_settled(self) -> bool:
        """Whether it is over and no BYE of ours waits for anything."""
        return self._is_over and not self._byes

    # --- for a process that takes over --------------------------------------------------

    def has_changed(self) -> bool:
        """Whether a snapshot now would differ from the last one in what matters."""
        state = (self._exchanges.agreed, self._talk.paid_ms)
        if self._is_over or state == self._kept:
            return False
        self._kept = state
        return True

    def snapshot(
        self, record: CallRecord, *, answered: Answered | None = None, answer: bytes = b""
    ) -> CallSnapshot:
        """The call as it is; with the 200 to the caller while that is on its way."""
        facts, attempts = record_facts(record)
        return CallSnapshot(
            facts,
            attempts,
            self.caller.snapshot(),
            self.callee.snapshot(),
            self._invite_key,
            self._talk.paid_ms if self._talk.is_paid else None,
            self._talk.max_call_s,
            self.has_media,
            answer,
            None if answered is None else dialled_by(answered),
        )

    # --- inputs -------------------------------------------------------------------------

    def on_request(self, received: Received, key: str, source: Peer, now: float) -> list[Step]:
        """Take a request that names a tag of ours."""
        is_caller = received.to_tag == self.caller.dialog.local_tag
        leg = self.caller if is_caller else self.callee
        if received.to_tag != leg.dialog.local_tag or not leg.accepts(received, source):
            return [Respond(key, response_to(received, 481), leg.name)]
        leg.heard_at = now
        method = received.method
        if method == "BYE":
            return self._on_bye(received, key, leg, now)
        if self._is_over:
            return [Respond(key, response_to(received, 481), leg.name)]
        if self._is_taken_over and leg is self.caller and not leg.is_acknowledged:
            # He goes on, so he has the 200, and has acknowledged it to the process before us.
            leg.is_acknowledged = True
            self._exchanges.settle(self._invite_key)
        refusal = leg.dialog.on_request(received)
        if refusal:
            return [Respond(key, response_to(received, refusal), leg.name)]
        own = self._on_own_request(received, key, leg, now)
        if own is not None:
            return own
        other = self.callee if leg is self.caller else self.caller
        return self._follow(self._exchanges.on_request(received, key, leg, other), now)

    def _on_own_request(
        self, received: Received, key: str, leg: Leg, now: float
    ) -> list[Step] | None:
        """Answer what ends at this leg; ``None`` for what goes on to the other."""
        method = received.method
        if method == "OPTIONS":
            return [Respond(key, options_reply(received, ""), leg.name)]
        if method == "PRACK":
            return [Respond(key, prack_reply(received), leg.name)]
        if received.has("require"):
            refused = required_in_dialog(received, leg.watch)
            if refused is not None:
                reply = response_to(received, refused.status, headers=refused.headers)
                return [Respond(key, reply, leg.name)]
        if self._vigil is None:
            return None
        steps = self._vigil.on_request(received, key, leg, now)
        return None if steps is None else self._despair(steps, now)

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
        if self._is_taken_over and key == self._invite_key:
            # It may have come to the process before us; who is not there is missed by his audio.
            self._exchanges.settle(key)
            return []
        return self.end(EndReason.NO_ACK, now)

    def on_cancel(self, key: str, now: float) -> list[Step]:
        """A re-INVITE was cancelled."""
        return self._follow(self._exchanges.on_cancel(key), now)

    def on_response(self, owner: Owner, response: Response, now: float) -> list[Step]:
        """Take a response to a request of ours."""
        if isinstance(owner, Exchange):
            leg = owner.to_leg
            leg.heard_at = now
            if leg.watch is not None and is_refresh(response):
                leg.watch.on_accepted(response, now)
            return self._follow(self._exchanges.on_response(owner, response), now)
        if isinstance(owner, Ask) and self._vigil is not None:
            owner.leg.heard_at = now if response.status not in GONE else owner.leg.heard_at
            return self._despair(self._vigil.on_response(owner, response, now), now)
        if response.status >= 200 and owner in self._byes:
            self._byes.remove(owner)
        return []

    def on_failure(self, owner: Owner, status: int, now: float) -> list[Step]:
        """No response will come."""
        if isinstance(owner, Exchange):
            return self._follow(self._exchanges.on_failure(owner, status), now)
        if isinstance(owner, Ask) and self._vigil is not None:
            return self._despair(self._vigil.on_failure(owner, status, now), now)
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
        """Ask for more talk time and signs of life, or end the call when there are none."""
        if self._is_over:
            return []
        if self._vigil is not None and self._vigil.deadline <= now:
            steps = self._despair(self._vigil.on_timer(now), now)
            if steps or self._is_over:
                return steps
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

    def _despair(self, steps: list[VigilStep], now: float) -> list[Step]:
        """Give a call up whose party is silent: it ended when that one was last heard."""
        followed: list[Step] = []
        for step in steps:
            if not isinstance(step, Lifeless):
                followed.append(step)
            elif not self._is_over:
                noticed_at = self._talk.end(now)
                side = "caller" if step.leg is self.caller else "callee"
                silent = side if step.reason is EndReason.SESSION_TIMEOUT else ""
                followed += self._close(q850_of_end(step.reason))
                ended_at = min(step.at, noticed_at)
                followed.append(
                    Over(step.reason, "server", ended_at, silent=silent, noticed_at=noticed_at)
                )
        return followed

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
    ingress: Ingress,
    caller: Leg,
    answered: Answered,
    plan: Plan,
    credit: Credit,
    now: float,
    *,
    has_media: bool,
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
        max_call_s=plan.max_call_s,
    )
    caller.heard_at = answered.leg.heard_at = now
    return Conversation(
        context,
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
