"""Asks other rating processes for free money. Implements :class:`services.rating.ports.Crier`."""

from typing import Final

from services.common.bus import Bus
from services.common.errors import Unavailable

SCARCE_SUBJECT: Final = "rating.scarce"
"""Core NATS, no stream: the account id, in UTF-8."""


class BusCrier:
    """Nobody depends on an answer: without a bus the money comes back when leases fall idle."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.cried = 0

    async def scarce(self, account_id: str) -> None:
        """See :meth:`services.rating.ports.Crier.scarce`."""
        self.cried += 1
        try:
            await self._bus.publish_core(SCARCE_SUBJECT, account_id.encode())
        except Unavailable:
            return
