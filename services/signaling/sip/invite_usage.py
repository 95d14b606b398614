"""The 2xx of an INVITE and its ACK, which belong to the two ends and not to a transaction.

RFC 3261 sections 13.2.2.4 (caller) and 13.3.1.4 (callee).
"""

from __future__ import annotations

from services.signaling.sip.actions import Action, DeliverResponse, NoAck, Peer, Send
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues


class UasAnswer:
    """A 2xx we sent: repeated at T1, doubling to T2, until its ACK or 64*T1.

    Over reliable transports too: a proxy on the way may not be on one.
    """

    __slots__ = (
        "_data",
        "_interval",
        "_timers",
        "armed_at",
        "dialog",
        "expires_at",
        "is_over",
        "key",
        "peer",
        "retransmit_at",
    )

    def __init__(
        self,
        data: bytes,
        key: str,
        dialog: tuple[str, str, int],
        peer: Peer,
        timers: TimerValues = RFC3261_TIMERS,
    ) -> None:
        self.key = key
        self.dialog = dialog
        """Call-ID, our tag and the CSeq number: what its ACK is known by."""
        self.peer = peer
        self.is_over = False
        self.retransmit_at = NEVER
        self.expires_at = NEVER
        self.armed_at = NEVER
        """When the owner has scheduled a wake-up; the owner's to keep."""
        self._data = data
        self._timers = timers
        self._interval = timers.t1

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        retransmit_at, expires_at = self.retransmit_at, self.expires_at
        return retransmit_at if retransmit_at < expires_at else expires_at

    def start(self, now: float) -> None:
        """Begin to wait for the ACK of a 2xx that is being sent."""
        self.retransmit_at = now + self._interval
        self.expires_at = now + self._timers.timeout

    def resume(self, now: float, until: float) -> None:
        """Begin at once to repeat a 2xx that a process which died has sent or not."""
        self.retransmit_at, self.expires_at = now, until

    def on_ack(self) -> None:
        """Take the ACK."""
        self._end()

    def on_timer(self, now: float) -> list[Action]:
        """Act on the timers due at ``now``."""
        if self.expires_at <= now:
            self._end()
            return [NoAck(self.key)]
        if self.retransmit_at <= now:
            self._interval = min(2 * self._interval, self._timers.t2)
            self.retransmit_at = now + self._interval
            return [Send(self._data, self.peer)]
        return []

    def _end(self) -> None:
        self.is_over = True
        self.retransmit_at = self.expires_at = NEVER
        self._data = b""


class UacAnswers:
    """The 2xx responses one INVITE of ours drew, by To tag, and the ACK each was given.

    The first of every tag is delivered (a fork answers with a tag of its own); a repetition
    draws its ACK again, or nothing while the user has not acknowledged it yet.
    """

    __slots__ = ("_ack", "_forks", "_tag")

    MOST_FORKS = 16
    """More distinct tags than any forest of phones rings; the rest is an attack."""

    def __init__(self, tag: str | None = None) -> None:
        # Nearly every INVITE draws one 2xx: a dictionary is made for the others only.
        self._tag = tag
        self._ack: Send | None = None
        self._forks: dict[str, Send | None] | None = None

    def on_answer(self, response: Response, key: str) -> list[Action]:
        """Take a 2xx."""
        tag = response.to_tag
        if self._tag is None:
            self._tag = tag
            return [DeliverResponse(response, key)]
        if tag == self._tag:
            return [] if self._ack is None else [self._ack]
        return self._on_fork(tag, response, key)

    def _on_fork(self, tag: str, response: Response, key: str) -> list[Action]:
        forks = self._forks
        if forks is None:
            forks = self._forks = {}
        if tag not in forks:
            if len(forks) >= self.MOST_FORKS - 1:
                return []
            forks[tag] = None
            return [DeliverResponse(response, key)]
        ack = forks[tag]
        return [] if ack is None else [ack]

    def remember_ack(self, to_tag: str, data: bytes, peer: Peer) -> None:
        """Keep the ACK given to the 2xx with this tag."""
        if to_tag == self._tag:
            self._ack = Send(data, peer)
        elif self._forks is not None and to_tag in self._forks:
            self._forks[to_tag] = Send(data, peer)
