"""Puts the API together: adapters, use cases, routes, and the web server around them."""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn

from services.api.adapters.announcer import BusAnnouncer
from services.api.adapters.answers import PostgresAnswers
from services.api.adapters.books import PostgresBooks
from services.api.adapters.cdrs import ClickHouseRecords
from services.api.adapters.configuration import PostgresConfiguration
from services.api.adapters.database import Database
from services.api.adapters.decks import PostgresDecks
from services.api.adapters.deliveries import PostgresDeliveries
from services.api.adapters.endpoint import HttpEndpoint
from services.api.adapters.guard import GrpcGuard
from services.api.adapters.keys import PostgresKeys
from services.api.adapters.probes import BusProbe, CallProbe
from services.api.adapters.services import ChannelProbe, GrpcCashier, GrpcLiveCalls, GrpcPlanner
from services.api.app.access import Access
from services.api.app.applying import Applying
from services.api.app.health import Health
from services.api.app.objects import Makers, Objects
from services.api.app.payments import Payments
from services.api.app.quotes import Quotes
from services.api.app.tariffs import Tariffs
from services.api.app.webhooks import DeliveryLog, Intake, Sender, Subscriptions
from services.api.core import idempotency, keys, webhook
from services.api.entrypoints.bus import consume
from services.api.entrypoints.http.application import make_application
from services.api.entrypoints.http.dependencies import UseCases
from services.api.ports import Probe
from services.api.settings import Settings
from services.common import ids
from services.common.addresses import split_address
from services.common.bus import Bus
from services.common.clock import monotonic, utc_now
from services.common.errors import Unavailable
from services.common.grpc import open_channel
from services.common.logs import get_logger
from services.common.telemetry import Telemetry

log = get_logger(__name__)

_STATEMENT_TIMEOUT_S = 5.0
_LAST_USED_EVERY_S = 10.0
_CLEAN_EVERY_S = 600.0


