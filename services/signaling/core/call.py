"""One call: a pure machine joining the caller's leg with those of the vendors tried for it.

Inputs take ``now`` (monotonic seconds) and return commands, to be carried out in order. What
the outside answers comes back as an input, so that CANCEL is obeyed while a lookup is under way.
Inputs a state does not expect are ignored: the network is hostile, and answers come late.

Whatever becomes of it, a call emits exactly one ``CallEnded``, and later ``Finished``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Sequence
from typing import Self

from services.common.causes import EndReason
from services.common.sip_options.trunk import DEFAULT_CUSTOMER
from services.signaling.core.admission import admit, dialled, early_leg, offer_of
from services.signaling.core.answers import hang_up_answer
from services.signaling.core.attempt import Attempt
from services.signaling.core.closing import Over, given_back
from services.signaling.core.code_policy import known_reason
from services.signaling.core.commands import (
    AnswerMedia,
    Authorize,
    Command,
    Emit,
    FindRoutes,
    Finished,
    Keep,
    OfferMedia,
    Owner,
    Persist,
    ReleaseCredit,
    Request,
    Respond,
)
from services.signaling.core.context import Context
from services.signaling.core.conversation import Conversation
from services.signaling.core.conversation import Step as TalkStep
from services.signaling.core.early_requests import EarlyRequests, Hopeless
from services.signaling.core.early_requests import Step as EarlyStep
from services.signaling.core.headers import numbers
from services.signaling.core.hunting import Answered, Hunt, Lost, Progress
from services.signaling.core.ingress import Ingress
from services.signaling.core.ladder import Trace
from services.signaling.core.legs import CALLER
from services.signaling.core.offered_routes import Ruling
from services.signaling.core.pickup import Pickup, pick_up
from services.signaling.core.record import CallRecord, bounded, peer_text
from services.signaling.core.redirects import redirection
from services.signaling.core.refusing import refused
from services.signaling.core.route_finding import Asked, RouteFinding, TurnedDown
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.core.values import CallState, Credit, MediaAnswer, MediaStats, Plan
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import response_to
from services.signaling.sip.headers import readable
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import NEVER

SETTLE_S = 5.0
"""A record waits this long for the last word of a cancelled vendor."""

_MEDIA = (OfferMedia, AnswerMedia)
_CAN_PROGRESS = frozenset({CallState.DIALLING, CallState.RINGING})


class Call:
    """See the module docstring."""

    __slots__ = (
        "_context", "_conversation", "_credit", "_early", "_hunt", "_ingress", "_is_counted",
        "_is_finished", "_is_recorded", "_pickup", "_plan", "_record_by", "_routing", "_tags",
        "_wants_stats", "has_media", "invite_key", "record", "state", "timer", "trace",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        call_id: str,
        invite: Received,
        key: str,
        source: Peer,
        now: float,
        wall: dt.datetime,
    ) -> None:
        record = CallRecord(call_id, context.node, now, wall)
        record.source, record.sip_call_id = peer_text(source), bounded(invite.call_id)
        self._begin(context, record, key)
        self._ingress: Ingress | None = Ingress(invite, key, source, context)

    def _begin(self, context: Context, record: CallRecord, key: str) -> None:
        self._context = context
        self.state = CallState.ROUTING
        self.invite_key = key
        """The caller's INVITE transaction."""
        self.record = record
        self.timer: Hashable | None = None
        """The owner's to keep: when it has scheduled a wake-up, and what was said."""
        self.trace: Trace | None = None
        self._ingress = None
        self._plan: Plan | None = None
        self._credit: Credit | None = None
        self._routing = DEFAULT_CUSTOMER.routing
        self._hunt: RouteFinding | Hunt | None = None
        self._early: EarlyRequests | None = None
        self._pickup: Pickup | None = None
        self._conversation: Conversation | None = None
        self._tags: list[str] = []
        self._is_counted = self._is_recorded = self._is_finished = False
        self.has_media = self._wants_stats = False
        self._record_by = NEVER

    @classmethod
    def taken_over(
        cls, context: Context, record: CallRecord, conversation: Conversation, key: str
    ) -> Self:
        """An answered call of a process that died."""
        call = cls.__new__(cls)
        call._begin(context, record, key)
        call.state = CallState.ANSWERED
        call._conversation = conversation
        call._is_counted = True
        call.has_media = conversation.has_media
        call._own(conversation.caller.dialog.local_tag.partition("-")[0], CALLER)
        call._own(conversation.callee.dialog.local_tag, conversation.callee.name)
        return call

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due; infinity when no timer runs."""
        if self.state is CallState.ENDING:
            return self._record_by
        if self._conversation is not None:
            return self._conversation.deadline
        return NEVER if self._hunt is None else self._hunt.deadline

    def start(
        self, trunk: CustomerTrunk | None, now: float, veto: EndReason | None = None, *more: str
    ) -> list[Command]:
        """Admit the call of ``trunk``, if known; or refuse it, by ``veto`` of the switch."""
        assert self._ingress is not None
        invite, record = self._ingress.invite, self.record
        record.caller, record.called = (bounded(readable(text)) for text in numbers(invite))
        if trunk is None:
            return self.refuse(veto or EndReason.UNKNOWN_CUSTOMER, now, headers=more)
        record.customer_trunk_id, record.account_id = trunk.id, trunk.account_id
        self._ingress.belongs_to(trunk.policy)
        if veto is not None:
            return self.refuse(veto, now, headers=more)
        if (unmet := self._ingress.meet(trunk.sip)) is not None:
            status, headers = unmet
            return self.refuse(EndReason.UNSUPPORTED, now, status=status, headers=headers)
        if (unwanted := admit(self._context, trunk, self._ingress, now)) is not None:
            return self.refuse(unwanted, now)
        self._is_counted = True
        self._own(self._ingress.base_tag, CALLER)
        busy, self._routing = self._context.vendor_limits.full, trunk.sip.routing
        question = FindRoutes(trunk.id, *dialled(record, trunk, invite), busy)
        if not self._routing.server:
            return [Emit(record.started()), question]
        self._hunt = RouteFinding(self._context, record, trunk.sip, question)
        steps = self._hunt.start(offer_of(self._ingress), now)
        return [Emit(record.started()), *self._seek(steps, now)]

    def on_ruling(self, ruling: Ruling | None, now: float) -> list[Command]:
        """Take a routing server's answer over HTTP; ``None`` when there was none."""
        hunt = self._hunt
        return self._seek(hunt.on_ruling(ruling), now) if isinstance(hunt, RouteFinding) else []

    def _own(self, tag: str, leg: str) -> None:
        self._tags.append(tag)
        self._context.dialogs[tag] = (self, leg)

    def on_plan(self, plan: Plan | None, now: float) -> list[Command]:
        """Take routing's answer; ``None`` when there was none."""
        if self.state is not CallState.ROUTING:
            return []
        if plan is None:
            return self.refuse(EndReason.ROUTING_UNAVAILABLE, now)
        self.record.plan(plan)
        if plan.refused or not plan.candidates:
            return self.refuse(known_reason(plan.refused or EndReason.NO_ROUTE), now)
        if self._routing.answer_with_redirect:
            told = redirection(self._context, plan.candidates, now)
            return self.refuse(told.reason, now, status=told.status, headers=told.lines)
        self._plan = plan
        self.state = CallState.AUTHORIZING
        return [Authorize(plan.sell_terms)]

    def on_credit(self, credit: Credit | None, now: float) -> list[Command]:
        """Take rating's answer; ``None`` when there was none."""
        if self.state is not CallState.AUTHORIZING:
            # Cancelled meanwhile: what was reserved goes back.
            reserved = credit.reservation_id if credit is not None else ""
            return [ReleaseCredit(reserved)] if reserved else []
        if credit is None:
            return self.refuse(EndReason.RATING_UNAVAILABLE, now)
        if credit.refused:
            return self.refuse(known_reason(credit.refused), now)
        self._credit = credit
        self.record.reservation_id = credit.reservation_id
        self.state = CallState.DIALLING
        assert self._plan is not None
        assert self._ingress is not None
        offer = offer_of(self._ingress)
        self._hunt = Hunt(self._context, self.record, offer, self._plan.candidates)
        return self._seek(self._hunt.start(now), now)

    # --- the hunt -----------------------------------------------------------------------

    def _seek(self, steps: Sequence[EarlyStep | TurnedDown], now: float) -> list[Command]:
        """Carry out what the hunt wants, in its order."""
        commands = [] if self._early is None else self._early.leave(self._hunt)
        for step in steps:
            if isinstance(step, Progress):
                commands += self._on_progress(step, now)
            elif isinstance(step, Answered):
                commands += self._on_answered(step, now)
            elif isinstance(step, Lost):
                commands += self.refuse(step.reason, now, status=step.status, lost=step)
            elif isinstance(step, TurnedDown):
                commands += self.refuse(step.reason, now, status=step.status)
            elif isinstance(step, Hopeless):
                commands += self.hang_up(step.reason, now)
            else:
                self._note(step)
                commands.append(step)
        return commands

    def _note(self, step: Command) -> None:
        if isinstance(step, _MEDIA):
            self.has_media = True
        elif isinstance(step, Request) and isinstance(step.owner, Attempt):
            self._own(step.owner.tag, step.owner.name)

    def _on_progress(self, step: Progress, now: float) -> list[Command]:
        if self.state not in _CAN_PROGRESS or self._ingress is None:
            return []
        self.state = CallState.RINGING
        response, attempt, record = step.response, step.attempt, self.record
        reply = self._ingress.progress(attempt.number, response, step.sdp, attempt.policy)
        commands: list[Command] = (
            [] if reply is None else [Respond(self.invite_key, reply, CALLER)]
        )
        if record.ringing_at is None and (response.status == 180 or step.sdp):
            record.ringing_at = now
            commands.append(Emit(record.ringing(attempt.record, response.status, now)))
        return commands

    def _on_answered(self, step: Answered, now: float) -> list[Command]:
        if self.state not in _CAN_PROGRESS:
            return []
        self.state = CallState.ANSWERING
        record, ingress, plan = self.record, self._ingress, self._plan
        self._pickup = pickup = pick_up(
            self._context, record, ingress, step, plan, self._credit, now, has_media=self.has_media
        )
        return [Persist(record.answered(step.attempt.record), pickup.snapshot())]

    # --- the answer ---------------------------------------------------------------------

    def on_durable(self, now: float, *, durable: bool) -> list[Command]:
        """The answer is on disk, or could not be written."""
        if self.state is not CallState.ANSWERING:
            return []
        pickup = self._pickup
        assert pickup is not None
        if not durable:
            return self._take_back(pickup, EndReason.SPOOL_UNAVAILABLE, now)
        if pickup.ingress.holds_answer():
            return []
        self.state = CallState.ANSWERED
        self._conversation = pickup.conversation
        # What an established call does not need is not kept: there are tens of thousands.
        self._pickup = self._ingress = self._plan = self._credit = self._hunt = self._early = None
        return [Respond(self.invite_key, pickup.reply, CALLER)]

    def _take_back(
        self, pickup: Pickup, reason: EndReason, now: float, *, side: str = "server"
    ) -> list[Command]:
        """The vendor answered, but the caller will not hear of it: nobody talked."""
        self._pickup = None
        commands = pickup.put_down(self._context, self.record, reason, now)
        return [*commands, *self.refuse(reason, now, side=side)]

    # --- from the network ---------------------------------------------------------------

    def on_response(self, owner: Owner, response: Response, now: float) -> list[Command]:
        """Take a response to a request of ours."""
        if isinstance(owner, Asked):
            return self._seek(owner.finding.on_answer(owner, response, now), now)
        if not isinstance(owner, Attempt):
            if self._conversation is not None:
                return self._talk(self._conversation.on_response(owner, response, now), now)
            early = self._early
            steps = [] if early is None else early.on_response(owner, response, self._hunt, now)
            return self._seek(steps, now)
        if not isinstance(self._hunt, Hunt):
            # A vendor given up on answers after another one has.
            is_answer = 200 <= response.status < 300
            return [*hang_up_answer(self._context, owner, response)] if is_answer else []
        commands = self._seek(self._hunt.on_response(owner, response, now), now)
        return commands + self._try_record(now)

    def on_failure(self, owner: Owner, status: int, now: float) -> list[Command]:
        """No response will come: 408 after silence, 503 when it could not be sent."""
        if isinstance(owner, Asked):
            return self._seek(owner.finding.on_silence(owner, now), now)
        if not isinstance(owner, Attempt):
            if self._conversation is not None:
                return self._talk(self._conversation.on_failure(owner, status, now), now)
            early = self._early
            return self._seek([] if early is None else early.on_failure(owner, self._hunt), now)
        if not isinstance(self._hunt, Hunt):
            return []
        return self._seek(self._hunt.on_failure(owner, status, now), now) + self._try_record(now)

    def on_cancel(self, cancel: Received, key: str, now: float) -> list[Command]:
        """The caller cancelled; the CANCEL itself has been answered."""
        if key != self.invite_key:
            talk = self._conversation
            return [] if talk is None else self._talk(talk.on_cancel(key, now), now)
        return self._give_up(cancel, now)

    def _give_up(self, received: Received, now: float) -> list[Command]:
        if self._ingress is None or self.state is CallState.ENDING:
            return []
        commands: list[Command] = []
        if self._hunt is not None and self._pickup is None:
            commands += self._seek(self._hunt.stop(EndReason.CANCELLED, now, received), now)
        self.record.note_cause(received)
        if self._pickup is not None:
            return self._take_back(self._pickup, EndReason.CANCELLED, now, side="caller")
        return commands + self.refuse(EndReason.CANCELLED, now, side="caller")

    def on_request(self, received: Received, key: str, source: Peer, now: float) -> list[Command]:
        """Take a request that names a tag of ours."""
        if self._conversation is None:
            return self._on_early_request(received, key, source, now)
        return self._talk(self._conversation.on_request(received, key, source, now), now)

    def _on_early_request(
        self, received: Received, key: str, source: Peer, now: float
    ) -> list[Command]:
        """Before the answer there is little to ask inside a dialog."""
        ingress, pickup = self._ingress, self._pickup
        answered = None if pickup is None else pickup.answered
        name, peer = early_leg(received, source, ingress, self._hunt, answered)
        if not name or ingress is None:
            return [Respond(key, response_to(received, 481), CALLER)]
        if received.method != "BYE":
            early = self._early = self._early or EarlyRequests(self._context, ingress)
            steps = early.on_request(
                received, key, name, peer, self._hunt, now, is_answered=pickup is not None
            )
            commands = self._seek(steps, now)
            return commands + (self.on_durable(now, durable=True) if ingress.is_answer_due else [])
        done: list[Command] = [Respond(key, response_to(received, 200), name)]
        if name == CALLER:
            return done + self._give_up(received, now)  # section 15: may end an early dialog
        if pickup is None:
            return done
        pickup.answered.leg.is_over = True
        return done + self._take_back(pickup, EndReason.NO_ANSWER, now, side="callee")

    def on_ack(self, received: Received, key: str, now: float) -> list[Command]:
        """Take the ACK of a 2xx of ours."""
        talk = self._conversation
        return [] if talk is None else self._talk(talk.on_ack(received, key, now), now)

    def on_no_ack(self, key: str, now: float) -> list[Command]:
        """A 2xx of ours was never acknowledged."""
        talk = self._conversation
        return [] if talk is None else self._talk(talk.on_no_ack(key, now), now)

    # --- from our own services ----------------------------------------------------------

    def on_media(self, token: int, answer: MediaAnswer | None, now: float) -> list[Command]:
        """Take rewritten SDP; ``None`` when media did not answer."""
        if self._conversation is not None:
            return self._talk(self._conversation.on_media(token, answer, now), now)
        hunt, early = self._hunt, self._early
        if not isinstance(hunt, Hunt):
            return []
        if early is not None and early.owns(token):
            return self._seek(early.on_media(token, answer, hunt, now), now)
        return self._seek(hunt.on_media(token, answer, now), now)

    def on_rtp(self, attempt: int) -> None:
        """The vendor of ``attempt`` sends audio; told where an offer awaited it."""
        if isinstance(self._hunt, Hunt):
            self._hunt.on_rtp(attempt)

    def on_media_stats(self, stats: MediaStats | None, now: float) -> list[Command]:
        """Take what was relayed; ``None`` when media did not answer."""
        if not self._wants_stats:
            return []
        self._wants_stats = False
        if stats is not None:
            self.record.hear(stats.caller, stats.callee)
        return self._try_record(now)

    def on_extended(self, credit: Credit | None, now: float) -> list[Command]:
        """Take rating's answer to ``Extend``; ``None`` when there was none."""
        if (talk := self._conversation) is None:
            return []
        talk.on_extended(credit, now)
        self.record.reservation_id = talk.reservation_id
        return self._talk((), now)

    # --- the end ------------------------------------------------------------------------

    def on_timer(self, now: float) -> list[Command]:
        """Act on what is due at ``now``; does nothing when woken early."""
        if self.state is CallState.ENDING:
            return self._try_record(now)
        if self._conversation is not None:
            return self._talk(self._conversation.on_timer(now), now)
        return [] if self._hunt is None else self._seek(self._hunt.on_timer(now), now)

    def hang_up(self, reason: EndReason, now: float, *, side: str = "server") -> list[Command]:
        """End the call for a reason of ours: an operator, silence, a shutdown."""
        if self._conversation is not None:
            return self._talk(self._conversation.end(reason, now, side=side), now)
        if self.state is CallState.ENDING:
            return []
        if self._pickup is not None:
            return self._take_back(self._pickup, reason, now)
        stopped = [] if self._hunt is None else self._seek(self._hunt.stop(reason, now), now)
        return stopped + self.refuse(reason, now)

    def _talk(self, steps: Sequence[TalkStep], now: float) -> list[Command]:
        """Carry out what the conversation wants, in its order."""
        commands: list[Command] = []
        for step in steps:
            if isinstance(step, Over):
                commands += self._on_over(step, now)
            else:
                self._note(step)
                commands.append(step)
        if self._conversation is not None and self._conversation.has_changed():
            commands.append(Keep(self._conversation.snapshot()))
        return commands + self._try_finish()

    def _on_over(self, over: Over, now: float) -> list[Command]:
        record = self.record
        if over.bye is not None:
            record.note_cause(over.bye)
        record.end(over.reason, over.at, side=over.side)
        record.doubt(over.silent, over.noticed_at)
        self._context.vendor_limits.give_back(record.answered_on.candidate.vendor_trunk_id)
        return self._close(now)

    def refuse(
        self,
        reason: EndReason,
        now: float,
        *,
        status: int = 0,
        lost: Lost | None = None,
        headers: Sequence[str] = (),
        side: str = "server",
    ) -> list[Command]:
        """Give the INVITE a final response that is no success, at any time before the answer."""
        assert self._ingress is not None
        reply = refused(
            self._ingress, self.record, reason, now,
            status=status, lost=lost, headers=headers, side=side,
        )  # fmt: skip
        return [Respond(self.invite_key, reply, CALLER), *self._close(now)]

    def _close(self, now: float) -> list[Command]:
        """Give back what the call holds, and write its record as soon as it is complete."""
        self.state = CallState.ENDING
        if self._is_counted:
            self._is_counted = False
            self._context.customer_limits.give_back(self.record.customer_trunk_id)
        self._wants_stats, self._record_by = self.has_media, now + SETTLE_S
        return [*given_back(self.record, has_media=self.has_media), *self._try_record(now)]

    def _try_record(self, now: float) -> list[Command]:
        if self._is_recorded or self.state is not CallState.ENDING:
            return []
        is_settled = self._hunt is None or self._hunt.is_settled
        if now < self._record_by and (self._wants_stats or not is_settled):
            return []
        self._is_recorded, self._record_by = True, NEVER
        return [Emit(self.record.ended()), *self._try_finish()]

    def _try_finish(self) -> list[Command]:
        is_talking = self._conversation is not None and not self._conversation.is_settled
        if self._is_finished or not self._is_recorded or is_talking:
            return []
        self._is_finished = True
        for tag in self._tags:
            self._context.dialogs.pop(tag, None)
        return [Finished()]
