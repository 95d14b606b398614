"""Rated calls onto the bus. Implements :class:`services.rating.ports.Outlet`."""

from services.common.bus import Bus
from services.common.events import RATED_SUBJECT, RatedBatch, encode

LARGEST_BYTES = 900_000
"""The server refuses messages over a megabyte, headers included."""


class BusOutlet:
    """Publishes each batch as one message; one too large as two halves."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.published = 0

    async def publish(self, batch: RatedBatch, message_id: str) -> None:
        """See :meth:`services.rating.ports.Outlet.publish`."""
        payload = encode(batch)
        if len(payload) > LARGEST_BYTES and len(batch.events) > 1:
            middle = len(batch.events) // 2
            for part, events in enumerate((batch.events[:middle], batch.events[middle:])):
                half = RatedBatch(node=batch.node, epoch=batch.epoch, seq=batch.seq, events=events)
                await self.publish(half, f"{message_id}/{part}")
            return
        await self._bus.publish(RATED_SUBJECT, payload, message_id)
        self.published += len(batch.events)
