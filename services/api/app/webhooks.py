"""Webhooks: events of calls become messages, and messages are sent until they arrive."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from services.api.core.kinds import Kind
from services.api.core.records import Record
from services.api.core.webhook import Outcome, headers, outcome_of, retry_in_s
from services.api.core.webhook_event import Told, tell, tell_test, wants
from services.api.ports import Configuration, Deliveries, Delivery, Endpoint, Subscription
from services.common.errors import SwitchError, Unavailable
from services.common.events import (
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    decode_ended,
    decode_progress,
)
from services.common.logs import get_logger

log = get_logger(__name__)

_PER_WEBHOOK = 8
"""Messages on their way to one endpoint at once: a slow one fills only its own share."""
_MOST_AT_ONCE = 256
_ROWS_PER_INSERT = 500
_IDLE_S = 5.0
"""The longest time between two looks at the queue."""
_SHORTEST_PAUSE_S = 0.02
_REFRESH_S = 5.0
_LOG_KEPT = dt.timedelta(days=30)

Event = CallStarted | CallRinging | CallAnswered | CallEnded


class Subscriptions:
    """The webhooks that are switched on: reread as soon as something changed, and now and then."""

    def __init__(self, deliveries: Deliveries, monotonic: Callable[[], float]) -> None:
        self._deliveries = deliveries
        self._monotonic = monotonic
        self._changes = 0
        """How often the configuration changed, as far as we were told."""
        self._seen = -1
        """How many of the changes are in what was read last."""
        self._loaded_at = 0.0
        self._subscriptions: list[Subscription] = []
        self.allow_private = False
        """Whether endpoints may be in our own network: a setting."""

    async def current(self) -> Sequence[Subscription]:
        """All of them, with every change told of before the call. Raises: Unavailable."""
        now, changes = self._monotonic(), self._changes
        if self._seen == changes and now - self._loaded_at < _REFRESH_S:
            return self._subscriptions
        subscriptions, allow_private = await self._deliveries.subscriptions()
        # Several may be reading at once, and what was asked for later may come sooner.
        if changes >= self._seen:
            self._seen, self._loaded_at = changes, now
            self._subscriptions, self.allow_private = subscriptions, allow_private
        return self._subscriptions

    def forget(self) -> None:
        """The configuration changed."""
        self._changes += 1


class Intake:
    """Takes batches of events from the bus; each is queued once for each webhook that wants it."""

    def __init__(
        self, subscriptions: Subscriptions, deliveries: Deliveries, wake: Callable[[], None]
    ) -> None:
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._wake = wake
        self.queued = 0
        self.undecodable = 0

    async def progress(self, payloads: Sequence[bytes]) -> None:
        """Batches of ``calls.progress``. Raises: Unavailable; deliver them again."""
        await self._take(payloads, lambda payload: decode_progress(payload).events)

    async def ended(self, payloads: Sequence[bytes]) -> None:
        """Batches of ``calls.ended``. Raises: Unavailable; deliver them again."""
        await self._take(payloads, lambda payload: decode_ended(payload).events)

    async def _take(
        self, payloads: Sequence[bytes], decode: Callable[[bytes], Sequence[Event]]
    ) -> None:
        subscriptions = await self._subscriptions.current()
        if not subscriptions:
            return
        told: list[tuple[str, Told]] = []
        for payload in payloads:
            for event in self._decoded(payload, decode):
                message = tell(event)
                told += [
                    (one.id, message)
                    for one in subscriptions
                    if wants(one.events, message.event_type)
                ]
        for start in range(0, len(told), _ROWS_PER_INSERT):
            self.queued += await self._deliveries.add(told[start : start + _ROWS_PER_INSERT])
        if told:
            self._wake()

    def _decoded(
        self, payload: bytes, decode: Callable[[bytes], Sequence[Event]]
    ) -> Sequence[Event]:
        try:
            return decode(payload)
        except msgspec.DecodeError as error:
            # It will never be understood: trying again would only hold up the others.
            self.undecodable += 1
            log.error("webhooks.undecodable", error=str(error))  # noqa: TRY400 - no traceback
            return ()


class Sender:
    """Sends what is due, many at a time, no endpoint in another's way."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        deliveries: Deliveries,
        endpoint: Endpoint,
        *,
        utc_now: Callable[[], dt.datetime],
        random: Callable[[], float],
    ) -> None:
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._endpoint = endpoint
        self._utc_now = utc_now
        self._random = random
        self._awake = asyncio.Event()
        self._under_way: Counter[str] = Counter()
        self.delivered = 0
        self.failed = 0

    def wake(self) -> None:
        """There is something to send."""
        self._awake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._awake.clear()
                try:
                    pause_s = await self._round(tasks)
                except Unavailable as error:
                    log.warning("webhooks.waiting", error=str(error))
                    pause_s = _IDLE_S
                await self._sleep(pause_s)

    async def clean(self) -> None:
        """Drop old lines of the delivery log. Raises: Unavailable."""
        await self._deliveries.forget_before(self._utc_now() - _LOG_KEPT)

    async def _round(self, tasks: asyncio.TaskGroup) -> float:
        """Start what is due; seconds until it is worth looking again."""
        if not await self._subscriptions.current():
            return _IDLE_S
        full = [one for one, count in self._under_way.items() if count >= _PER_WEBHOOK]
        room = _MOST_AT_ONCE - self._under_way.total()
        due: list[Delivery] = []
        if room > 0:
            due = await self._deliveries.due(
                self._utc_now(), per_webhook=_PER_WEBHOOK, limit=room, busy=full
            )
        for delivery in due:
            self._under_way[delivery.subscription.id] += 1
            tasks.create_task(self._send(delivery))
        if due:
            return _SHORTEST_PAUSE_S
        return await self._until_next()

    async def _until_next(self) -> float:
        next_at = await self._deliveries.next_at()
        if next_at is None:
            return _IDLE_S
        seconds = (next_at - self._utc_now()).total_seconds()
        # What is due already waits for room at its endpoint, and is woken for by its completion.
        return _IDLE_S if seconds <= 0 else min(_IDLE_S, seconds + _SHORTEST_PAUSE_S)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            pass  # time to look

    async def _send(self, delivery: Delivery) -> None:
        webhook = delivery.subscription
        try:
            await self._try(delivery)
        except Unavailable as error:
            # The outcome could not be written down: the claim runs out and it is sent again.
            log.warning("webhooks.outcome_lost", delivery=delivery.id, error=str(error))
        finally:
            self._under_way[webhook.id] -= 1
            self._under_way += Counter()  # forgets webhooks with nothing under way
            self.wake()

    async def _try(self, delivery: Delivery) -> None:
        webhook, now = delivery.subscription, self._utc_now()
        signed = headers(webhook.secrets, delivery.id, int(now.timestamp()), delivery.body)
        try:
            status = await self._endpoint.post(
                webhook.url,
                signed,
                delivery.body,
                allow_private=self._subscriptions.allow_private,
            )
        except SwitchError as error:
            await self._retry(delivery, None, str(error))
            return
        match outcome_of(status):
            case Outcome.DELIVERED:
                await self._deliveries.done(delivery.id, status)
                self.delivered += 1
            case Outcome.GONE:
                await self._deliveries.disable(webhook.id, "the endpoint answered 410 Gone")
                self._subscriptions.forget()
                self.failed += 1
            case Outcome.RETRY:
                await self._retry(delivery, status, f"answered {status}")

    async def _retry(self, delivery: Delivery, status: int | None, error: str) -> None:
        delay_s = retry_in_s(delivery.attempts, self._random())
        next_at = None
        if delay_s is not None:
            next_at = self._utc_now() + dt.timedelta(seconds=delay_s)
        await self._deliveries.failed(delivery.id, status=status, error=error, next_at=next_at)
        self.failed += 1