class _Server(uvicorn.Server):
    """Signals belong to the process that we are a part of."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.servers = []  # until it listens

    async def serve_at(self, listener: socket.socket) -> None:
        """Serve until told to stop; leaves nothing open when it is cancelled before that."""
        try:
            await self.serve(sockets=[listener])
        finally:
            for server in self.servers:
                server.close()
            listener.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class ApiService:
    """One API process. See :class:`services.common.run.Service`."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._database = Database(
            settings.postgres_dsn,
            max_size=settings.postgres_connections,
            timeout_s=_STATEMENT_TIMEOUT_S,
        )
        self._bus = Bus(
            settings.nats_url, f"api-{settings.node}", replicas=settings.stream_replicas
        )
        self._records = ClickHouseRecords(settings.clickhouse_dsn)
        self._endpoint = HttpEndpoint()
        self._cashier = GrpcCashier(settings.rating_address)
        self._planner = GrpcPlanner(settings.routing_address)
        self._calls = GrpcLiveCalls([a.strip() for a in settings.signaling_address.split(",")])
        self._channels = [self._cashier.channel, self._planner.channel, *self._calls.channels]
        self._access = Access(
            PostgresKeys(self._database),
            admin_key=settings.admin_key,
            utc_now=utc_now,
            monotonic=monotonic,
        )
        self._answers = PostgresAnswers(self._database)
        deliveries = PostgresDeliveries(self._database)
        self._subscriptions = Subscriptions(deliveries, monotonic)
        self._sender = Sender(
            self._subscriptions,
            deliveries,
            self._endpoint,
            utc_now=utc_now,
            random=random.random,
        )
        self._intake = Intake(self._subscriptions, deliveries, self._sender.wake)
        self._server = self._web_server(deliveries)
        self.address = ""
        """Where it listens, once started."""
        self._is_open = False
        telemetry.counter("webhook_deliveries", "Accepted", lambda: self._sender.delivered)
        telemetry.counter("webhook_failures", "Tries that failed", lambda: self._sender.failed)
        telemetry.counter("webhook_queued", "Messages queued", lambda: self._intake.queued)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Listen at once: what needs a server that is still away is answered 503."""
        listener = _listen(self._settings.http)
        host, port = listener.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        tasks.create_task(self._server.serve_at(listener))
        tasks.create_task(self._bus.run())
        await self._database.open()
        self._is_open = True
        self._forget()
        tasks.create_task(consume(self._bus, self._intake, self._forget))
        tasks.create_task(self._sender.run())
        tasks.create_task(_every(_LAST_USED_EVERY_S, self._access.write_last_used))
        tasks.create_task(_every(_CLEAN_EVERY_S, self._clean))
        log.info("api.listening", address=self.address)

    async def drain(self) -> None:
        """Answer what has been asked; accept nothing more."""
        self._server.should_exit = True

    async def close(self) -> None:
        """Release everything."""
        self._server.should_exit = True
        with contextlib.suppress(Unavailable):
            await self._access.write_last_used()
        await self._endpoint.close()
        for channel in self._channels:
            await channel.close()
        self._records.close()
        await self._database.close()

    def ready(self) -> dict[str, bool]:
        """Each condition for taking work."""
        return {"http": self._server.started, "postgres": self._is_open}

    def notes(self) -> dict[str, str]:
        """Nothing."""
        return {}

    def _forget(self) -> None:
        """The configuration changed, here or elsewhere."""
        self._access.forget()
        self._subscriptions.forget()
        self._sender.wake()

    async def _clean(self) -> None:
        await self._answers.forget_before(utc_now() - idempotency.KEPT)
        await self._sender.clean()

    def _web_server(self, deliveries: PostgresDeliveries) -> _Server:
        app = make_application(
            self._use_cases(deliveries),
            access=self._access,
            answers=self._answers,
            largest_body_bytes=self._settings.largest_body_bytes,
            utc_now=utc_now,
        )
        return _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                timeout_keep_alive=30,
                limit_concurrency=2000,
                timeout_graceful_shutdown=10,
            )
        )

    def _use_cases(self, deliveries: PostgresDeliveries) -> UseCases:
        configuration = PostgresConfiguration(self._database)
        decks = PostgresDecks(self._database)
        objects = Objects(configuration, BusAnnouncer(self._bus), MAKERS, self._forget)
        tariffs = Tariffs(configuration, decks, objects, utc_now)
        return UseCases(
            objects=objects,
            tariffs=tariffs,
            applying=Applying(configuration, objects, tariffs, MAKERS, utc_now),
            payments=Payments(
                configuration,
                self._cashier,
                PostgresBooks(self._database),
                lambda: ids.new_id(ids.PAYMENT),
            ),
            quotes=Quotes(configuration, decks, utc_now),
            deliveries=DeliveryLog(
                configuration,
                deliveries,
                new_id=lambda: ids.new_id("evt"),
                utc_now=utc_now,
                wake=self._sender.wake,
            ),
            health=Health(self._probes()),
            calls=self._calls,
            records=self._records,
            planner=self._planner,
            guard=GrpcGuard(self._calls.channels),
            ready=self.ready,
        )

    def _probes(self) -> list[Probe]:
        probes: list[Probe] = [
            CallProbe("postgres", lambda: self._database.fetchrow("SELECT 1")),
            CallProbe("clickhouse", self._records.ping),
            BusProbe(self._bus),
            ChannelProbe("signaling", self._calls.channels),
            ChannelProbe("routing", [self._planner.channel]),
            ChannelProbe("rating", [self._cashier.channel]),
        ]
        if self._settings.media_address:
            channel = open_channel(self._settings.media_address)
            self._channels.append(channel)
            probes.append(ChannelProbe("media", [channel]))
        return probes


MAKERS = Makers(
    new_id=ids.new_id,
    new_key=lambda: keys.make_key(os.urandom(keys.SECRET_BYTES)),
    new_secret=lambda: webhook.make_secret(os.urandom(webhook.SECRET_BYTES)),
    utc_now=utc_now,
)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do something now and then; what fails for want of a database is done the next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Unavailable as error:
            log.warning("api.postponed", error=str(error))


def _listen(address: str) -> socket.socket:
    """Bind before anything else starts: an address that is taken ends the process at once.

    Raises:
        OSError: the address is taken or not ours.
    """
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{error.strerror}: http {address}") from error
    listener.setblocking(False)
    return listener
