"""An answered call: two dialogs, what is asked inside them, how long they last, how they end.

Tells its call one thing among its commands: :class:`Over`.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.common.causes import EndReason
from services.signaling.core.admission import prack_reply
from services.signaling.core.closing import Bye, Over
from services.signaling.core.commands import Command, Extend, Owner, Request, Respond
from services.signaling.core.context import Context
from services.signaling.core.exchanges import Broken, Exchange, Exchanges
from services.signaling.core.exchanges import Step as ExchangeStep
from services.signaling.core.extensions import required_in_dialog
from services.signaling.core.headers import q850_received
from services.signaling.core.hunting import Answered
from services.signaling.core.legs import Leg, closing_lines, options_reply, session
from services.signaling.core.logins import CHALLENGES
from services.signaling.core.loop import LOOP, Onward
from services.signaling.core.record import CallRecord, q850_of_end
from services.signaling.core.snapshot import CallSnapshot, taken_of
from services.signaling.core.talk_time import TalkTime
from services.signaling.core.transfer import (
    NAME,
    Fallen,
    Joined,
    Transfer,
    judge,
    refused,
    why_not_replace,
)
from services.signaling.core.transfer import Step as TransferStep
from services.signaling.core.values import Credit, MediaAnswer
from services.signaling.core.vigil import GONE, Ask, Lifeless, Vigil, is_refresh
from services.signaling.core.vigil import Step as VigilStep
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import Reply, response_to
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response
from services.signaling.sip.refer import Target

Step = Command | Over


class Conversation:
    """See the module docstring."""

    __slots__ = (
        "_byes", "_context", "_departed", "_entering", "_exchanges", "_invite_key", "_is_over",
        "_is_taken_over", "_kept", "_record", "_talk", "_transfer", "_transfers", "_vigil",
        "callee", "caller", "has_media", "reservation_id", "sell_terms",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        record: CallRecord,
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
        self._record = record
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
        self._kept = (0, talk.paid_ms, caller, callee)
        self._transfer: Transfer | None = None
        """The last one asked for."""
        self._transfers = 0
        self._departed: Leg | None = None
        """The party whose place another one has taken."""
        self._entering: tuple[str, Leg] | None = None
        """Who is about to take the caller's place, by the INVITE that asks for it."""

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        if self._is_over:
            return float("inf")
        deadline = self._talk.deadline
        offer = self._exchanges.offer
        if offer is not None and offer.deadline < deadline:
            deadline = offer.deadline
        if self._vigil is not None:
            deadline = min(deadline, self._vigil.deadline)
        if self._transfer is not None:
            deadline = min(deadline, self._transfer.deadline)
        return deadline

    @property
    def is_settled(self) -> bool:
        """Whether it is over and no BYE of ours waits for anything."""
        return self._is_over and not self._byes

    def has_changed(self) -> bool:
        """Whether a snapshot now would differ from the last one in what matters."""
        state = (self._exchanges.agreed, self._talk.paid_ms, self.caller, self.callee)
        before, self._kept = self._kept, state
        return state != before and not self._is_over

    def snapshot(self, *, answered: Answered | None = None, answer: bytes = b"") -> CallSnapshot:
        """The call as it is; with the 200 to the caller while that is on its way."""
        return taken_of(
            self._record, self.caller, self.callee, self._talk, self._invite_key,
            has_media=self.has_media, answered=answered, answer=answer,
        )  # fmt: skip

    # --- inputs -------------------------------------------------------------------------

    def on_request(self, received: Received, key: str, source: Peer, now: float) -> list[Step]:
        """Take a request that names a tag of ours, or an INVITE that replaces the caller."""
        tag = received.to_tag
        if not tag and source == LOOP:
            return self._on_replacing(received, key, now)
        leg = self.caller if tag == self.caller.dialog.local_tag else self.callee
        if tag != leg.dialog.local_tag or not leg.accepts(received, source):
            return [self._on_departed(received, key, leg.name, source)]
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
        if other.is_over:
            # A transferor has hung up, and nobody has taken his place yet.
            reply = response_to(received, 500, headers=("Retry-After: 1",))
            return [Respond(key, reply, leg.name)]
        return self._follow(self._exchanges.on_request(received, key, leg, other, now), now)

    def _on_own_request(
        self, received: Received, key: str, leg: Leg, now: float
    ) -> list[Step] | None:
        """Answer what ends at this leg; ``None`` for what goes on to the other."""
        method = received.method
        if method == "OPTIONS":
            return [Respond(key, options_reply(received, ""), leg.name)]
        if method == "PRACK":
            return [Respond(key, prack_reply(received), leg.name)]
        if method == "REFER":
            return self._on_refer(received, key, leg)
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
        offer, entering = self._exchanges.offer, self._entering
        if offer is None or offer.server_key != key:
            return []
        if entering is not None and entering[0] == key:
            return self._on_entered(received, entering[1], now)
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
        if 100 < response.status < 200:
            self._exchanges.on_progress(owner, now)
        if isinstance(owner, Exchange):
            leg = owner.to_leg
            leg.heard_at = now
            if leg.watch is not None and is_refresh(response):
                leg.watch.on_accepted(response, now)
            return self._follow(self._exchanges.on_response(owner, response, now), now)
        if self._is_transferring(owner):
            assert self._transfer is not None
            return self._relocate(self._transfer.on_response(owner, response, now), now)
        if isinstance(owner, Ask) and self._vigil is not None:
            owner.leg.heard_at = now if response.status not in GONE else owner.leg.heard_at
            return self._despair(self._vigil.on_response(owner, response, now), now)
        if response.status >= 200 and owner in self._byes:
            if isinstance(owner, Bye) and response.status in CHALLENGES:
                draft = owner.leg.again(owner, response)
                if draft is not None:
                    return [Request(owner, draft, owner.leg.target(self._context), owner.leg.name)]
            self._byes.remove(owner)
        return []

    def on_failure(self, owner: Owner, status: int, now: float) -> list[Step]:
        """No response will come."""
        if isinstance(owner, Exchange):
            return self._follow(self._exchanges.on_failure(owner, status), now)
        if self._is_transferring(owner):
            assert self._transfer is not None
            return self._relocate(self._transfer.on_failure(owner, status, now), now)
        if isinstance(owner, Ask) and self._vigil is not None:
            return self._despair(self._vigil.on_failure(owner, status, now), now)
        if owner in self._byes:
            self._byes.remove(owner)
        return []

    def on_media(self, token: int, answer: MediaAnswer | None, now: float) -> list[Step]:
        """Take rewritten SDP."""
        if self._is_over:
            return []
        if self._transfer is not None and token and token == self._transfer.token:
            return self._relocate(self._transfer.on_media(answer, now), now)
        return self._follow(self._exchanges.on_media(token, answer, now), now)

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
        if self._transfer is not None and self._transfer.deadline <= now:
            return self._relocate(self._transfer.on_timer(now), now)
        if given_up := self._exchanges.on_timer(now):
            return self._follow(given_up, now)
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

    # --- transfers ----------------------------------------------------------------------

    def _on_refer(self, received: Received, key: str, leg: Leg) -> list[Step]:
        record, context = self._record, self._context
        target: Target | Reply = refused(received)
        if leg is self.caller:
            target = judge(context, record, received)
        if isinstance(target, Target) and (self._is_moving or not leg.is_acknowledged):
            target = response_to(received, 491)
        if not isinstance(target, Target):
            return [Respond(key, target, leg.name)]
        self._transfers += 1
        base = leg.dialog.local_tag.partition("-")[0]
        self._transfer = transfer = Transfer(
            context,
            self._exchanges,
            leg,
            self.callee,
            event_id=received.cseq.number,
            tag=f"{base}-t{self._transfers}",
        )
        onward = Onward.of(record, target.replaces)
        call_id = f"{record.call_id}.{self._transfers}@transfer"
        accepted = response_to(received, 202, headers=(leg.contact(context),))
        return [
            Respond(key, accepted, leg.name),
            *transfer.start(onward, call_id, record.caller_billed or record.caller, target.number),
        ]

    @property
    def _is_moving(self) -> bool:
        """Whether somebody is about to take the caller's place."""
        transfer = self._transfer
        return self._entering is not None or (transfer is not None and transfer.is_under_way)

    def _is_transferring(self, owner: Owner) -> bool:
        transfer = self._transfer
        return transfer is not None and (owner is transfer or owner is transfer.rejoin)

    def _on_replacing(self, received: Received, key: str, now: float) -> list[Step]:
        """Let another call of the same customer in (RFC 3891 section 3)."""
        dialog = self.caller.dialog
        status = why_not_replace(self._context, self._record, self.caller, received)
        if not status and (self._is_moving or self._exchanges.offer is not None):
            status = 491
        if status or self._is_over:
            tag = self._context.new_tag()
            return [Respond(key, response_to(received, status or 603, to_tag=tag), NAME)]
        self._transfers += 1
        base = dialog.local_tag.partition("-")[0]
        entering = Dialog.from_request(received, f"{base}-r{self._transfers}")
        leg = Leg(NAME, entering, LOOP, attempt=self.callee.attempt)
        leg.heard_at = now
        self._entering = (key, leg)
        steps = self._exchanges.on_request(received, key, leg, self.callee, now)
        return self._follow(steps, now)

    def _on_entered(self, ack: Received, leg: Leg, now: float) -> list[Step]:
        """The other call took what the callee offered, or his party would not have it."""
        self._entering = None
        if session(ack):
            return [*self._follow(self._exchanges.on_ack(ack), now), *self._take_place(leg)]
        self._departed = leg
        steps = self._follow(self._exchanges.on_ack(ack, instead=self.callee.session), now)
        return [*steps, *self._stay(now)]

    def _on_entering(self, key: str, leg: Leg, answer: Respond, now: float) -> list[Step]:
        """The callee has answered whether he lets somebody in."""
        if answer.key != key or answer.reply.status < 200:
            return []
        if answer.reply.status < 300:
            leg.dialog.confirm()
            return []
        self._entering = None
        return self._stay(now)

    def _stay(self, now: float) -> list[Step]:
        """Nobody has taken the caller's place: the call is as it was, or over if he has gone."""
        if not self.caller.is_over or self._is_over:
            return []
        return [*self._close(16), Over(EndReason.NORMAL, "caller", self._talk.end(now))]

    def _relocate(self, steps: Sequence[TransferStep], now: float) -> list[Step]:
        followed: list[Step] = []
        for step in steps:
            if isinstance(step, Joined):
                followed += self._take_place(step.leg)
            elif isinstance(step, Fallen):
                followed += self._stay(now)
            else:
                followed += self._follow([step], now)
        return followed

    def _take_place(self, leg: Leg) -> list[Step]:
        """From now on ``leg`` is the caller's."""
        self._departed, self.caller = self.caller, leg
        if self._vigil is not None:
            self._vigil.legs = [leg, self.callee]
        return [] if self._departed.is_over else [self._bye(self._departed, [])]

    def _on_departed(self, received: Received, key: str, name: str, source: Peer) -> Step:
        """Answer who is no party any more, or never was one; ``name`` is the nearest leg's."""
        leg, status = self._departed, 481
        if leg is not None and leg.dialog.matches(received) and leg.accepts(received, source):
            name, status = leg.name, 200 if received.method == "BYE" else 481
        return Respond(key, response_to(received, status), name)

    # --- the end ------------------------------------------------------------------------

    def _on_bye(self, received: Received, key: str, leg: Leg, now: float) -> list[Step]:
        # Whatever its CSeq: nobody can be kept in a call.
        steps: list[Step] = [Respond(key, response_to(received, 200), leg.name)]
        leg.is_over = True
        if leg is self.caller:
            self._byes = [owner for owner in self._byes if owner is not None]
        if self._is_over or (leg is self.caller and self._is_moving):
            return steps
        side = "caller" if leg is self.caller else "callee"
        steps += self._close(q850_received(received) or 16, received, leg)
        return [*steps, Over(EndReason.NORMAL, side, self._talk.end(now), received)]

    def _close(
        self, cause: int, received: Received | None = None, source: Leg | None = None
    ) -> list[Step]:
        self._is_over = True
        steps: list[Step] = [] if self._transfer is None else [*self._transfer.stop()]
        if self._entering is not None and self._entering[1].dialog.is_confirmed:
            steps.append(self._bye(self._entering[1], []))
        self._entering = None
        steps += self._exchanges.close()
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
        owner: Owner = Owner() if leg.login is None else Bye(leg)
        self._byes.append(owner)
        draft = leg.request(self._context, "BYE", headers=headers)
        if leg.login is not None:
            owner.draft = draft
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
                if self._entering is not None and isinstance(step, Respond):
                    followed += self._on_entering(*self._entering, step, now)
        return followed
