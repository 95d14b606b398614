"""Requests inside a call, passed from one leg to the other and answered end to end.

At most one offer and answer (re-INVITE or UPDATE) is under way at a time, RFC 3261 section 14 and
RFC 3311: others meet 491, from either side. A refused one leaves the call as it was. What
carries no session (INFO, MESSAGE) passes beside it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from services.common.causes import EndReason
from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Cancel,
    Command,
    OfferMedia,
    Owner,
    Request,
    Respond,
)
from services.signaling.core.context import ALLOW, Context
from services.signaling.core.header_policy import passing
from services.signaling.core.headers import (
    IN_DIALOG_PASSES,
    RESPONSE_PASSES,
    body_type,
    passed_lines,
)
from services.signaling.core.legs import Leg, session
from services.signaling.core.logins import CHALLENGES
from services.signaling.core.values import MediaAnswer
from services.signaling.sip.build import Reply, response_to
from services.signaling.sip.message import Message, Response
from services.signaling.sip.message import Request as Received

MOST_AT_ONCE = 16
"""Requests without session passed on and not answered yet, per call."""
NEVER = float("inf")
RETRY_AFTER = "Retry-After: 1"
"""Seconds; RFC 3261 section 14.2 asks for 0 to 10, chosen at random by who has several peers."""

_OFFERING = frozenset({"INVITE", "UPDATE"})
_GONE = frozenset({408, 481})
"""Statuses that say the other end has no such dialog (section 12.2.1.2)."""


class Broken(NamedTuple):
    """The call cannot go on."""

    reason: EndReason
    leg: Leg
    """The side it broke on."""


Step = Command | Broken


class State(Enum):
    """Where one request is on its way."""

    OFFERING = auto()
    """Its SDP is being rewritten."""
    SENT = auto()
    ANSWERING = auto()
    """The SDP of the answer to it is being rewritten."""
    ANSWERED = auto()
    """Its 2xx was passed back and is not acknowledged."""
    CLOSING = auto()
    """The SDP of its ACK is being rewritten."""


class Exchange(Owner):
    """One request on its way."""

    __slots__ = (
        "deadline", "from_leg", "has_given_up", "inviter", "is_late", "number", "received",
        "response", "said", "sent", "server_key", "state", "to_leg", "token",
    )  # fmt: skip

    def __init__(
        self, received: Received | None, server_key: str, from_leg: Leg, to_leg: Leg
    ) -> None:
        super().__init__()
        self.received = received
        self.server_key = server_key
        self.from_leg = from_leg
        self.to_leg = to_leg
        self.state = State.SENT
        self.deadline = NEVER
        """When its INVITE is cancelled for want of a final response: timer C."""
        self.has_given_up = False
        """Whether it was."""
        self.inviter: Owner | None = None
        """Who has sent that INVITE, if not this exchange."""
        self.is_late = False
        """Whether the answer travels in the ACK, the request having brought no offer."""
        self.number = 0
        """CSeq of the copy, for its ACK."""
        self.token = 0
        self.sent = b""
        """SDP of the copy."""
        self.said: tuple[Leg, bytes] | None = None
        """What a party said here whose words are kept once they are agreed on."""
        self.response: Response | None = None


class Exchanges:
    """All exchanges of one answered call."""

    __slots__ = ("_context", "_is_early", "_others", "agreed", "media_proxy", "offer")

    def __init__(self, context: Context, *, media_proxy: bool, is_early: bool = False) -> None:
        self._context = context
        self._is_early = is_early
        self.media_proxy = media_proxy
        """Whether SDP passes through media."""
        self.agreed = 0
        """Offers accepted so far: dialogs and session are other than before."""
        self._others: list[Exchange] = []
        self.offer: Exchange | None = None
        """The offer and answer under way."""

    def begin(
        self, server_key: str, caller: Leg, callee: Leg, *, key: str, number: int, is_late: bool
    ) -> None:
        """The call was answered with a 200 that waits for its ACK.

        With ``is_late`` that ACK brings the answer, for the callee's 2xx to our INVITE ``key``,
        whose CSeq is ``number``.
        """
        first = Exchange(None, server_key, caller, callee)
        first.key, first.is_late, first.number, first.state = key, is_late, number, State.ANSWERED
        self.offer = first

    def settle(self, server_key: str) -> None:
        """Wait no longer for the ACK of the 2xx under ``server_key``."""
        if self.offer is not None and self.offer.server_key == server_key:
            self.offer = None

    def reserve(self, leg: Leg, inviter: Owner, now: float) -> None:
        """A re-INVITE of ours is under way on ``leg``: offers meet 491 meanwhile."""
        self.offer = Exchange(None, "", leg, leg)
        self.offer.state = State.ANSWERED
        self.offer.inviter, self.offer.deadline = inviter, now + self._context.reinvite_s

    def release(self) -> None:
        """That re-INVITE has its final response."""
        if self.offer is not None and self.offer.from_leg is self.offer.to_leg:
            self.offer = None

    @property
    def has_given_up(self) -> bool:
        """Whether the INVITE under way has been cancelled for want of a final response."""
        return self.offer is not None and self.offer.has_given_up

    # --- time (RFC 3261 sections 16.6 and 16.8, timer C) ---------------------------------

    def on_progress(self, owner: Owner, now: float) -> None:
        """An INVITE has drawn a provisional response above 100: it may take as long again."""
        exchange = self.offer
        if exchange is None or owner is not (exchange.inviter or exchange):
            return
        if exchange.deadline != NEVER:
            exchange.deadline = now + self._context.reinvite_s

    def on_timer(self, now: float) -> list[Step]:
        """Cancel an INVITE that draws no final response.

        What ends it is passed back: 408 for its 487, or the 2xx that crossed our CANCEL.
        """
        exchange = self.offer
        if exchange is None or now < exchange.deadline:
            return []
        exchange.deadline, exchange.has_given_up = NEVER, True
        return [Cancel((exchange.inviter or exchange).key, exchange.to_leg.name)]

    # --- inputs -------------------------------------------------------------------------

    def on_request(
        self, received: Received, server_key: str, from_leg: Leg, to_leg: Leg, now: float
    ) -> list[Step]:
        """Pass a request on. Its CSeq was checked, and it is no ACK, BYE or CANCEL."""
        hops = received.max_forwards
        if hops == 0:
            return [_refuse(received, server_key, from_leg, 483)]
        if received.method not in _OFFERING:
            return self._pass_beside(received, server_key, from_leg, to_leg, now)
        if self.offer is not None:
            return [self._glare(received, server_key, from_leg)]
        exchange = Exchange(received, server_key, from_leg, to_leg)
        self.offer = exchange
        sdp = session(received)
        exchange.is_late = received.method == "INVITE" and not sdp
        if sdp and self.media_proxy:
            exchange.state = State.OFFERING
            return [self._offer_media(exchange, from_leg, sdp)]
        return [self._forward(exchange, sdp, now)]

    def on_response(self, exchange: Exchange, response: Response, now: float) -> list[Step]:
        """Pass a response back."""
        if response.status < 200 or exchange.received is None:
            return []
        exchange.deadline = NEVER
        again = self._prove(exchange, response, now)
        if again is not None:
            return [again]
        if exchange in self._others:
            return self._answer_beside(exchange, response)
        if exchange is not self.offer or exchange.state is not State.SENT:
            return []
        exchange.to_leg.dialog.on_response(response)
        if response.status >= 300:
            return self._on_refused(exchange, response)
        return self._on_accepted(exchange, response)

    def on_failure(self, exchange: Exchange, status: int) -> list[Step]:
        """No response will come: the dialog on that side is dead (section 12.2.1.2)."""
        if exchange in self._others:
            self._others.remove(exchange)
            assert exchange.received is not None
            return [_refuse(exchange.received, exchange.server_key, exchange.from_leg, status)]
        if exchange is not self.offer or exchange.received is None:
            return []
        self.offer = None
        refusal = _refuse(exchange.received, exchange.server_key, exchange.from_leg, status)
        return [refusal, Broken(EndReason.REJECTED, exchange.to_leg)]

    def on_cancel(self, server_key: str) -> list[Step]:
        """The offer under way was cancelled by who made it."""
        exchange = self.offer
        if exchange is None or exchange.server_key != server_key:
            return []
        if exchange.state is State.SENT:
            exchange.deadline = NEVER
            return [Cancel(exchange.key, exchange.to_leg.name)]  # its 487 will be passed back
        if exchange.state is not State.OFFERING or exchange.received is None:
            return []
        self.offer = None
        return [_refuse(exchange.received, server_key, exchange.from_leg, 487)]

    def on_media(self, token: int, answer: MediaAnswer | None, now: float) -> list[Step]:
        """Take rewritten SDP; ``None`` when media did not answer."""
        exchange = self.offer
        if exchange is None or not token or exchange.token != token:
            return []
        exchange.token = 0
        sdp = b"" if answer is None or answer.error else answer.sdp
        match exchange.state:
            case State.OFFERING if sdp:
                exchange.state = State.SENT
                return [self._forward(exchange, sdp, now)]
            case State.OFFERING:
                assert exchange.received is not None
                self.offer = None
                status = 500 if answer is None else 488
                return [_refuse(exchange.received, exchange.server_key, exchange.from_leg, status)]
            case State.ANSWERING if sdp:
                return [self._pass_back(exchange, sdp)]
            case State.ANSWERING:
                return self._on_answer_unusable(exchange, answer)
            case _:
                self.offer = None
                _agree(exchange)
                steps: list[Step] = [self._acknowledge(exchange, sdp)]
                return steps if sdp else [*steps, Broken(_why(answer), exchange.from_leg)]

    def on_ack(self, received: Received, *, instead: bytes = b"") -> list[Step]:
        """Take the ACK of the 2xx passed back last; ``instead`` goes on if it has no answer."""
        exchange = self.offer
        if exchange is None or exchange.state is not State.ANSWERED:
            return []
        if not exchange.is_late:
            self.offer = None
            return []
        sdp = session(received)
        if not sdp and instead:
            self.offer = None
            return [self._acknowledge(exchange, instead)]
        if not sdp:
            # "the answer MUST be in the ACK" (section 13.2.1): there is no session now.
            self.offer = None
            return [
                self._acknowledge(exchange, b""),
                Broken(EndReason.CODEC_MISMATCH, exchange.from_leg),
            ]
        if not self.media_proxy:
            self.offer = None
            return [self._acknowledge(exchange, sdp)]
        exchange.state = State.CLOSING
        return [self._answer_media(exchange, exchange.from_leg, sdp)]

    def close(self, status: int = 487) -> list[Command]:
        """Answer what waits with ``status``, acknowledge what was accepted: the call ends."""
        commands: list[Command] = []
        exchange, self.offer = self.offer, None
        if exchange is not None:
            if exchange.is_late and exchange.state in {
                State.ANSWERED,
                State.CLOSING,
                State.ANSWERING,
            }:
                commands.append(self._acknowledge(exchange, b""))
            is_invite = exchange.deadline != NEVER or exchange.has_given_up
            if is_invite and (exchange.state is State.SENT or exchange.inviter is not None):
                # A re-INVITE that rings for ever would otherwise outlive its call.
                key = (exchange.inviter or exchange).key
                commands.append(Cancel(key, exchange.to_leg.name))
            if exchange.state not in {State.ANSWERED, State.CLOSING}:
                self._others.append(exchange)
        commands += [
            _refuse(waiting.received, waiting.server_key, waiting.from_leg, status)
            for waiting in self._others
            if waiting.received is not None
        ]
        self._others.clear()
        return commands

    # --- one step at a time -------------------------------------------------------------

    def _pass_beside(
        self, received: Received, server_key: str, from_leg: Leg, to_leg: Leg, now: float
    ) -> list[Step]:
        if len(self._others) >= MOST_AT_ONCE:
            return [_refuse(received, server_key, from_leg, 500, RETRY_AFTER)]
        exchange = Exchange(received, server_key, from_leg, to_leg)
        self._others.append(exchange)
        return [self._forward(exchange, received.body, now)]

    def _glare(self, received: Received, server_key: str, from_leg: Leg) -> Step:
        assert self.offer is not None
        if self.offer.from_leg is from_leg and self.offer.state is not State.ANSWERED:
            # A second one "before it sends the final response to a first" (section 14.2)
            return _refuse(received, server_key, from_leg, 500, RETRY_AFTER)
        return _refuse(received, server_key, from_leg, 491)

    def _forward(self, exchange: Exchange, body: bytes, now: float) -> Request:
        received, leg = exchange.received, exchange.to_leg
        assert received is not None
        hops = received.max_forwards
        draft = leg.request(
            self._context,
            received.method,
            headers=_passed(received, IN_DIALOG_PASSES, leg, exchange.from_leg),
            body=body,
            content_type=body_type(received),
            max_forwards=70 if hops is None else min(hops, 70) - 1,
        )
        exchange.number = draft.cseq
        exchange.sent = body
        if draft.method == "INVITE":
            exchange.deadline = now + self._context.reinvite_s
        if leg.login is not None:
            exchange.draft = draft
        return Request(exchange, draft, leg.target(self._context), leg.name)

    def _prove(self, exchange: Exchange, response: Response, now: float) -> Request | None:
        """The request once more with our credentials, where its receiver asks for them."""
        leg = exchange.to_leg
        if exchange.draft is None or response.status not in CHALLENGES:
            return None
        draft = leg.again(exchange, response)
        if draft is None:
            return None
        exchange.number = draft.cseq
        if draft.method == "INVITE":
            exchange.deadline = now + self._context.reinvite_s
        return Request(exchange, draft, leg.target(self._context), leg.name)

    def _on_accepted(self, exchange: Exchange, response: Response) -> list[Step]:
        sdp = session(response)
        exchange.response = response
        exchange.to_leg.keep_session(exchange.sent)
        steps: list[Step] = []
        assert exchange.received is not None
        if exchange.received.method == "INVITE":
            exchange.is_late = exchange.is_late and bool(sdp)
            if not exchange.is_late:
                steps.append(self._acknowledge(exchange, b""))
        if not sdp or not self.media_proxy:
            return [*steps, self._pass_back(exchange, sdp)]
        exchange.state = State.ANSWERING
        ask = self._offer_media if exchange.is_late else self._answer_media
        return [*steps, ask(exchange, exchange.to_leg, sdp)]

    def _pass_back(self, exchange: Exchange, sdp: bytes) -> Respond:
        received, response, leg = exchange.received, exchange.response, exchange.from_leg
        assert received is not None
        assert response is not None
        lines = _passed(response, RESPONSE_PASSES, leg, exchange.to_leg)
        lines += (leg.contact(self._context), ALLOW)
        if leg.watch is not None:
            lines += leg.watch.granted_lines(received, leg.heard_at)
        tag = leg.dialog.local_tag  # which an INVITE that takes the leg over does not have yet
        reply = response_to(received, response.status, to_tag=tag, headers=lines, body=sdp)
        leg.keep_session(sdp)
        _agree(exchange)
        exchange.received = exchange.response = None
        exchange.state = State.ANSWERED
        self.agreed += 1
        if received.method != "INVITE":
            self.offer = None
        return Respond(exchange.server_key, reply, leg.name)

    def _on_refused(self, exchange: Exchange, response: Response) -> list[Step]:
        self.offer = None
        status = response.status
        # A challenge is for us, and we have nothing more to answer it with.
        passed = 488 if status in CHALLENGES or status < 400 else status
        if exchange.has_given_up and status == 487:
            passed = 408
        received, leg = exchange.received, exchange.from_leg
        assert received is not None
        headers = _passed(response, RESPONSE_PASSES, leg, exchange.to_leg)
        reply = response_to(received, passed, headers=headers)
        steps: list[Step] = [Respond(exchange.server_key, reply, leg.name)]
        if status in _GONE:
            steps.append(Broken(EndReason.REJECTED, exchange.to_leg))
        return steps

    def _on_answer_unusable(self, exchange: Exchange, answer: MediaAnswer | None) -> list[Step]:
        # The far side has changed its session already, the near side cannot follow.
        assert exchange.received is not None
        self.offer = None
        steps: list[Step] = []
        if exchange.is_late:
            steps.append(self._acknowledge(exchange, b""))
        status = 500 if answer is None else 488
        steps.append(_refuse(exchange.received, exchange.server_key, exchange.from_leg, status))
        return [*steps, Broken(_why(answer), exchange.to_leg)]

    def _answer_beside(self, exchange: Exchange, response: Response) -> list[Step]:
        self._others.remove(exchange)
        assert exchange.received is not None
        reply = response_to(
            exchange.received,
            response.status,
            headers=_passed(response, RESPONSE_PASSES, exchange.from_leg, exchange.to_leg),
            body=response.body,
            content_type=body_type(response),
        )
        steps: list[Step] = [Respond(exchange.server_key, reply, exchange.from_leg.name)]
        if response.status in _GONE:
            steps.append(Broken(EndReason.REJECTED, exchange.to_leg))
        return steps

    def _acknowledge(self, exchange: Exchange, sdp: bytes) -> Acknowledge:
        leg = exchange.to_leg
        leg.keep_session(sdp)
        draft = leg.ack(exchange.number, sdp)
        target = leg.target(self._context)
        return Acknowledge(exchange.key, leg.dialog.remote_tag, draft, target, leg.name)

    def _offer_media(self, exchange: Exchange, leg: Leg, sdp: bytes) -> OfferMedia:
        exchange.token = next(self._context.tokens)
        _note(exchange, leg, sdp)
        other = exchange.to_leg if leg is exchange.from_leg else exchange.from_leg
        return OfferMedia(
            exchange.token, leg.is_caller, sdp, leg.peer.host, leg.attempt, other.peer.host
        )

    def _answer_media(self, exchange: Exchange, leg: Leg, sdp: bytes) -> AnswerMedia:
        exchange.token = next(self._context.tokens)
        _note(exchange, leg, sdp)
        return AnswerMedia(
            exchange.token, leg.is_caller, sdp, leg.peer.host, leg.attempt, self._is_early
        )


def _note(exchange: Exchange, leg: Leg, sdp: bytes) -> None:
    if leg.said is not None:
        exchange.said = (leg, sdp)


def _agree(exchange: Exchange) -> None:
    if exchange.said is not None:
        leg, sdp = exchange.said
        leg.said = sdp


def _passed(message: Message, usual: tuple[str, ...], to: Leg, source: Leg) -> list[str]:
    """The lines that pass from one leg to the other."""
    if to.policy.headers is None and source.policy.headers is None:
        return passed_lines(message, usual)
    return passing(message, usual, to.policy.headers, source.policy.headers)


def _why(answer: MediaAnswer | None) -> EndReason:
    return EndReason.MEDIA_UNAVAILABLE if answer is None else EndReason.CODEC_MISMATCH


def _refuse(received: Received, server_key: str, leg: Leg, status: int, *headers: str) -> Respond:
    reply: Reply = response_to(received, status, headers=headers)
    return Respond(server_key, reply, leg.name)
