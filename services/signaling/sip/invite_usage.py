"""The 2xx of an INVITE and its ACK, which belong to the two ends and not to a transaction.

RFC 3261 sections 13.2.2.4 (caller) and 13.3.1.4 (callee).
"""

from __future__ import annotations

from services.signaling.sip.actions import Action, DeliverResponse, NoAck, Peer, Send
from services.signaling.sip.message import Response
from services.signaling.sip.repetition import Repetition


class UasAnswer(Repetition[tuple[str, str, int]]):
    """A 2xx we sent: repeated at T1, doubling to T2, until its ACK or 64*T1.

    Its ACK is known by Call-ID, our tag and the CSeq number.
    """

    __slots__ = ()

    loss = NoAck
    has_ceiling = True

    def resume(self, now: float, until: float) -> None:
        """Begin at once to repeat a 2xx that a process which died has sent or not."""
        self.retransmit_at, self.expires_at = now, until


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
