"""Non-INVITE server transaction: RFC 3261 section 17.2.2."""

from __future__ import annotations

from services.signaling.sip.actions import Action, Peer, Send
from services.signaling.sip.build import Reply
from services.signaling.sip.transaction.states import (
    COMPLETED,
    PROCEEDING,
    TERMINATED,
    TRYING,
    State,
)
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues


class NonInviteServerTransaction:
    """One request other than INVITE and ACK, and the answer to repeat for its retransmissions."""

    __slots__ = (
        "_last",
        "_timers",
        "armed_at",
        "deadline",
        "key",
        "merge_key",
        "peer",
        "state",
    )

    def __init__(self, key: str, peer: Peer, timers: TimerValues = RFC3261_TIMERS) -> None:
        self.state: State = TRYING
        self.key = key
        self.peer = peer
        self.deadline = NEVER
        """When :meth:`on_timer` is next due: only timer J ever runs."""
        self.armed_at = NEVER
        """When the owner has scheduled a wake-up; the owner's to keep."""
        self.merge_key = ("", "", 0)
        """Call-ID, From tag and CSeq number (section 8.2.2.2)."""
        self._last = b""
        self._timers = timers

    def respond(self, reply: Reply, now: float) -> list[Action]:
        """Send a response of the transaction user; ignored once a final one was sent."""
        if self.state is COMPLETED or self.state is TERMINATED:
            return []
        self._last = reply.data
        if reply.status < 200:
            self.state = PROCEEDING
        elif self.peer.reliable:
            self._terminate()  # timer J is 0
        else:
            self.state = COMPLETED
            self.deadline = now + self._timers.timeout  # timer J
        return [Send(reply.data, self.peer)]

    def on_request(self) -> list[Action]:
        """Take a retransmission of the request; in TRYING there is nothing to repeat."""
        return [Send(self._last, self.peer)] if self._last else []

    def on_timer(self, now: float) -> list[Action]:
        """Act on the timer due at ``now``."""
        if self.deadline <= now:
            self._terminate()
        return []

    def _terminate(self) -> None:
        self.state = TERMINATED
        self.deadline = NEVER
        self._last = b""
