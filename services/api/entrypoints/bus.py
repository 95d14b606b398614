"""What the bus brings: events of calls for webhooks, and news of the configuration."""

import asyncio
from collections.abc import Callable, Sequence

from services.api.app.webhooks import Intake
from services.common.bus import Bus, Message
from services.common.events import (
    CALLS_STREAM,
    CONFIG_CHANGED_SUBJECT,
    ENDED_SUBJECT,
    PROGRESS_SUBJECT,
)


async def consume(bus: Bus, intake: Intake, on_config: Callable[[], None]) -> None:
    """Feed the intake until cancelled."""

    async def on_progress(messages: Sequence[Message]) -> None:
        await intake.progress([message.payload for message in messages])

    async def on_ended(messages: Sequence[Message]) -> None:
        await intake.ended([message.payload for message in messages])

    async def on_changed(_payload: bytes) -> None:
        on_config()

    await bus.subscribe_core(CONFIG_CHANGED_SUBJECT, on_changed)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            bus.consume(CALLS_STREAM, PROGRESS_SUBJECT, "api-webhooks-progress", on_progress)
        )
        tasks.create_task(bus.consume(CALLS_STREAM, ENDED_SUBJECT, "api-webhooks-ended", on_ended))
