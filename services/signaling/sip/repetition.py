"""A response of ours that is repeated until its receiver acknowledges it, or for 64*T1.

Over reliable transports too: a proxy on the way may not be on one.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from services.signaling.sip.actions import Action, NoAck, NoPrack, Peer, Send
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues

Name = TypeVar("Name")


class Repetition(Generic[Name]):
    """Repeated at T1 and then at doubling intervals; ``name`` is what acknowledges it."""

    __slots__ = (
        "_data",
        "_interval",
        "_timers",
        "armed_at",
        "expires_at",
        "key",
        "name",
        "peer",
        "retransmit_at",
    )

    loss: ClassVar[type[NoAck] | type[NoPrack]]
    """What the user is told when nobody acknowledges it."""
    has_ceiling: ClassVar[bool]
    """Whether intervals grow to T2 only."""

    def __init__(
        self,
        data: bytes,
        key: str,
        name: Name,
        peer: Peer,
        timers: TimerValues = RFC3261_TIMERS,
    ) -> None:
        self.key = key
        """The INVITE's transaction."""
        self.name = name
        self.peer = peer
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

    @property
    def is_waiting(self) -> bool:
        """Whether it was sent, and neither acknowledged nor given up."""
        return self.expires_at != NEVER

    def start(self, now: float) -> None:
        """Begin to wait for the acknowledgement of a response that is being sent."""
        self.retransmit_at = now + self._interval
        self.expires_at = now + self._timers.timeout

    def stop(self) -> None:
        """It was acknowledged, or something has made it meaningless."""
        self.retransmit_at = self.expires_at = NEVER
        self._data = b""

    def on_timer(self, now: float) -> list[Action]:
        """Act on the timers due at ``now``."""
        if self.expires_at <= now:
            self.stop()
            return [self.loss(self.key)]
        if self.retransmit_at <= now:
            interval = 2 * self._interval
            self._interval = min(interval, self._timers.t2) if self.has_ceiling else interval
            self.retransmit_at = now + self._interval
            return [Send(self._data, self.peer)]
        return []
