"""INVITE client transaction: RFC 3261 section 17.1.1, as updated by RFC 6026."""

from __future__ import annotations

from collections.abc import Iterable

from services.signaling.sip.actions import Action, DeliverResponse, Fail, Peer, Send
from services.signaling.sip.build import ack_for, cancel_for
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.invite_usage import UacAnswers
from services.signaling.sip.message import UNLIMITED, Request, Response, parse
from services.signaling.sip.transaction.states import (
    ACCEPTED,
    CALLING,
    COMPLETED,
    PROCEEDING,
    TERMINATED,
    State,
)
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues


class InviteClientTransaction:
    """One INVITE, from its first transmission to the last retransmission it may receive.

    Keeps the bytes of the INVITE only; the few who need an ACK or CANCEL of it pay for
    parsing them. Cancelling is part of it, because a CANCEL must wait for a provisional
    response (section 9.1).
    """

    __slots__ = (
        "_ack",
        "_answers",
        "_interval",
        "_timers",
        "_wire",
        "armed_at",
        "cancel_headers",
        "expires_at",
        "is_cancelled",
        "key",
        "peer",
        "retransmit_at",
        "state",
    )

    def __init__(
        self, wire: bytes, key: str, peer: Peer, timers: TimerValues = RFC3261_TIMERS
    ) -> None:
        self.state: State = CALLING
        self.key = key
        self.peer = peer
        self.retransmit_at = NEVER
        self.expires_at = NEVER
        self.armed_at = NEVER
        """When the owner has scheduled a wake-up; the owner's to keep."""
        self.is_cancelled = False
        self.cancel_headers: tuple[str, ...] | None = None
        """Set while a CANCEL is held back."""
        self._wire = wire
        self._ack = b""
        self._answers: UacAnswers | None = None
        self._timers = timers
        self._interval = timers.t1

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        retransmit_at, expires_at = self.retransmit_at, self.expires_at
        return retransmit_at if retransmit_at < expires_at else expires_at

    def start(self, now: float) -> list[Action]:
        """Send the INVITE for the first time."""
        self.expires_at = now + self._timers.timeout  # timer B
        if not self.peer.reliable:
            self.retransmit_at = now + self._interval  # timer A
        return [Send(self._wire, self.peer, self.key)]

    def on_response(self, response: Response, now: float) -> list[Action]:
        """Take a response that matched this transaction (section 17.1.3)."""
        state = self.state
        if state is CALLING or state is PROCEEDING:
            if response.status < 200:
                return self._proceed(response)
            if response.status < 300:
                return self._accept(response, now)
            return self._complete(response, now)
        if state is ACCEPTED and 200 <= response.status < 300:
            assert self._answers is not None
            return self._answers.on_answer(response, self.key)
        if state is COMPLETED and response.status >= 300:
            return [Send(self._ack, self.peer, self.key)]
        return []

    def on_timer(self, now: float) -> list[Action]:
        """Act on the timers due at ``now``."""
        if self.expires_at <= now:
            # Timer B, or 64*T1 after a CANCEL nobody obeyed (section 9.1): a failure.
            # Timers D and M: the end.
            is_failure = self.state is CALLING or self.state is PROCEEDING
            self._terminate()
            return [Fail(self.key, 408)] if is_failure else []
        if self.retransmit_at <= now:
            self._interval *= 2
            self.retransmit_at = now + self._interval
            return [Send(self._wire, self.peer, self.key)]
        return []

    def on_transport_error(self) -> list[Action]:
        """Take note that the transport could not deliver the request (section 17.1.4)."""
        is_failure = self.state is CALLING or self.state is PROCEEDING
        if self.state is ACCEPTED:
            return []  # an ACK got lost; the retransmitted 2xx will ask for it again
        self._terminate()
        return [Fail(self.key, 503)] if is_failure else []

    def resume_ringing(self) -> None:
        """Be what the transaction of a process that died was: no final response has come."""
        self.state = PROCEEDING

    def resume_accepted(self, to_tag: str, until: float) -> None:
        """Be what the transaction of a process that died was: a 2xx with this tag has come."""
        self.state = ACCEPTED
        self.expires_at = until  # timer M
        self._answers = UacAnswers(to_tag)

    def cancel(self, now: float, headers: Iterable[str]) -> bytes | None:
        """The CANCEL to send now, or ``None``: held back, sent before, or too late."""
        if self.is_cancelled:
            return None
        if self.state is CALLING:
            # "If no provisional response has been received, the CANCEL request MUST NOT be
            # sent" (section 9.1)
            self.cancel_headers = tuple(headers)
            return None
        if self.state is not PROCEEDING:
            return None
        self.is_cancelled = True
        self.cancel_headers = None
        self.expires_at = now + self._timers.timeout
        return cancel_for(self._request(), headers)

    def remember_ack(self, to_tag: str, data: bytes, peer: Peer) -> None:
        """Keep the ACK of a 2xx, to repeat it whenever that 2xx is (section 13.2.2.4)."""
        if self._answers is not None:
            self._answers.remember_ack(to_tag, data, peer)

    def _proceed(self, response: Response) -> list[Action]:
        if self.state is CALLING:
            # Timers A and B stop: a phone may ring for longer than 64*T1.
            self.state = PROCEEDING
            self.retransmit_at = self.expires_at = NEVER
        return [DeliverResponse(response, self.key)]

    def _accept(self, response: Response, now: float) -> list[Action]:
        # The ACK of a 2xx is the dialog's: only it knows the route set (13.2.2.4).
        self.state = ACCEPTED
        self.retransmit_at = NEVER
        self.expires_at = now + self._timers.timeout  # timer M
        self._wire = b""
        self._answers = UacAnswers()
        return self._answers.on_answer(response, self.key)

    def _complete(self, response: Response, now: float) -> list[Action]:
        self._ack = ack_for(self._request(), response)
        self._wire = b""
        self.retransmit_at = NEVER
        acknowledge = Send(self._ack, self.peer, self.key)
        if self.peer.reliable:
            self._terminate()  # timer D is 0
        else:
            self.state = COMPLETED
            self.expires_at = now + self._timers.absorb  # timer D
        return [acknowledge, DeliverResponse(response, self.key)]

    def _request(self) -> Request:
        try:
            invite: Request | Response | None = parse(self._wire, limits=UNLIMITED)
        except MalformedMessage as error:
            # The user repeated a header or the like; our own lines can be read all the same.
            invite = error.message
        assert isinstance(invite, Request)
        return invite

    def _terminate(self) -> None:
        self.state = TERMINATED
        self.retransmit_at = self.expires_at = NEVER
        self._wire = self._ack = b""
        self._answers = None
