"""The hunt for a vendor: one egress INVITE after the other until one answers or none is left.

Tells its call three things, among its commands: :class:`Progress`, :class:`Answered` and
:class:`Lost`. An INVITE that was given up on keeps being looked after until its last response,
so that a 2xx which crossed our CANCEL is acknowledged and hung up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.common.causes import SIP_OF_REASON, EndReason, reason_of_status
from services.signaling.core.answers import acknowledge, answered_leg, hang_up_answer, prove
from services.signaling.core.attempt import Attempt, State
from services.signaling.core.code_policy import known_reason, status_out, verdict
from services.signaling.core.commands import (
    AnswerMedia,
    Cancel,
    Command,
    ForgetMedia,
    OfferMedia,
    Request,
)
from services.signaling.core.context import ALLOW, Context
from services.signaling.core.early_dialogs import ReliableDialogs, offered_early
from services.signaling.core.early_media import binds
from services.signaling.core.extensions import asked_for, asks_again
from services.signaling.core.headers import address, reason_header
from services.signaling.core.itinerary import Itinerary, Skip, Stop
from services.signaling.core.legs import Leg, closing_lines, session
from services.signaling.core.outgoing import Offer, bracketed, outgoing, request_uri
from services.signaling.core.record import (
    AttemptRecord,
    CallRecord,
    bounded,
    peer_text,
    q850_of_end,
)
from services.signaling.core.trunk_policy import USUAL_VENDOR, VendorPolicy
from services.signaling.core.values import Candidate, MediaAnswer
from services.signaling.sip.build import request
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response
from services.signaling.sip.reliable import is_reliable
from services.signaling.sip.session_timer import min_se
from services.signaling.sip.transaction.timers import NEVER


class Progress(NamedTuple):
    """A vendor rings or plays early media; ``sdp`` is ready to be passed back."""

    attempt: Attempt
    response: Response
    sdp: bytes


class Answered(NamedTuple):
    """A vendor answered; ``leg`` is its dialog.

    With ``is_offer`` its 2xx awaits our ACK, because the caller's answer has to go into it.
    """

    attempt: Attempt
    response: Response
    leg: Leg
    sdp: bytes
    is_offer: bool


class Lost(NamedTuple):
    """There is no vendor left to try, or none that would do better."""

    reason: EndReason
    status: int
    """For the caller."""
    response: Response | None = None
    taken_for: int = 0
    """What the vendor's refusal counts as; 0 when he had not the last word."""
    source: VendorPolicy = USUAL_VENDOR
    """His policy."""


Step = Command | Progress | Answered | Lost


