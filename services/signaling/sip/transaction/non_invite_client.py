"""Non-INVITE client transaction: RFC 3261 section 17.1.2."""

from __future__ import annotations

from services.signaling.sip.actions import Action, DeliverResponse, Fail, Peer, Send
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.states import (
    COMPLETED,
    PROCEEDING,
    TERMINATED,
    TRYING,
    State,
)
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues


class NonInviteClientTransaction:
    """One request other than INVITE and ACK, until its retransmitted answers have died out."""

    __slots__ = (
        "_interval",
        "_timers",
        "_wire",
        "armed_at",
        "expires_at",
        "key",
        "peer",
        "retransmit_at",
        "state",
    )

    def __init__(
        self, wire: bytes, key: str, peer: Peer, timers: TimerValues = RFC3261_TIMERS
    ) -> None:
        self.state: State = TRYING
        self.key = key
        self.peer = peer
        self.retransmit_at = NEVER
        self.expires_at = NEVER
        self.armed_at = NEVER
        """When the owner has scheduled a wake-up; the owner's to keep."""
        self._wire = wire
        self._timers = timers
        self._interval = timers.t1

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        retransmit_at, expires_at = self.retransmit_at, self.expires_at
        return retransmit_at if retransmit_at < expires_at else expires_at

    def start(self, now: float) -> list[Action]:
        """Send the request for the first time."""
        self.expires_at = now + self._timers.timeout  # timer F
        if not self.peer.reliable:
            self.retransmit_at = now + self._interval  # timer E
        return [Send(self._wire, self.peer, self.key)]

    def on_response(self, response: Response, now: float) -> list[Action]:
        """Take a response that matched this transaction (section 17.1.3)."""
        if self.state is COMPLETED or self.state is TERMINATED:
            return []
        if response.status < 200:
            # Timer E goes on, from now on at T2: a provisional promises no final response.
            self.state = PROCEEDING
            return [DeliverResponse(response, self.key)]
        self._wire = b""
        self.retransmit_at = NEVER
        if self.peer.reliable:
            self._terminate()  # timer K is 0
        else:
            self.state = COMPLETED
            self.expires_at = now + self._timers.t4  # timer K
        return [DeliverResponse(response, self.key)]

    def on_timer(self, now: float) -> list[Action]:
        """Act on the timers due at ``now``."""
        if self.expires_at <= now:
            is_failure = self.state is not COMPLETED  # timer F; otherwise timer K
            self._terminate()
            return [Fail(self.key, 408)] if is_failure else []
        if self.retransmit_at <= now:
            if self.state is PROCEEDING:
                self._interval = self._timers.t2
            else:
                self._interval = min(2 * self._interval, self._timers.t2)
            self.retransmit_at = now + self._interval
            return [Send(self._wire, self.peer, self.key)]
        return []

    def on_transport_error(self) -> list[Action]:
        """Take note that the transport could not deliver the request (section 17.1.4)."""
        is_failure = self.state is TRYING or self.state is PROCEEDING
        self._terminate()
        return [Fail(self.key, 503)] if is_failure else []

    def _terminate(self) -> None:
        self.state = TERMINATED
        self.retransmit_at = self.expires_at = NEVER
        self._wire = b""
