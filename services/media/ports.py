"""What the media service needs of the outside: a mover of packets, and a lasting memory."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from services.media.core.exchange import Aim, Endpoint
from services.media.core.reception import Report
from services.media.core.sdp import Family
from services.media.core.snapshot import SessionState

Reports = Mapping[int, Report]
"""Figures by endpoint id; an endpoint whose figures were lost is missing."""


class Relay(Protocol):
    """Opens port pairs and relays between them; orders take effect soon, in order."""

    def open(self, family: Family, call_id: str) -> Endpoint:
        """A fresh port pair; the same call's pairs can be aimed at each other.

        ``family`` is a wish: where only one is configured, that one is given.

        Raises:
            NoRtpPorts: none is left.
        """

    def restore(self, endpoint: Endpoint, call_id: str) -> bool:
        """Go on with a port pair that an earlier process opened; whether it can be had."""

    def begin(self) -> None:
        """Close what an earlier process opened and nobody has restored: before the first open."""

    def aim(self, aim: Aim) -> None:
        """State where an endpoint's packets come from and go to."""

    def close(self, endpoint_ids: Iterable[int], on_closed: Callable[[Reports], None]) -> None:
        """Give endpoints back; ``on_closed`` is called once, with what they counted."""

    def flush(self) -> None:
        """Send the orders given so far: packets provoked by what is said next find them obeyed."""


class Journal(Protocol):
    """Calls, for the process that goes on with them when this one dies.

    Nothing here waits or fails: what cannot be written is kept back, and tried again.
    """

    def keep(self, call_id: str, state: SessionState) -> None:
        """Keep the call as it is, in place of what was kept of it."""

    def forget(self, call_id: str) -> None:
        """It is over."""

    def flush(self) -> None:
        """Write what was said so far: from then on it outlives the process."""
