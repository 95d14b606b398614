"""Whose packets a port takes: latching that strangers cannot win.

A port learns its peer's real source from the packets it receives, because peers behind NAT
describe addresses that are not theirs. Learning from just anyone hands the call to whoever
sprays the port range first (CVE-2017-14099, CVE-2025-53399), so a source is ranked by what
signaling told us of it, and only these are ever taken:

``EXACT``
    the address and port of the description. Final: nothing outranks it.
``HOST``
    the described address, another port (a NAT that keeps the address, asymmetric RTP).
``SOURCE``
    the address the SIP messages came from (the usual NAT: one public address for both).
``ANY``
    only when ``learn_any`` was asked for: someone else, who has sent several packets in a row
    before anybody better sent one.

A better rank takes a port back from a worse one at any moment; an equal or worse one is refused
until the peer is described anew. So a stranger never gains a port whose peer sends from where it
said, and gains none at all while ``learn_any`` is off.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

ANY_AFTER_PACKETS: Final = 5
"""How many packets in a row make an unknown source credible."""

Address = tuple[str, int]


class Rank(IntEnum):
    """How well a source fits what signaling said; the greater the better."""

    NONE = 0
    ANY = 1
    SOURCE = 2
    HOST = 3
    EXACT = 4


@dataclass(frozen=True, slots=True)
class Expectation:
    """What signaling told of one peer's packets."""

    host: str
    """Described address; empty when none is usable (a name, or a null address)."""
    port: int
    source_host: str = ""
    """Where the peer's SIP came from; empty when unknown."""
    learn_any: bool = False

    def rank(self, source: Address) -> Rank:
        """How well ``source`` fits."""
        host = source[0]
        if host == self.host:
            return Rank.EXACT if source[1] == self.port else Rank.HOST
        if host == self.source_host:
            return Rank.SOURCE
        return Rank.ANY if self.learn_any else Rank.NONE


class Latch:
    """Decides packet by packet, from the source address alone, whether the peer sent it."""

    __slots__ = ("_candidate", "_candidate_packets", "_expectation", "rank", "source")

    def __init__(self, expectation: Expectation | None) -> None:
        self._expectation = expectation
        self.source: Address | None = None
        self.rank = Rank.NONE
        self._candidate: Address | None = None
        self._candidate_packets = 0

    def admit(self, source: Address) -> bool:
        """Whether a packet from ``source`` is the peer's; may move the latch to it."""
        if source == self.source:
            return True
        if self._expectation is None:
            return False
        rank = self._expectation.rank(source)
        if rank <= self.rank or (rank is Rank.ANY and not self._is_credible(source)):
            return False
        self.source = source
        self.rank = rank
        return True

    def expect(self, expectation: Expectation) -> None:
        """Follow a new description of the peer.

        A latch that is exact and stays so is kept: hold and resume leave no gap for others.
        """
        if self.rank is Rank.EXACT and self.source == (expectation.host, expectation.port):
            self._expectation = expectation
            return
        self._expectation = expectation
        self.source = None
        self.rank = Rank.NONE
        self._candidate_packets = 0

    def resume(self, source: Address) -> None:
        """Take up the source that a process before this one had latched to, if it still fits."""
        if self._expectation is None:
            return
        rank = self._expectation.rank(source)
        if rank > self.rank:
            self.source = source
            self.rank = rank

    def _is_credible(self, source: Address) -> bool:
        if source != self._candidate:
            self._candidate = source
            self._candidate_packets = 0
        self._candidate_packets += 1
        return self._candidate_packets >= ANY_AFTER_PACKETS
