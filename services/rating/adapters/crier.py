"""What rating processes tell each other. Implements :class:`services.rating.ports.Crier`."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.common.bus import Bus
from services.common.errors import Unavailable
from services.rating.ports import Ending

SCARCE_SUBJECT: Final = "rating.scarce"
"""Core NATS, no stream: the account id, in UTF-8."""
SETTLED_SUBJECT: Final = "rating.settled"
"""Core NATS, no stream: a list of :class:`Ending`, as JSON."""

_MOST_ENDINGS = 1000
"""Per message: they stay far below the server's limit of a megabyte."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Ending]).decode


def read_endings(payload: bytes) -> list[Ending]:
    """Read a message on :data:`SETTLED_SUBJECT`; nothing where it is none."""
    try:
        return _decode(payload)
    except msgspec.DecodeError:
        return []


class BusCrier:
    """Nobody depends on an answer: without a bus the money comes back when leases fall idle."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.cried = 0

    async def scarce(self, account_id: str) -> None:
        """See :meth:`services.rating.ports.Crier.scarce`."""
        self.cried += 1
        await self._cry(SCARCE_SUBJECT, account_id.encode())

    async def settled(self, endings: Sequence[Ending]) -> None:
        """See :meth:`services.rating.ports.Crier.settled`."""
        for first in range(0, len(endings), _MOST_ENDINGS):
            await self._cry(SETTLED_SUBJECT, _encode(endings[first : first + _MOST_ENDINGS]))

    async def _cry(self, subject: str, payload: bytes) -> None:
        try:
            await self._bus.publish_core(subject, payload)
        except Unavailable:
            return
