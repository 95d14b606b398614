"""Which addresses of vendors are not to be called now: down, or asking to be left alone.

Only addresses with something to tell are kept, so that a call costs one look at two empty
tables while all is well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.common.causes import EndReason
from services.common.sip_options.probe import VendorProbe
from services.signaling.sip.actions import Peer

_MOST_RESTING: Final = 1_000
"""Beyond that, rests that are over are swept out: redirections may lead anywhere."""

Place = tuple[str, Peer]
"""A vendor trunk and one of its addresses, :func:`plain`."""


def plain(peer: Peer) -> Peer:
    """A peer as its address alone, however it is reached."""
    return Peer(peer.transport, peer.host, peer.port)


class Seen(NamedTuple):
    """How one address is, as operators see it."""

    vendor_trunk_id: str
    peer: Peer
    state: str
    """``up``, ``down`` or ``backoff``."""
    since: float
    why: str
    until: float
    """When it will be called again, of ``backoff``; else 0."""


class _Probed:
    """What OPTIONS said about one address."""

    __slots__ = ("answered", "is_up", "since", "unanswered", "why")

    def __init__(self, now: float) -> None:
        self.is_up = True
        self.since = now
        self.why = "not asked yet"
        self.answered = self.unanswered = 0
        """In a row, against the state it is in."""


class _Resting(NamedTuple):
    since: float
    until: float
    why: str


class VendorHealth:
    """See the module docstring."""

    def __init__(self) -> None:
        self._probed: dict[Place, _Probed] = {}
        self._down: set[Place] = set()
        self._resting: dict[Place, _Resting] = {}

    @property
    def down(self) -> int:
        """How many addresses do not answer."""
        return len(self._down)

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing the matter with any address."""
        return not self._down and not self._resting

    def trouble(self, vendor_trunk_id: str, peer: Peer, now: float) -> EndReason | None:
        """Why this address is not to be called; ``None`` when it may be."""
        place = (vendor_trunk_id, peer)
        if place in self._down:
            return EndReason.VENDOR_DOWN
        if self.is_resting(place, now):
            return EndReason.VENDOR_BACKOFF
        self._resting.pop(place, None)
        return None

    def is_resting(self, place: Place, now: float) -> bool:
        """Whether it has asked to be left alone until later than ``now``."""
        resting = self._resting.get(place)
        return resting is not None and now < resting.until

    def rest(self, vendor_trunk_id: str, peer: Peer, seconds: float, why: str, now: float) -> None:
        """Leave an address alone; a longer rest it has already is not cut short."""
        place = (vendor_trunk_id, peer)
        known = self._resting.get(place)
        if seconds <= 0 or (known is not None and known.until >= now + seconds):
            return
        if len(self._resting) >= _MOST_RESTING:
            self._resting = {at: each for at, each in self._resting.items() if each.until > now}
        is_going_on = known is not None and known.until > now
        since = known.since if known is not None and is_going_on else now
        self._resting[place] = _Resting(since, now + seconds, why)

    def on_probe(self, place: Place, options: VendorProbe, failure: str, now: float) -> bool:
        """Take the outcome of one OPTIONS, ``failure`` empty when it was answered.

        Returns whether the address went up or down by it.
        """
        probed = self._probed.get(place)
        if probed is None:
            probed = self._probed[place] = _Probed(now)
        if failure:
            probed.answered, probed.unanswered = 0, probed.unanswered + 1
        else:
            probed.answered, probed.unanswered = probed.answered + 1, 0
        if probed.is_up:
            probed.why = failure or "answers OPTIONS"
            has_changed = probed.unanswered >= options.down_after
        else:
            probed.why = failure or probed.why
            has_changed = probed.answered >= options.up_after
        if not has_changed:
            return False
        probed.is_up, probed.since = not probed.is_up, now
        if probed.is_up:
            probed.why = "answers OPTIONS again"
            self._down.discard(place)
        else:
            self._down.add(place)
        return True

    def keep_only(self, probed: set[Place], vendor_trunk_ids: set[str]) -> None:
        """Forget what was said about addresses nobody asks any more, and about gone vendors."""
        self._probed = {place: each for place, each in self._probed.items() if place in probed}
        self._down &= probed
        self._resting = {
            place: each for place, each in self._resting.items() if place[0] in vendor_trunk_ids
        }

    def seen(self, now: float) -> Iterator[Seen]:
        """Every address with something to tell. One that rests says so, whatever else it is."""
        for place in sorted({*self._probed, *self._resting}):
            resting, probed = self._resting.get(place), self._probed.get(place)
            if resting is not None and now < resting.until and place not in self._down:
                yield Seen(*place, "backoff", resting.since, resting.why, resting.until)
            elif probed is not None:
                state = "up" if probed.is_up else "down"
                yield Seen(*place, state, probed.since, probed.why, 0.0)
