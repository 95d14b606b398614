"""INVITE server transaction: RFC 3261 section 17.2.1, as updated by RFC 6026."""

from __future__ import annotations

from services.signaling.sip.actions import Action, Peer, Send
from services.signaling.sip.build import Reply
from services.signaling.sip.reliable import UasProvisional
from services.signaling.sip.transaction.states import (
    ACCEPTED,
    COMPLETED,
    CONFIRMED,
    PROCEEDING,
    TERMINATED,
    State,
)
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues


class InviteServerTransaction:
    """One INVITE received, until its final response is acknowledged or given up on.

    ``peer`` is where responses go. The 2xx is repeated by
    :class:`services.signaling.sip.invite_usage.UasAnswer`, not here.
    """

    __slots__ = (
        "_interval",
        "_last",
        "_timers",
        "armed_at",
        "expires_at",
        "key",
        "merge_key",
        "peer",
        "provisional",
        "retransmit_at",
        "source",
        "state",
        "to_tag",
    )

    def __init__(
        self, key: str, peer: Peer, source: Peer, timers: TimerValues = RFC3261_TIMERS
    ) -> None:
        self.state: State = PROCEEDING
        self.key = key
        self.peer = peer
        self.source = source
        """Where the INVITE came from: its CANCEL must come from there too."""
        self.retransmit_at = NEVER
        self.expires_at = NEVER
        self.armed_at = NEVER
        """When the owner has scheduled a wake-up; the owner's to keep."""
        self.to_tag = ""
        self.merge_key = ("", "", 0)
        """Call-ID, From tag and CSeq number (section 8.2.2.2)."""
        self.provisional: UasProvisional | None = None
        """The last one that was sent reliably."""
        self._last = b""
        self._timers = timers
        self._interval = timers.t1

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        retransmit_at, expires_at = self.retransmit_at, self.expires_at
        return retransmit_at if retransmit_at < expires_at else expires_at

    def respond(self, reply: Reply, now: float) -> list[Action]:
        """Send a response of the transaction user; ignored once a final one was sent."""
        if self.state is not PROCEEDING:
            return []
        self.to_tag = reply.to_tag or self.to_tag
        if reply.status < 200:
            self._last = reply.data
        elif reply.status < 300:
            self.state = ACCEPTED
            self.expires_at = now + self._timers.timeout  # timer L
            self._last = b""
        else:
            self.state = COMPLETED
            self.expires_at = now + self._timers.timeout  # timer H
            self._last = reply.data
            if not self.peer.reliable:
                self.retransmit_at = now + self._interval  # timer G
        return [Send(reply.data, self.peer)]

    def resume_accepted(self, until: float) -> None:
        """Be what the transaction of a process that died was: it has sent its 2xx."""
        self.state = ACCEPTED
        self.expires_at = until  # timer L

    def on_request(self) -> list[Action]:
        """Take a retransmission of the INVITE."""
        # In ACCEPTED they are absorbed: the 2xx is being repeated anyway (RFC 6026).
        if self._last and (self.state is PROCEEDING or self.state is COMPLETED):
            return [Send(self._last, self.peer)]
        return []

    def on_ack(self, now: float) -> None:
        """Take the ACK of a non-2xx final response."""
        if self.state is not COMPLETED:
            return
        self._last = b""
        self.retransmit_at = NEVER
        if self.peer.reliable:
            self._terminate()  # timer I is 0
        else:
            self.state = CONFIRMED
            self.expires_at = now + self._timers.t4  # timer I

    def on_timer(self, now: float) -> list[Action]:
        """Act on the timers due at ``now``."""
        if self.expires_at <= now:
            self._terminate()  # timers H, I and L
            return []
        if self.retransmit_at <= now:
            self._interval = min(2 * self._interval, self._timers.t2)
            self.retransmit_at = now + self._interval
            return [Send(self._last, self.peer)]
        return []

    def _terminate(self) -> None:
        self.state = TERMINATED
        self.retransmit_at = self.expires_at = NEVER
        self._last = b""