class Hunt:
    """See the module docstring."""

    def __init__(
        self, context: Context, record: CallRecord, offer: Offer, candidates: Sequence[Candidate]
    ) -> None:
        self._context = context
        self._record = record
        self._offer = offer
        self._itinerary = Itinerary(context, candidates, record)
        self._abandoned: set[Attempt] = set()
        self.current: Attempt | None = None
        setup_s = offer.customer.setup_s
        self._until = record.invited_at + setup_s if setup_s else NEVER

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        return NEVER if self.current is None else min(self.current.deadline, self._until)

    @property
    def is_settled(self) -> bool:
        """Whether no INVITE of ours waits for its final response any more."""
        return not self._abandoned

    # --- inputs -------------------------------------------------------------------------

    def start(self, now: float) -> list[Step]:
        """Try the first vendor."""
        return self._advance(EndReason.NO_ROUTE, now)

    def on_media(self, token: int, answer: MediaAnswer | None, now: float) -> list[Step]:
        """Take rewritten SDP; ``None`` when media did not answer."""
        attempt = self.current
        if attempt is None or not token or attempt.token != token:
            return []
        attempt.token = 0
        if answer is None or answer.error:
            return self._on_media_refused(attempt, answer, now)
        if attempt.state is State.OFFERING:
            return self._dial(attempt, answer.sdp, now)
        if attempt.dialogs is not None and attempt.dialogs.answer:
            return self._prack(attempt, attempt.dialogs, answer.sdp)
        response = attempt.responses.popleft()
        return [*self._pass(attempt, response, answer.sdp), *self._drain(attempt)]

    def on_rtp(self, number: int) -> None:
        """The vendor of this attempt sends audio, which was to be told: it is the last one."""
        if self.current is not None and self.current.number == number:
            self._itinerary.clear()

    def on_response(self, attempt: Attempt, response: Response, now: float) -> list[Step]:
        """Take a response to the INVITE of ``attempt``."""
        status = response.status
        if attempt.state is State.CALLING:
            if status >= 300:
                again = prove(self._context, attempt, response)
                return [*again] or self._on_refused(attempt, response, now)
            self._note_life(attempt, status, now)
            return self._on_life(attempt, response) if status > 100 else []
        if 200 <= status < 300:
            self._abandoned.discard(attempt)
            return [*hang_up_answer(self._context, attempt, response)]
        if status >= 300 and attempt.state is State.ABANDONED:
            self._abandoned.discard(attempt)
            attempt.state = State.OVER
            attempt.record.sip_code = attempt.record.sip_code or status
            if attempt.record is self._record.attempts[-1]:
                self._record.sip_code_in = status
        return []

    def _on_life(self, attempt: Attempt, response: Response) -> list[Step]:
        steps: list[Step] = []
        if attempt.dialogs is not None and is_reliable(response):
            pracks = attempt.dialogs.acknowledge(self._context, attempt, response)
            if pracks is None:
                return []
            steps += pracks
        attempt.responses.append(response)
        return steps if attempt.token else [*steps, *self._drain(attempt)]

    @property
    def has_answer(self) -> bool:
        """Whether a 2xx has come that the caller is not told of yet."""
        attempt = self.current
        return attempt is not None and any(each.status >= 200 for each in attempt.responses)

    def expects_answer(self, number: int, remote_tag: str) -> bool:
        """Whether a vendor waits for the caller's answer to his offer in a reliable response.

        The vendor is that of attempt ``number``, the dialog that of his ``remote_tag``.
        """
        attempt = self.current
        if attempt is None or attempt.number != number or attempt.dialogs is None:
            return False
        return attempt.state is State.CALLING and attempt.dialogs.is_offering(remote_tag)

    def on_answer(self, sdp: bytes) -> list[Step]:
        """Pass that answer on: it travels in our PRACK (RFC 3262 section 5)."""
        attempt = self.current
        assert attempt is not None
        dialogs = attempt.dialogs
        assert dialogs is not None
        if attempt.token or dialogs.answer:
            return []  # another fork has been answered for good
        dialogs.answer = sdp
        if not attempt.candidate.media_proxy:
            return self._prack(attempt, dialogs, sdp)
        return [self._ask_answer(attempt, sdp, from_caller=True, provisional=True)]

    def resume(self) -> list[Step]:
        """Go on with a 2xx that had to wait for the end of an offer in its dialog."""
        attempt = self.current
        return [] if attempt is None or attempt.token else self._drain(attempt)

    def on_failure(self, attempt: Attempt, status: int, now: float) -> list[Step]:
        """No response will come: 408 for silence, 503 when it could not be sent."""
        if attempt.state is State.ABANDONED:
            self._abandoned.discard(attempt)
            attempt.state = State.OVER
            return []
        if attempt.state is not State.CALLING:
            return []
        reason = EndReason.VENDOR_TIMEOUT if status == 408 else EndReason.VENDOR_UNREACHABLE
        self._close(attempt, reason, now)
        return [*self._forget(attempt), *self._advance(reason, now)]

    def on_timer(self, now: float) -> list[Step]:
        """Give up on a vendor that says nothing, or that rings for too long."""
        attempt = self.current
        if attempt is None or now < self.deadline:
            return []
        if now >= self._until:
            status = SIP_OF_REASON[EndReason.SETUP_TIMEOUT]
            given_up = self.stop(EndReason.SETUP_TIMEOUT, now)
            return [*given_up, Lost(EndReason.SETUP_TIMEOUT, status)]
        reason = EndReason.VENDOR_TIMEOUT
        if attempt.is_alive:
            reason = EndReason.RINGING_TIMEOUT
            self._itinerary.leave()
        return [*self._abandon(attempt, reason, now), *self._advance(reason, now)]

    def stop(self, reason: EndReason, now: float, received: Received | None = None) -> list[Step]:
        """The caller cancelled with ``received``, or the call ends for a reason of ours."""
        self._itinerary.clear()
        attempt = self.current
        if attempt is None:
            return []
        return self._abandon(attempt, reason, now, received)

    # --- one attempt after the other ----------------------------------------------------

    def _advance(self, reason: EndReason, now: float) -> list[Step]:
        self.current = None
        while (place := self._itinerary.next(now)) is not None:
            candidate = place.candidate
            record = AttemptRecord(candidate, now)
            self._record.attempts.append(record)
            if isinstance(place, Skip):
                record.end_reason, record.ended_at = place.reason, now
                # A vendor that was asked says more about the call than one that was not.
                reason = place.reason if reason is EndReason.NO_ROUTE else reason
                continue
            record.target = peer_text(place.peer)
            policy = self._context.trunks.vendor_policy(candidate.vendor_trunk_id)
            number = len(self._record.attempts)
            attempt = Attempt(number, candidate, record, place.peer, place.sip, policy)
            self.current = attempt
            if not (candidate.media_proxy and self._offer.sdp):
                return self._dial(attempt, self._offer.sdp, now)
            return [self._ask_offer(attempt, self._offer.sdp, from_caller=True)]
        return [Lost(reason, status_out(reason, self._record.sip_code_in))]

    def _dial(self, attempt: Attempt, sdp: bytes, now: float) -> list[Step]:
        context, candidate, offer = self._context, attempt.candidate, self._offer
        before, way = attempt.draft, candidate.way
        if before is None:
            attempt.tag = context.new_tag()
        is_reliable_wanted = bool(sdp) or offer.takes_offers
        if attempt.sip.reliable.mode != "off" and is_reliable_wanted:
            attempt.dialogs = ReliableDialogs(is_late=not sdp)
        if attempt.policy.is_usual and not offer.is_special:
            uri, headers = request_uri(candidate), offer.headers
            from_ = address(candidate.caller, context.host(attempt.peer))
            to = address(candidate.called, bracketed(candidate.host))
        else:
            uri, from_, to, headers = outgoing(
                candidate, attempt.policy, offer, context.host(attempt.peer)
            )
        asked = asked_for(attempt.sip, is_reliable=is_reliable_wanted, min_se_s=attempt.min_se_s)
        draft = request(
            "INVITE",
            uri if way is None else way.uri,
            from_=f"{from_};tag={attempt.tag}",
            to=to,
            call_id=context.new_call_id() if before is None else before.call_id,
            cseq=1 if before is None else before.cseq + 1,
            max_forwards=offer.max_forwards,
            route=() if way is None else way.route,
            headers=(
                context.contact(attempt.peer), ALLOW, *context.agent, *asked, *headers,
            ),
            body=sdp,
        )  # fmt: skip
        if attempt.login is not None:
            draft = attempt.login.sign(draft)
        attempt.draft, attempt.state = draft, State.CALLING
        attempt.record.sip_call_id = draft.call_id
        attempt.started_at = now
        attempt.deadline = now + candidate.trying_timeout_ms / 1000
        return [Request(attempt, draft, attempt.peer, attempt.name)]

    def _note_life(self, attempt: Attempt, status: int, now: float) -> None:
        if status < 200:
            candidate, progress_ms = attempt.candidate, attempt.sip.timeouts.progress_ms
            if status > 100 and attempt.record.ringing_at is None:
                attempt.record.ringing_at = now
            attempt.is_alive = attempt.record.ringing_at is not None or not progress_ms
            patience_ms = candidate.ringing_timeout_ms if attempt.is_alive else progress_ms
            attempt.deadline = attempt.started_at + patience_ms / 1000
        else:
            attempt.deadline = self._until = NEVER
            attempt.answered_at = now

    def _drain(self, attempt: Attempt) -> list[Step]:
        """Pass responses on in order, until one needs its SDP rewritten."""
        steps: list[Step] = []
        while attempt.responses and not attempt.token and attempt.state is State.CALLING:
            response, dialogs = attempt.responses[0], attempt.dialogs
            if dialogs is not None and response.status >= 200:
                tag = response.to_tag
                if dialogs.is_busy(tag):
                    break
                agreed = dialogs.agreed_last.get(tag)
                if agreed is not None and attempt.candidate.media_proxy:
                    # Media is to know that this answer is the last before the call is answered.
                    steps.append(
                        self._ask_answer(attempt, agreed.sdp, from_caller=agreed.from_caller)
                    )
                    break
            sdp = self._session(attempt, response)
            if sdp and attempt.candidate.media_proxy:
                is_provisional = response.status < 200
                steps.append(
                    self._ask_answer(attempt, sdp, from_caller=False, provisional=is_provisional)
                    if self._offer.sdp
                    else self._ask_offer(attempt, sdp, from_caller=False)
                )
                break
            attempt.responses.popleft()
            steps += self._pass(attempt, response, sdp)
        return steps

    def _session(self, attempt: Attempt, response: Response) -> bytes:
        sdp, dialogs = session(response), attempt.dialogs
        if dialogs is not None and response.to_tag in dialogs.agreed_last:
            return b""  # what was agreed before the answer holds, whatever is said here
        if response.status >= 200:
            return sdp or attempt.early.get(response.to_tag, b"")
        if not self._offer.sdp:
            return offered_early(attempt, response, sdp)
        if sdp and len(attempt.early) < 16:
            attempt.early[response.to_tag] = sdp
        return sdp

    def _pass(self, attempt: Attempt, response: Response, sdp: bytes) -> list[Step]:
        if response.status < 200:
            if binds(self._offer.customer.early_media, response.status, sdp):
                self._itinerary.clear()
            return [Progress(attempt, response, sdp)]
        dialogs = attempt.dialogs
        if dialogs is not None and response.to_tag in dialogs.agreed_last:
            sdp = b""
        leg = answered_leg(attempt, response)
        attempt.state = State.ANSWERED
        self._itinerary.clear()
        is_offer = bool(sdp) and not self._offer.sdp
        answered = Answered(attempt, response, leg, sdp, is_offer)
        steps: list[Step] = [] if is_offer else [acknowledge(attempt, leg, self._context)]
        if attempt.responses:
            steps += self._hang_up_waiting(attempt)
        steps.append(answered)
        return steps

    def _hang_up_waiting(self, attempt: Attempt) -> list[Step]:
        """ACK and BYE for every 2xx that was not looked at yet: one may have come of each fork."""
        steps: list[Step] = []
        for response in attempt.responses:
            if response.status >= 200:
                steps += hang_up_answer(self._context, attempt, response)
        attempt.responses.clear()
        return steps

    def _prack(self, attempt: Attempt, dialogs: ReliableDialogs, sdp: bytes) -> list[Step]:
        return [dialogs.give_answer(self._context, sdp), *self._drain(attempt)]

    # --- failures -----------------------------------------------------------------------

    def _on_refused(self, attempt: Attempt, response: Response, now: float) -> list[Step]:
        record, judged = attempt.record, verdict(attempt.policy.codes, attempt.candidate, response)
        record.sip_code = self._record.sip_code_in = response.status
        record.q850 = judged.cause
        record.reason_header = bounded(reason_header(response))
        self._record.q850_in = record.q850
        self._record.reason_header = record.reason_header
        status = judged.status
        if response.status == 422 and asks_again(attempt.sip, attempt.min_se_s):
            # The session interval this vendor bears is another one (RFC 4028 section 7.4).
            attempt.min_se_s = min_se(response)
            assert attempt.draft is not None
            return self._dial(attempt, attempt.draft.body, now)
        reason = reason_of_status(status)
        if judged.stops:
            self._itinerary.clear()
        elif self._itinerary.on_refused(
            Stop(attempt.candidate, attempt.peer, attempt.sip), response, now
        ):
            reason = EndReason.REDIRECTED
        self._close(attempt, reason, now)
        steps = self._forget(attempt)
        if self._itinerary.is_over:
            self.current = None
            told = status_out(reason, status)
            return [*steps, Lost(reason, told, response, status, attempt.policy)]
        return [*steps, *self._advance(reason, now)]

    def _on_media_refused(
        self, attempt: Attempt, answer: MediaAnswer | None, now: float
    ) -> list[Step]:
        reason = EndReason.MEDIA_UNAVAILABLE
        if answer is not None:
            reason = known_reason(answer.error)
        if attempt.state is State.OFFERING:
            # The caller's SDP or our ports are the problem: no vendor can help.
            self._close(attempt, reason, now)
            self.current = None
            return [Lost(reason, SIP_OF_REASON[reason])]
        is_answer = attempt.dialogs is not None and bool(attempt.dialogs.answer)
        if is_answer or (attempt.responses[0].status < 200 and not self._offer.sdp):
            # An offer in a provisional response cannot go on, or the answer to it.
            return [*self._abandon(attempt, reason, now), Lost(reason, SIP_OF_REASON[reason])]
        response = attempt.responses.popleft()
        if response.status < 200:
            return [*self._pass(attempt, response, b""), *self._drain(attempt)]
        self._close(attempt, reason, now)
        self.current = None
        return [
            *hang_up_answer(self._context, attempt, response),
            *self._hang_up_waiting(attempt),
            Lost(reason, SIP_OF_REASON[reason]),
        ]

    def _abandon(
        self, attempt: Attempt, reason: EndReason, now: float, received: Received | None = None
    ) -> list[Step]:
        was_sent = attempt.state is State.CALLING
        has_answered = any(response.status >= 200 for response in attempt.responses)
        self._close(attempt, reason, now)
        self.current = None
        if not was_sent:
            return []
        if has_answered:
            # Its 2xx is here already, only its SDP was still being rewritten.
            return self._hang_up_waiting(attempt)
        attempt.state = State.ABANDONED
        self._abandoned.add(attempt)
        cause = q850_of_end(reason) if attempt.policy.reason == "inject" else 0
        headers = closing_lines(attempt.policy, self._offer.customer, received, cause)
        return [Cancel(attempt.key, attempt.name, tuple(headers)), *self._forget(attempt)]

    def _close(self, attempt: Attempt, reason: EndReason, now: float) -> None:
        attempt.state, attempt.deadline, attempt.token = State.OVER, NEVER, 0
        attempt.record.ended_at = now
        attempt.record.end_reason = reason
        self._context.vendor_limits.give_back(attempt.candidate.vendor_trunk_id)

    def _forget(self, attempt: Attempt) -> list[Step]:
        is_known = bool(self._offer.sdp) or attempt.dialogs is not None
        if attempt.candidate.media_proxy and is_known:
            return [ForgetMedia(attempt.number)]
        return []

    def _ask_offer(self, attempt: Attempt, sdp: bytes, *, from_caller: bool) -> Step:
        attempt.token = next(self._context.tokens)
        hosts = (self._offer.source_host, attempt.peer.host)
        host, target = hosts if from_caller else hosts[::-1]
        awaits_rtp = attempt.sip.early_media.stop_hunting_after_rtp
        return OfferMedia(
            attempt.token, from_caller, sdp, host, attempt.number, target, awaits_rtp
        )

    def _ask_answer(
        self, attempt: Attempt, sdp: bytes, *, from_caller: bool, provisional: bool = False
    ) -> Step:
        attempt.token = next(self._context.tokens)
        host = self._offer.source_host if from_caller else attempt.peer.host
        return AnswerMedia(attempt.token, from_caller, sdp, host, attempt.number, provisional)
