"""Rated calls into the record store, in batches."""

from collections.abc import Sequence

import msgspec

from services.common.events import CdrRated, decode_rated
from services.rating.app.settlement import MESSAGE, Delivery
from services.rating.ports import Ledger, Records, Rejected


class Clerk:
    """Writes call detail records."""

    def __init__(self, records: Records, ledger: Ledger) -> None:
        self._records = records
        self._ledger = ledger
        self.rejected = 0

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        """Write the records of these messages; returns once they are stored.

        Raises:
            Unavailable: the store is away; deliver all again.
        """
        records: list[CdrRated] = []
        rejected: list[Rejected] = []
        for delivery in deliveries:
            try:
                records += decode_rated(delivery.payload).events
            except msgspec.DecodeError as error:
                rejected.append(
                    Rejected(delivery.message_id, MESSAGE, str(error), delivery.payload)
                )
        if rejected:
            await self._ledger.reject(rejected)
            self.rejected += len(rejected)
        if records:
            await self._records.write(records)
