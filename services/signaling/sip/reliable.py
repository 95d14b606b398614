"""Reliable provisional responses and their PRACK (RFC 3262), both ends of it."""

from __future__ import annotations

from services.signaling.sip.actions import Action, NoPrack, Peer, Send
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import parse_number
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues

LARGEST_FIRST_RSEQ = 2**31 - 1
"""Of the first number in a transaction, so that those after it never wrap (section 3)."""


class UasProvisional:
    """A provisional response we sent reliably: repeated at T1, doubling, until PRACK or 64*T1.

    Over reliable transports too: a proxy on the way may not be on one.
    """

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

    def __init__(
        self,
        data: bytes,
        key: str,
        name: tuple[str, str, int, int],
        peer: Peer,
        timers: TimerValues = RFC3261_TIMERS,
    ) -> None:
        self.key = key
        """The INVITE's transaction."""
        self.name = name
        """Call-ID, our tag, CSeq number of the INVITE, RSeq: what its PRACK is known by."""
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

    def start(self, now: float) -> None:
        """Begin to wait for the PRACK of a response that is being sent."""
        self.retransmit_at = now + self._interval
        self.expires_at = now + self._timers.timeout

    def stop(self) -> None:
        """It was acknowledged, or a final response has made it meaningless."""
        self.retransmit_at = self.expires_at = NEVER
        self._data = b""

    def on_timer(self, now: float) -> list[Action]:
        """Act on the timers due at ``now``."""
        if self.expires_at <= now:
            self.stop()
            return [NoPrack(self.key)]
        if self.retransmit_at <= now:
            # Unlike those of a 2xx, the intervals have no ceiling of T2 (section 3).
            self._interval *= 2
            self.retransmit_at = now + self._interval
            return [Send(self._data, self.peer)]
        return []


class UacProvisionals:
    """Which reliable provisional responses to an INVITE of ours were taken, by To tag.

    Each fork counts for itself. A gap means that an earlier one is still on its way: what came
    out of order is not acknowledged, and will be repeated (section 4).
    """

    __slots__ = ("_last",)

    MOST_FORKS = 16
    """As of 2xx responses: more is an attack."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def is_next(self, response: Response) -> bool:
        """Whether to acknowledge it and act on it; repetitions and strays are neither."""
        rseq = rseq_of(response)
        tag = response.to_tag
        last = self._last.get(tag)
        if not rseq or not tag or (last is None and len(self._last) >= self.MOST_FORKS):
            return False
        if last is not None and rseq != last + 1:
            return False
        self._last[tag] = rseq
        return True


def is_reliable(response: Response) -> bool:
    """Whether a provisional response wants a PRACK."""
    if not response.has("rseq") or not 100 < response.status < 200:
        return False
    return "100rel" in [tag.lower() for tag in response.headers("require")]


def rseq_of(response: Response) -> int:
    """The RSeq number; 0 for none, and for nonsense."""
    try:
        return parse_number(response.first("rseq") or "", 2**32 - 1)
    except MalformedMessage:
        return 0
