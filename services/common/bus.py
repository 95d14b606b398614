"""NATS: durable streams through JetStream, and plain messages that may be lost.

The connection is kept for ever: services start without a server, survive its kill -9, and say
:class:`Unavailable` quickly meanwhile. Whoever must not lose a message writes it to the spool.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from services.common.bus_consumer import Consumer, Message
from services.common.cancellation import surfaced_cancellation
from services.common.errors import Unavailable
from services.common.events import CALLS_STREAM, CDR_STREAM, LOCATION_STREAM
from services.common.logs import get_logger

__all__ = ["Bus", "Message"]

log = get_logger(__name__)

_WEEK_S = 7 * 86_400.0
_DUPLICATE_WINDOW_S = 600.0
"""A batch sent again within this time is stored once; later, consumers recognise it."""
_STREAMS = {CALLS_STREAM: "calls.>", CDR_STREAM: "cdr.>", LOCATION_STREAM: "location.>"}
_LAST_ONLY = frozenset({LOCATION_STREAM})
"""Streams that hold a state: the last message of each subject, and nothing before it."""
_NAME_IN_USE = 10058

Handler: TypeAlias = Callable[[Sequence[Message]], Awaitable[None]]
CoreHandler: TypeAlias = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Subscription:
    subject: str
    handler: CoreHandler


class Bus:
    """One process's connection; :meth:`run` keeps it.

    Args:
        url: ``nats://[user:password@|token@]host:port``, several separated by commas.
        name: what the server's monitoring shows.
        replicas: copies of each stream.
    """

    def __init__(self, url: str, name: str, *, replicas: int = 1) -> None:
        self._servers = [part.strip() for part in url.split(",")]
        self._name = name
        self._replicas = replicas
        self._client: Client | None = None
        self._subscriptions: list[_Subscription] = []
        self._up = asyncio.Event()
        self._closed = asyncio.Event()
        self.published = 0
        self.reconnects = 0

    @property
    def connected(self) -> bool:
        """Whether a message published now would go out."""
        return self._client is not None and self._client.is_connected and self._up.is_set()

    async def run(self) -> None:
        """Connect, create the streams, and stay connected until cancelled."""
        try:
            while True:
                with surfaced_cancellation():
                    await self._stay_connected()
        finally:
            self._closed.set()

    async def _stay_connected(self) -> None:
        client = await self._connect()
        try:
            with surfaced_cancellation():
                await self._prepare(client)
            self._client = client
            self._closed.clear()
            self._up.set()
            log.info("bus.connected")
            await self._closed.wait()
        except (nats.errors.Error, OSError) as error:
            log.warning("bus.not_ready", error=_text(error))
            await asyncio.sleep(0.5)
        finally:
            self._up.clear()
            self._client = None
            await _close(client)

    async def wait_connected(self) -> None:
        """Return once connected with the streams in place; waits as long as it takes."""
        await self._up.wait()

    async def publish(
        self, subject: str, payload: bytes, msg_id: str, *, timeout_s: float = 5.0
    ) -> None:
        """Store a message in its stream; returns once the server has it on disk.

        ``msg_id`` makes repeating harmless.

        Raises:
            Unavailable: it may or may not have been stored; publish it again, unchanged.
        """
        client = self._online()
        with surfaced_cancellation(), _translated():
            async with asyncio.timeout(timeout_s):
                await client.jetstream().publish(
                    subject, payload, timeout=timeout_s, headers={"Nats-Msg-Id": msg_id}
                )
        self.published += 1

    async def publish_core(self, subject: str, payload: bytes) -> None:
        """Tell whoever listens right now.

        Raises:
            Unavailable: not connected.
        """
        client = self._online()
        with surfaced_cancellation(), _translated():
            async with asyncio.timeout(2.0):
                await client.publish(subject, payload)

    async def subscribe_core(self, subject: str, handler: CoreHandler) -> None:
        """Call ``handler`` with every message on ``subject`` from now on, in order.

        May be called before there is a connection. Messages sent while there is none are lost.
        """
        subscription = _Subscription(subject, handler)
        self._subscriptions.append(subscription)
        client = self._client
        if client is not None:
            await _subscribe(client, subscription)

    async def consume(
        self,
        stream: str,
        subject: str,
        durable: str,
        handler: Handler,
        *,
        batch: int = 64,
        ack_wait_s: float = 60.0,
        max_ack_pending: int = 1024,
        spacing_s: float = 0.0,
        forgotten_after_s: float | None = None,
    ) -> None:
        """Feed ``handler`` up to ``batch`` messages at a time, for ever; run it as a task.

        A message is acknowledged once the handler has returned. When it raises, the whole batch
        is delivered again, later and later; so the handler has to be idempotent, and must put
        aside itself what it will never understand. ``ack_wait_s`` has to exceed the longest run
        of the handler. Starts with the oldest message the stream holds, continues over restarts.

        ``spacing_s``: from the start of one run of the handler to the next at the least, while
        there is less than a full batch. After a pause the first message is handed over at once.

        ``forgotten_after_s``: how long the server remembers a consumer that is away; by then it
        has to begin with the oldest message again. Left out, for ever.
        """
        consumer = Consumer(
            stream=stream,
            subject=subject,
            durable=durable,
            handler=handler,
            batch=batch,
            ack_wait_s=ack_wait_s,
            max_ack_pending=max_ack_pending,
            spacing_s=spacing_s,
            forgotten_after_s=forgotten_after_s,
        )
        while True:
            await self._up.wait()
            client = self._client
            try:
                with surfaced_cancellation():
                    if client is not None and client.is_connected:
                        await consumer.run(client)
            except (nats.errors.Error, OSError) as error:
                log.warning("bus.consumer_interrupted", durable=durable, error=_text(error))
            await asyncio.sleep(0.5)

    def _online(self) -> Client:
        client = self._client
        if client is None or not client.is_connected or not self._up.is_set():
            raise Unavailable("bus")
        return client

    async def _connect(self) -> Client:
        pause_s = 0.1
        while True:
            client = Client()
            try:
                await self._reach(client)
            except asyncio.CancelledError:
                await _close(client)
                raise
            except (nats.errors.Error, OSError) as error:
                log.warning("bus.unreachable", error=_text(error))
            else:
                return client
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 2.0)

    async def _reach(self, client: Client) -> None:
        with surfaced_cancellation():
            async with asyncio.timeout(10.0):
                await client.connect(
                    self._servers,
                    name=self._name,
                    connect_timeout=3,
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,  # type: ignore[arg-type]  # only slept for
                    ping_interval=10,
                    max_outstanding_pings=2,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                    reconnected_cb=self._on_reconnected,
                    closed_cb=self._on_closed,
                )

    async def _prepare(self, client: Client) -> None:
        streams = client.jetstream(timeout=5.0)
        for name, subjects in _STREAMS.items():
            config = StreamConfig(
                name=name,
                subjects=[subjects],
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
                max_age=_WEEK_S,
                duplicate_window=_DUPLICATE_WINDOW_S,
                num_replicas=self._replicas,
                max_msgs_per_subject=1 if name in _LAST_ONLY else -1,
            )
            try:
                await streams.add_stream(config)
            except nats.js.errors.BadRequestError as error:
                if error.err_code != _NAME_IN_USE:
                    raise
                await streams.update_stream(config)
        for subscription in self._subscriptions:
            await _subscribe(client, subscription)

    async def _on_error(self, error: Exception) -> None:
        # Four times a second while the server is away, which has been said already.
        if not isinstance(error, OSError):
            log.warning("bus.error", error=_text(error))

    async def _on_disconnected(self) -> None:
        log.warning("bus.disconnected")

    async def _on_reconnected(self) -> None:
        self.reconnects += 1
        log.info("bus.reconnected")

    async def _on_closed(self) -> None:
        self._closed.set()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise :class:`Unavailable` for every failure of the server or the way to it."""
    try:
        yield
    except (nats.errors.Error, OSError) as error:
        raise Unavailable("bus") from error


async def _subscribe(client: Client, subscription: _Subscription) -> None:
    async def on_message(message: Msg) -> None:
        await subscription.handler(message.data)

    await client.subscribe(subscription.subject, cb=on_message)


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(2.0):
            await client.close()
    except (nats.errors.Error, OSError) as error:
        log.warning("bus.close_failed", error=_text(error))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