class DeliveryLog:
    """What operators see of deliveries, and can ask for again."""

    def __init__(
        self,
        configuration: Configuration,
        deliveries: Deliveries,
        *,
        new_id: Callable[[], str],
        utc_now: Callable[[], dt.datetime],
        wake: Callable[[], None],
    ) -> None:
        self._configuration = configuration
        self._deliveries = deliveries
        self._new_id = new_id
        self._utc_now = utc_now
        self._wake = wake

    async def page(self, webhook_id: str, *, before: str, limit: int, state: str) -> list[Record]:
        """Deliveries of a webhook, newest first. Raises: NotFound."""
        await self._configuration.get(Kind.WEBHOOK, webhook_id)
        return await self._deliveries.page(webhook_id, before=before, limit=limit, state=state)

    async def resend(self, delivery_id: str) -> Record:
        """Send one again, with fresh retries. Raises: NotFound."""
        record = await self._deliveries.resend(delivery_id, self._utc_now())
        self._wake()
        return record

    async def test(self, webhook_id: str) -> None:
        """Send a message that only shows that the endpoint can be reached. Raises: NotFound."""
        await self._configuration.get(Kind.WEBHOOK, webhook_id)
        message = tell_test(webhook_id, self._new_id(), self._utc_now())
        await self._deliveries.add([(webhook_id, message)])
        self._wake()
