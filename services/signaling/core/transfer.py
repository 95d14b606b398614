"""Transfers by REFER: a leg stays, a new call takes the place of the transferor's.

The new call is one of the transferor's customer trunk, like any other: routed, authorized, limited
and recorded for itself. It begins with an INVITE from the transferred call to ourselves, over a
transport that exists in this process only. That way the two calls are joined by plain SIP: what
is asked inside one, and its end, reach the other like any party's.

The INVITE has no offer. That of the transfer target goes to the transferee in a re-INVITE, whose
answer goes into our ACK (RFC 3725 section 4.1). Until then nothing of the old call changes; if it
comes to nothing after the transferee has moved, he is brought back (:mod:`.restoring`).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Cancel,
    Command,
    OfferMedia,
    Owner,
    Request,
)
from services.signaling.core.context import ALLOW, Context
from services.signaling.core.exchanges import Broken, Exchanges
from services.signaling.core.headers import address
from services.signaling.core.legs import Leg, session
from services.signaling.core.logins import CHALLENGES
from services.signaling.core.loop import LOOP, Onward, holder
from services.signaling.core.record import CallRecord
from services.signaling.core.restoring import Restored, Restoring
from services.signaling.core.restoring import Step as ReturnStep
from services.signaling.core.values import MediaAnswer
from services.signaling.sip.build import Reply, RequestDraft, request, response_to
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response
from services.signaling.sip.refer import Target, notify_lines, refer_to, sipfrag

NEVER = float("inf")
NAME: Final = "A2"
"""Of the leg that takes the transferor's place."""
BUSY_S = 0.5
"""Between looks whether the parties have finished an offer and answer of their own."""
MOST_LOOKS = 20


class Joined(NamedTuple):
    """The transferee talks to the target: ``leg`` has taken the transferor's place."""

    leg: Leg


class Fallen(NamedTuple):
    """Nothing has come of it; the old call is as it was."""


Step = Command | Joined | Fallen | Broken


def judge(context: Context, record: CallRecord, refer: Received) -> Target | Reply:
    """Whom a transferor's REFER means, or how it is refused."""
    trunk = context.trunks.customer(record.customer_trunk_id)
    if trunk is None or trunk.sip.transfer.mode != "honour":
        return refused(refer)
    try:
        target = refer_to(refer)
    except MalformedMessage as error:
        return response_to(refer, 400, error.reason)
    if target.method != "INVITE":
        return response_to(refer, 603)
    return target if target.number or target.replaces else response_to(refer, 484)


def why_not_replace(context: Context, record: CallRecord, replaced: Leg, invite: Received) -> int:
    """The status that keeps an INVITE to ourselves from taking a leg over; 0 for none.

    Call-ID and both tags have to be exactly those of the leg, and the call the same account's.
    """
    onward, dialog = context.transfers.get(invite.call_id), replaced.dialog
    named = None if onward is None else onward.replaces
    if onward is None or named is None or onward.account_id != record.account_id:
        return 481
    if named[:3] != (dialog.call_id, dialog.local_tag, dialog.remote_tag):
        return 481
    if replaced.is_over:
        return 603
    return 486 if named.early_only else 0


def refused(refer: Received) -> Reply:
    """The answer to a REFER of who may not transfer calls (RFC 3515 section 2.4.2)."""
    return response_to(refer, 405, headers=(ALLOW,))


class State(Enum):
    """How far a transfer has got."""

    CALLING = auto()
    """The target is called."""
    WAITING = auto()
    """It has answered; the transferee is busy with another offer."""
    OFFERING = auto()
    """Its offer is being rewritten for the transferee."""
    ASKING = auto()
    """The transferee has been sent it."""
    ANSWERING = auto()
    """His answer is being rewritten."""
    RESTORING = auto()
    """It has failed; the transferee is brought back."""
    OVER = auto()


