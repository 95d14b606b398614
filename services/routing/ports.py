"""What routing needs from outside."""

from typing import Protocol

from services.routing.core.snapshot import Snapshot


class Configuration(Protocol):
    """Where trunks, accounts and decks are written down."""

    async def load(self, previous: Snapshot | None) -> Snapshot:
        """Everything as of one revision; decks that did not change are taken from ``previous``.

        Calls are planned meanwhile: an implementation never holds the loop for long.

        Raises:
            Unavailable: it cannot be read now; ``previous`` stays good.
        """
