"""What arrives from the bus: ended calls to settle, rated calls to record, others' settlements."""

import asyncio
from collections.abc import Sequence

from services.common.bus import Bus, Message
from services.common.events import (
    CALLS_STREAM,
    CDR_STREAM,
    ENDED_SUBJECT,
    RATED_SUBJECT,
)
from services.rating.adapters.crier import SCARCE_SUBJECT, SETTLED_SUBJECT, read_endings
from services.rating.app.records import Clerk
from services.rating.app.settlement import Delivery, Settler
from services.rating.app.upkeep import Upkeep

SETTLE_DURABLE = "rating-settle"
RECORD_DURABLE = "rating-cdr"

_SETTLE_BATCH = 64
"""Messages per transaction: under load each holds some tens of calls already."""
_SETTLE_SPACING_S = 0.4
"""Nobody waits for settlement: a transaction, however small, costs as much as ten calls. Money
that a call did not need is free again half a second after its end at the latest."""
_RECORD_BATCH = 128
_RECORD_SPACING_S = 1.0
"""ClickHouse wants few large inserts."""


class BusEntry:
    """The consumers of one rating process; they share the work of all of them."""

    def __init__(
        self, bus: Bus, settler: Settler, clerk: Clerk, upkeep: Upkeep, *, redeliver_s: float
    ) -> None:
        self._bus = bus
        self._redeliver_s = redeliver_s
        self._settler = settler
        self._clerk = clerk
        self._upkeep = upkeep

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Consume until the tasks are cancelled."""
        tasks.create_task(
            self._bus.consume(
                CALLS_STREAM,
                ENDED_SUBJECT,
                SETTLE_DURABLE,
                self._on_ended,
                batch=_SETTLE_BATCH,
                spacing_s=_SETTLE_SPACING_S,
                ack_wait_s=self._redeliver_s,
            )
        )
        tasks.create_task(
            self._bus.consume(
                CDR_STREAM,
                RATED_SUBJECT,
                RECORD_DURABLE,
                self._on_rated,
                batch=_RECORD_BATCH,
                spacing_s=_RECORD_SPACING_S,
                ack_wait_s=self._redeliver_s,
            )
        )
        await self._bus.subscribe_core(SETTLED_SUBJECT, self._on_settled)
        await self._bus.subscribe_core(SCARCE_SUBJECT, self._on_scarce)

    async def _on_ended(self, messages: Sequence[Message]) -> None:
        await self._settler.settle([_delivery(message) for message in messages])

    async def _on_rated(self, messages: Sequence[Message]) -> None:
        await self._clerk.write([_delivery(message) for message in messages])

    async def _on_settled(self, payload: bytes) -> None:
        self._settler.heard(read_endings(payload))

    async def _on_scarce(self, payload: bytes) -> None:
        await self._upkeep.on_scarce(payload.decode(errors="replace"))


def _delivery(message: Message) -> Delivery:
    # Whoever publishes without an id still gets one that is stable over redeliveries.
    return Delivery(message.msg_id or f"{message.subject}-{message.stream_seq}", message.payload)