class Transfer(Owner):
    """One transfer under way; the owner of its INVITE."""

    __slots__ = (
        "_answer", "_context", "_event_id", "_exchanges", "_leg", "_looks", "_notified", "_number",
        "_offer", "deadline", "draft", "name", "rejoin", "state", "tag", "token", "transferee",
        "transferor",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        exchanges: Exchanges,
        transferor: Leg,
        transferee: Leg,
        *,
        event_id: int,
        tag: str,
    ) -> None:
        super().__init__()
        self.transferor = transferor
        self.transferee = transferee
        self.rejoin: Owner | Restoring = Owner()
        """Of the re-INVITE to the transferee, the last one."""
        self.name = NAME
        self.tag = tag
        """Ours, on the leg to the target."""
        self.state = State.CALLING
        self.deadline = NEVER
        self.token = 0
        """Of the rewriting under way; 0 for none."""
        self.draft: RequestDraft | None = None
        self._context = context
        self._exchanges = exchanges
        self._event_id = event_id
        self._leg: Leg | None = None
        self._offer = b""
        self._number = self._looks = 0
        self._notified = 0

    @property
    def is_under_way(self) -> bool:
        """Whether it is still to be seen what comes of it."""
        return self.state is not State.OVER

    # --- inputs -------------------------------------------------------------------------

    def start(self, onward: Onward, call_id: str, caller: str, called: str) -> list[Command]:
        """Call the target: the INVITE to ourselves is found again by ``call_id``."""
        context = self._context
        if onward.replaces is not None and holder(context, onward.replaces) is None:
            return self._end(481)
        context.transfers[call_id] = onward
        withheld = (f"Privacy: {onward.privacy}",) if onward.privacy else ()
        self.draft = request(
            "INVITE",
            address(called, context.advertised)[1:-1],
            from_=f"{address(caller, context.advertised)};tag={self.tag}",
            to=address(called, context.advertised),
            call_id=call_id,
            cseq=1,
            headers=(context.contact(LOOP), ALLOW, *withheld),
        )
        return [*self._notify(100), Request(self, self.draft, LOOP, self.name)]

    def on_response(self, owner: Owner, response: Response, now: float) -> list[Step]:
        """Take a response of the target or of the transferee."""
        if isinstance(owner, Restoring):
            return self._return(owner.on_response(response, now))
        if owner is self.rejoin:
            return self._on_rejoined(response, now)
        status = response.status
        if self.state is not State.CALLING:
            if self.state is not State.OVER or not 200 <= status < 300:
                return []
            self._leg = self._answered(response)  # it crossed our CANCEL
            return [*self._let_go()]
        if status < 200:
            return [*self._notify(status)] if status > 100 else []
        self._forget()
        if status >= 300:
            return self._fall(status)
        self._leg = self._answered(response)
        self._offer = session(response)
        if not self._offer:
            return [*self._let_go(), *self._fall(488)]
        return self._ask(now)

    def on_failure(self, owner: Owner, status: int, now: float) -> list[Step]:
        """No response will come."""
        del now
        if isinstance(owner, Restoring):
            return self._return(owner.on_failure(status))
        if owner is self.rejoin:
            return self._on_not_rejoined(status)
        self._forget()
        return self._fall(status) if self.state is State.CALLING else []

    def on_media(self, answer: MediaAnswer | None, now: float) -> list[Step]:
        """Take rewritten SDP; ``None`` when media did not answer."""
        if isinstance(self.rejoin, Restoring):
            return self._return(self.rejoin.on_media(answer))
        self.token = 0
        sdp = b"" if answer is None or answer.error else answer.sdp
        if self.state is State.OFFERING:
            return self._reinvite(sdp) if sdp else self._on_not_rejoined(488)
        if self.state is State.ANSWERING:
            return self._join(sdp, now) if sdp else self._on_moved_in_vain(now)
        return []

    def on_timer(self, now: float) -> list[Step]:
        """Look again whether the transferee can be asked."""
        if isinstance(self.rejoin, Restoring):
            steps = self.rejoin.on_timer(now)
            if steps:
                self._exchanges.reserve(self.transferee, self.rejoin, now)
            return self._return(steps)
        if now < self.deadline or self.state is not State.WAITING:
            return []
        return self._ask(now)

    def stop(self) -> list[Command]:
        """The old call ends meanwhile."""
        if self.state is State.OVER:
            return []
        commands: list[Command] = []
        if isinstance(self.rejoin, Restoring):
            self.rejoin.stop()
        elif self.state is State.CALLING:
            commands.append(Cancel(self.key, self.name))
        else:
            commands += self._let_go()
        return commands + self._end(487)

    # --- one step after the other -------------------------------------------------------

    def _ask(self, now: float) -> list[Step]:
        if self._exchanges.offer is not None:
            self._looks += 1
            if self._looks > MOST_LOOKS:
                return self._on_not_rejoined(491)
            self.state, self.deadline = State.WAITING, now + BUSY_S
            return []
        self._exchanges.reserve(self.transferee, self.rejoin, now)
        self.deadline = NEVER
        if not self._exchanges.media_proxy:
            return self._reinvite(self._offer)
        self.state = State.OFFERING
        self.token = next(self._context.tokens)
        return [OfferMedia(self.token, True, self._offer, "", self.transferee.attempt)]

    def _reinvite(self, sdp: bytes) -> list[Step]:
        leg = self.transferee
        self.state = State.ASKING
        draft = leg.request(self._context, "INVITE", body=sdp)
        if leg.login is not None:
            self.rejoin.draft = draft
        return [self._send(draft)]

    def _send(self, draft: RequestDraft) -> Command:
        leg = self.transferee
        self._number = draft.cseq
        return Request(self.rejoin, draft, leg.target(self._context), leg.name)

    def _on_rejoined(self, response: Response, now: float) -> list[Step]:
        if response.status < 200 or self.state is State.OVER:
            # Too late: the call is over, but a 2xx is acknowledged all the same.
            return [self._acknowledge_transferee()] if 200 <= response.status < 300 else []
        if response.status in CHALLENGES:
            again = self.transferee.again(self.rejoin, response)
            if again is not None:
                return [self._send(again)]
        if response.status >= 300:
            status = 408 if self._exchanges.has_given_up else response.status
            return self._on_not_rejoined(status)
        self.transferee.dialog.on_response(response)
        steps: list[Step] = [self._acknowledge_transferee()]
        answer = session(response)
        if not answer:
            return [*steps, *self._on_moved_in_vain(now)]
        if not self._exchanges.media_proxy:
            return [*steps, *self._join(answer, now)]
        self.state = State.ANSWERING
        self.token = next(self._context.tokens)
        leg = self.transferee
        ask = AnswerMedia(self.token, False, answer, leg.peer.host, leg.attempt, provisional=False)
        return [*steps, ask]

    def _join(self, sdp: bytes, now: float) -> list[Step]:
        leg = self._leg
        assert leg is not None
        leg.heard_at = now
        self._exchanges.release()
        return [self._acknowledge(leg, sdp), *self._end(200), Joined(leg)]

    def _on_not_rejoined(self, status: int) -> list[Step]:
        if self.state is State.OVER:
            return []
        self._exchanges.release()
        return [*self._let_go(), *self._fall(status)]

    def _on_moved_in_vain(self, now: float) -> list[Step]:
        """The transferee has taken the target's offer, and what he answered is of no use."""
        media_proxy = self._exchanges.media_proxy
        back = Restoring(self._context, self.transferee, self.transferor, media_proxy=media_proxy)
        if self.transferor.is_over or not back.is_possible:
            return self._on_not_rejoined(488)
        steps: list[Step] = [*self._let_go(), *self._notify(488)]
        self.rejoin, self.state = back, State.RESTORING
        self._exchanges.reserve(self.transferee, back, now)
        return [*steps, *self._return(back.start())]

    def _return(self, steps: list[ReturnStep]) -> list[Step]:
        """Follow the way back: its token and its time are ours."""
        back = self.rejoin
        assert isinstance(back, Restoring)
        self.token, self.deadline = back.token, back.deadline
        followed: list[Step] = []
        for step in steps:
            if isinstance(step, (Restored, Broken)):
                self._exchanges.release()
                followed += self._end(488)
            followed.append(Fallen() if isinstance(step, Restored) else step)
        return followed

    def _fall(self, status: int) -> list[Step]:
        return [*self._end(status), Fallen()]

    def _answered(self, response: Response) -> Leg:
        assert self.draft is not None
        dialog = Dialog.from_response(self.draft, response)
        return Leg(NAME, dialog, LOOP, attempt=self.transferee.attempt)

    # --- messages -----------------------------------------------------------------------

    def _acknowledge(self, leg: Leg, sdp: bytes) -> Command:
        ack = leg.dialog.ack(1, body=sdp)
        return Acknowledge(self.key, leg.dialog.remote_tag, ack, LOOP, NAME)

    def _acknowledge_transferee(self) -> Command:
        leg = self.transferee
        ack = leg.ack(self._number)
        target = leg.target(self._context)
        return Acknowledge(self.rejoin.key, leg.dialog.remote_tag, ack, target, leg.name)

    def _let_go(self) -> list[Command]:
        """ACK and BYE for a target that has answered in vain."""
        leg = self._leg
        if leg is None:
            return []
        bye = leg.request(self._context, "BYE")
        return [self._acknowledge(leg, b""), Request(Owner(), bye, LOOP, NAME)]

    def _end(self, status: int) -> list[Command]:
        self.state, self.deadline, self.token = State.OVER, NEVER, 0
        self._forget()
        return self._notify(status)

    def _notify(self, status: int) -> list[Command]:
        """Tell the transferor; he may have hung up, his subscription has not (RFC 5057)."""
        if status == self._notified or self._notified >= 200:
            return []
        self._notified = status
        leg = self.transferor
        lines = [*notify_lines(self._event_id, is_last=status >= 200)]
        lines.append(leg.contact(self._context))
        draft = leg.request(
            self._context,
            "NOTIFY",
            headers=lines,
            body=sipfrag(status),
            content_type="message/sipfrag;version=2.0",
        )
        return [Request(Owner(), draft, leg.target(self._context), leg.name)]

    def _forget(self) -> None:
        if self.draft is not None:
            self._context.transfers.pop(self.draft.call_id, None)
