"""What the media service needs of the outside: something that moves packets."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from services.media.core.exchange import Aim, Endpoint
from services.media.core.reception import Report
from services.media.core.sdp import Family

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

    def aim(self, aim: Aim) -> None:
        """State where an endpoint's packets come from and go to."""

    def close(self, endpoint_ids: Iterable[int], on_closed: Callable[[Reports], None]) -> None:
        """Give endpoints back; ``on_closed`` is called once, with what they counted."""

    def flush(self) -> None:
        """Send the orders given so far: packets provoked by what is said next find them obeyed."""
