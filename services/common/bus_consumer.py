"""One durable JetStream consumer: pulls, hands over, acknowledges.

The client library's own fetch waits for a full batch or its timeout; this one hands over what
has arrived as soon as the handler is free, so a quiet stream has no delay and a busy one has
large batches.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from services.common.errors import Unavailable
from services.common.logs import get_logger

log = get_logger(__name__)

_PULL_S = 10.0
"""How long the server keeps an unfilled request open."""
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream."""

    subject: str
    payload: bytes
    msg_id: str
    """What its publisher called it."""
    stream_seq: int
    deliveries: int
    """1 the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """See :meth:`services.common.bus.Bus.consume`."""

    stream: str
    subject: str
    durable: str
    handler: Callable[[Sequence[Message]], Awaitable[None]]
    batch: int
    ack_wait_s: float
    max_ack_pending: int

    async def run(self, client: Client) -> None:
        """Consume until the connection fails or the task is cancelled.

        Raises:
            nats.errors.Error: the server refused, or went away.
        """
        await client.jetstream(timeout=5.0).add_consumer(self.stream, self._config())
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = client.new_inbox()

        async def on_message(message: Msg) -> None:
            arrived.put_nowait(message)

        subscription = await client.subscribe(inbox, cb=on_message)
        try:
            await self._pull(client, inbox, arrived)
        finally:
            if client.is_connected:
                await subscription.unsubscribe()

    async def _pull(self, client: Client, inbox: str, arrived: asyncio.Queue[Msg]) -> None:
        pause_s = 0.0
        wanted = 0
        while True:
            if wanted <= 0:
                await self._request(client, inbox)
                wanted = self.batch
            messages = await _next(arrived, self.batch)
            if messages is None:
                # The request has run out, or the server has forgotten it: ask again.
                wanted = 0
                if not client.is_connected:
                    raise nats.errors.ConnectionReconnectingError
                continue
            found = [message for message in messages if message.reply]
            # A message without reply address is a status: the request it answers is over.
            wanted = 0 if len(found) < len(messages) else wanted - len(found)
            if found:
                pause_s = await self._handle(found, pause_s)

    async def _request(self, client: Client, inbox: str) -> None:
        request = {"batch": self.batch, "expires": int(_PULL_S * 1e9)}
        await client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.durable}",
            json.dumps(request).encode(),
            reply=inbox,
        )

    async def _handle(self, found: list[Msg], pause_s: float) -> float:
        try:
            await self.handler([_message(one) for one in found])
        except Unavailable as error:
            log.warning("bus.handler_unavailable", durable=self.durable, error=str(error))
        except Exception:
            log.exception("bus.handler_failed", durable=self.durable)
        else:
            for one in found:
                await one.ack()
            return 0.0
        pause_s = min(max(pause_s * 2, 0.25), _LONGEST_PAUSE_S)
        for one in found:
            await one.nak(pause_s)
        # What comes next would fail as well.
        await asyncio.sleep(pause_s)
        return pause_s

    def _config(self) -> ConsumerConfig:
        return ConsumerConfig(
            durable_name=self.durable,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait_s,
            max_deliver=-1,
            max_ack_pending=self.max_ack_pending,
            filter_subject=self.subject,
        )


async def _next(arrived: asyncio.Queue[Msg], limit: int) -> list[Msg] | None:
    try:
        async with asyncio.timeout(_PULL_S + 2.0):
            messages = [await arrived.get()]
    except TimeoutError:
        return None
    while len(messages) < limit and not arrived.empty():
        messages.append(arrived.get_nowait())
    return messages


def _message(message: Msg) -> Message:
    metadata = message.metadata
    return Message(
        subject=message.subject,
        payload=message.data,
        msg_id=(message.headers or {}).get("Nats-Msg-Id", ""),
        stream_seq=metadata.sequence.stream,
        deliveries=metadata.num_delivered or 1,
    )
