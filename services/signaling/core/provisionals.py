"""Reliable provisional responses to one caller, one at a time (RFC 3262 section 3)."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import RAck
from services.signaling.sip.message import Request

MOST_WAITING = 16
"""Responses kept for a caller who is slow with his PRACK; the oldest are passed over."""


class Provisional(NamedTuple):
    """One that is to be sent."""

    status: int
    to_tag: str
    sdp: bytes
    headers: tuple[str, ...]


class Provisionals:
    """What waits to be sent, and what waits for its PRACK.

    ``first`` is the first RSeq, from 1 to 2**31 - 1. Each fork counts from there for itself, as
    whoever sees forks expects.
    """

    __slots__ = (
        "_awaited", "_first", "_numbers", "_tag", "_waiting", "_with_session", "acknowledged",
        "agreed", "is_held", "is_late", "only_offers", "renewed",
    )  # fmt: skip

    def __init__(self, first: int, *, is_late: bool = False, only_offers: bool = False) -> None:
        self._first = first
        self.is_late = is_late
        """Whether the caller has made no offer: SDP in a response is one."""
        self.only_offers = only_offers
        """Whether what carries no offer is sent unreliably."""
        self.agreed: set[str] = set()
        """Our tags of the dialogs in which SDP has been sent and acknowledged."""
        self.renewed: set[str] = set()
        """Those in which something else has been agreed on since: SDP has no place there now."""
        self.acknowledged = ""
        """Our tag, if what the last PRACK acknowledged carried SDP."""
        self._tag = ""
        self._numbers: dict[str, int] = {}
        self._waiting: deque[Provisional] = deque(maxlen=MOST_WAITING)
        self._awaited = 0
        self._with_session = False
        self.is_held = False
        """Whether the 2xx is ready and waits; the owner's to keep."""

    @property
    def holds_answer(self) -> bool:
        """Whether a 2xx has to wait: never before the PRACK of what carried a session."""
        return bool(self._awaited) and self._with_session

    def give(self, provisional: Provisional) -> Provisional | None:
        """Send it now, or keep it until the one before was acknowledged."""
        if self._awaited:
            self._waiting.append(provisional)
            return None
        return self._begin(provisional)

    def number(self, to_tag: str) -> int:
        """The RSeq of the one being sent."""
        rseq = self._numbers.get(to_tag, self._first - 1) + 1
        self._numbers[to_tag] = self._awaited = rseq
        self._tag = to_tag
        return rseq

    def on_prack(self, prack: Request) -> Provisional | None:
        """The next one to send once the last was acknowledged, unless the 2xx is next."""
        self.acknowledged = ""
        try:
            rseq = RAck.parse(prack.first("rack") or "").rseq
        except MalformedMessage:
            return None
        if rseq != self._awaited:
            return None
        self._awaited = 0
        if self._with_session:
            self.acknowledged = self._tag
            self.agreed.add(self._tag)
        self._with_session = False
        if self.is_held or not self._waiting:
            return None
        return self._begin(self._waiting.popleft())

    def _begin(self, provisional: Provisional) -> Provisional:
        self._awaited = -1  # until it is numbered
        self._with_session = bool(provisional.sdp)
        return provisional
