"""One durable JetStream consumer: pulls, hands over, acknowledges.

The client library's own fetch waits for a full batch or its timeout; this one hands over what
has arrived as soon as the handler is free, so a quiet stream has no delay and a busy one has
large batches. A handler that costs much however little it is given may be spaced out.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from services.common.cancellation import surfaced_cancellation
from services.common.clock import monotonic
from services.common.errors import Unavailable
from services.common.logs import get_logger

log = get_logger(__name__)

_PULL_S = 10.0
"""How long the server keeps an unfilled request open."""
_LOOK_UP_S = 0.5
"""How often a consumer without messages looks whether its connection is still the same."""
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
    spacing_s: float
    forgotten_after_s: float | None = None

    async def run(self, client: Client) -> None:
        """Consume until the connection fails or the task is cancelled.

        Raises:
            nats.errors.Error: the server refused, or went away.
        """
        with surfaced_cancellation():
            await client.jetstream(timeout=5.0).add_consumer(self.stream, self._config())
        arrived = _Arrivals()
        inbox = client.new_inbox()

        async def on_message(message: Msg) -> None:
            arrived.add(message)

        with surfaced_cancellation():
            subscription = await client.subscribe(inbox, cb=on_message)
        try:
            await self._pull(client, inbox, arrived)
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()
                for message in arrived.rest():
                    await message.nak()  # or nobody would have it until ``ack_wait_s`` is over

    async def _pull(self, client: Client, inbox: str, arrived: "_Arrivals") -> None:
        pause_s = 0.0
        wanted = 0
        asked_at = 0.0
        next_at = 0.0
        reconnects = client.stats["reconnects"]
        while True:
            if wanted <= 0:
                with surfaced_cancellation():
                    await self._request(client, inbox)
                wanted, asked_at = self.batch, monotonic()
            messages = await arrived.take(wanted, next_at)
            found = [message for message in messages if message.reply]
            # A message without reply address is a status: the request it answers is over.
            is_over = len(found) < len(messages) or monotonic() - asked_at > _PULL_S + 1.0
            wanted = 0 if is_over else wanted - len(found)
            if found:
                next_at = monotonic() + self.spacing_s
                with surfaced_cancellation():
                    pause_s = await self._handle(found, pause_s)
            if not client.is_connected or client.stats["reconnects"] != reconnects:
                # The request died with the connection.
                raise nats.errors.ConnectionReconnectingError

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
            inactive_threshold=self.forgotten_after_s,
        )


class _Arrivals:
    """Messages between the connection and the handler."""

    __slots__ = ("_enough", "_is_enough", "_messages")

    def __init__(self) -> None:
        self._messages: list[Msg] = []
        self._enough = 1
        self._is_enough = asyncio.Event()

    def add(self, message: Msg) -> None:
        """Take in one more; a status is worth looking at by itself."""
        self._messages.append(message)
        if len(self._messages) >= self._enough or not message.reply:
            self._is_enough.set()

    async def take(self, most: int, not_before: float) -> list[Msg]:
        """What has arrived, once ``not_before`` is past or there are ``most``.

        Nothing when nothing comes for a while.
        """
        if not self._messages:
            await self._wait(1, _LOOK_UP_S)
        wait_s = not_before - monotonic()
        if self._messages and wait_s > 0:
            await self._wait(most, wait_s)
        taken, self._messages = self._messages[:most], self._messages[most:]
        return taken

    def rest(self) -> list[Msg]:
        """What nobody took, statuses left out."""
        return [message for message in self._messages if message.reply]

    async def _wait(self, enough: int, timeout_s: float) -> None:
        self._enough = enough
        if len(self._messages) >= enough:
            return
        self._is_enough.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_enough.wait()
        except TimeoutError:
            pass  # then what there is will do


def _message(message: Msg) -> Message:
    metadata = message.metadata
    return Message(
        subject=message.subject,
        payload=message.data,
        msg_id=(message.headers or {}).get("Nats-Msg-Id", ""),
        stream_seq=metadata.sequence.stream,
        deliveries=metadata.num_delivered or 1,
    )
