"""Reliable provisional responses and their PRACK (RFC 3262), both ends of it."""

from __future__ import annotations

from services.signaling.sip.actions import NoPrack
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import parse_number
from services.signaling.sip.message import Response
from services.signaling.sip.repetition import Repetition

LARGEST_FIRST_RSEQ = 2**31 - 1
"""Of the first number in a transaction, so that those after it never wrap (section 3)."""


class UasProvisional(Repetition[tuple[str, str, int, int]]):
    """A provisional response we sent reliably: repeated at T1, doubling, until PRACK or 64*T1.

    Its PRACK is known by Call-ID, our tag, the CSeq number of the INVITE and the RSeq. Unlike
    those of a 2xx, the intervals have no ceiling of T2 (section 3).
    """

    __slots__ = ()

    loss = NoPrack
    has_ceiling = False


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
