"""Composition root of routing."""

import asyncio
import random
from collections.abc import Callable

from services.common.bus import Bus
from services.common.clock import utc_now
from services.common.config_watch import ConfigWatch
from services.common.grpc import Server
from services.common.last_known import LAST_KNOWN, LastKnownFile
from services.common.postgres import READER, Pool, close_pool, lazy_pool
from services.common.telemetry import Telemetry
from services.routing.adapters.kept import KeptConfiguration
from services.routing.adapters.postgres import PostgresConfiguration
from services.routing.app import Routing
from services.routing.entrypoints.grpc import RoutingServicer
from services.routing.settings import RoutingSettings


class RoutingService:
    """Loads the configuration, answers plans, follows changes.

    Nothing is offered before the first configuration is there: until then whoever asks finds
    nobody listening, which is soon known, instead of refusals that look like decisions.
    """

    def __init__(self, settings: RoutingSettings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._bus = Bus(settings.nats_url, f"routing/{settings.node}")
        self._server = Server(settings.grpc_address)
        self._pool: Pool | None = None
        self._routing: Routing | None = None
        self._watch: ConfigWatch | None = None
        self._telemetry = telemetry
        self._observe(telemetry)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Load from Postgres, or from the disk while it is away; listen.

        Raises:
            OSError: the address to listen at is taken or not ours.
        """
        settings = self._settings
        tasks.create_task(self._bus.run())
        self._pool = await lazy_pool(
            settings.postgres_dsn, role=READER, name=f"routing/{settings.node}", max_size=2
        )
        configuration = PostgresConfiguration(self._pool, deck_timeout_s=settings.deck_timeout_s)
        # Shares of calls need to be fair, not unpredictable.
        routing = Routing(configuration, random.Random().random)  # noqa: S311

        async def refresh(_revision: int) -> None:
            await routing.refresh()

        path = settings.data_dir / LAST_KNOWN
        keeper = KeptConfiguration(path.parent, configuration, routing.begin_with)
        watch = ConfigWatch(
            self._pool,
            self._bus,
            refresh,
            poll_s=settings.config_poll_s,
            kept=LastKnownFile(path, "routing", keeper),
        )
        self._watch = watch
        watch.observe(self._telemetry)
        tasks.create_task(watch.run())
        await watch.begin(settings.config_wait_s)
        self._routing = routing
        RoutingServicer(routing, _now_us).add_to(self._server)
        await self._server.start(tasks)

    async def drain(self) -> None:
        """Nothing to wait for: every plan is answered where it is asked."""

    async def close(self) -> None:
        """Stop listening and let go of the database."""
        await self._server.stop()
        if self._pool is not None:
            await close_pool(self._pool)

    def ready(self) -> dict[str, bool]:
        """Ready with a snapshot, however old: databases and bus may be away."""
        return {"configuration": self._routing is not None}

    def notes(self) -> dict[str, str]:
        """See :meth:`services.common.run.Service.notes`."""
        return self._watch.notes if self._watch is not None else {}

    def _observe(self, telemetry: Telemetry) -> None:
        telemetry.counter("plans", "Calls decided", lambda: self._counted(_planned))
        telemetry.counter_by(
            "reason",
            "refusals",
            "Calls refused, by end reason",
            lambda: {} if self._routing is None else self._routing.refused,
        )
        telemetry.gauge("revision", "Configuration in use", lambda: self._counted(_revision))
        telemetry.gauge("rates", "Rate rows in memory", lambda: self._counted(_rates))

    def _counted(self, count: Callable[[Routing], int]) -> int:
        return 0 if self._routing is None else count(self._routing)


def _planned(routing: Routing) -> int:
    return routing.planned


def _revision(routing: Routing) -> int:
    return routing.revision


def _rates(routing: Routing) -> int:
    return routing.snapshot.rates if routing.snapshot else 0


def _now_us() -> int:
    return int(utc_now().timestamp() * 1_000_000)
