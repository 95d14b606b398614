"""A whole switch on one machine, as one object: start it, stop it, look at its processes.

Plain methods, callable from any thread: the processes are looked after by a thread of their own,
which lives from :meth:`LocalSwitch.start` to the end of :meth:`LocalSwitch.stop`.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from deploy.local.children import Command
from deploy.local.clickhouse.unit import ClickHouse
from deploy.local.errors import StartFailed
from deploy.local.layout import Layout
from deploy.local.nats import Nats
from deploy.local.postgres import Postgres
from deploy.local.settings import (
    SERVERS,
    SERVICES,
    Addresses,
    Options,
    service_environment,
)
from deploy.local.supervisor import (
    Keeper,
    Observer,
    Phase,
    Progress,
    all_ready,
    run_once,
    together,
)
from deploy.local.units import Service, Unit
from services.common.errors import SwitchError

SERVICE_STOP_S = 10.0
"""Services other than signaling have nothing to wait for once there are no calls."""

SERVER_STOP_S = 30.0
"""A database may have much to write."""

MIGRATIONS = "migrations"
"""The name of that step in progress reports and logs."""

T = TypeVar("T")


@dataclass(slots=True)
class _Servers:
    """The servers that are ours to run."""

    nats: Nats | None = None
    postgres: Postgres | None = None
    clickhouse: ClickHouse | None = None

    @property
    def units(self) -> list[Unit]:
        """Those there are."""
        candidates: tuple[Unit | None, ...] = (self.nats, self.postgres, self.clickhouse)
        return [unit for unit in candidates if unit is not None]


class LocalSwitch:
    """Servers, migrations and services, under supervision."""

    def __init__(self, options: Options, observer: Observer = lambda _: None) -> None:
        """``observer`` hears of every step, on the supervisor's thread."""
        self._options = options
        self._observer = observer
        self._layout = Layout(options.data)
        self._keepers: dict[str, Keeper] = {}
        self._addresses: Addresses | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: Future[None] = Future()
        self._stop_request: Future[float] = Future()
        self._hurry: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(drain_s=0.0)

    @property
    def addresses(self) -> Addresses:
        """Where everything is, once it is started."""
        if self._addresses is None:
            raise StartFailed("switch", "it was not started")
        return self._addresses

    @property
    def is_started(self) -> bool:
        """Whether everything has come up."""
        return self._started.done()

    def start(self) -> None:
        """Start everything; returns when all of it is ready.

        Raises:
            AlreadyRunning: another switch runs on this data folder.
            StartFailed: something did not come up; everything is stopped again.
        """
        self._thread.start()
        self._started.result()

    def stop(self, *, drain_s: float = 0.0) -> None:
        """Stop everything, signaling first: its calls may go on for ``drain_s``. Idempotent.

        May be called while :meth:`start` is waiting, which then fails.

        Raises:
            SwitchError: supervision itself had failed before.
        """
        if not self._stop_request.done():
            self._stop_request.set_result(drain_s)
        if self._thread.is_alive():
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def hurry(self) -> None:
        """Cut short the drain that a :meth:`stop` in another thread waits for."""
        if self._loop is not None and self._hurry is not None:
            self._loop.call_soon_threadsafe(self._hurry.set)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until supervision ends; whether it has. It ends by itself only when it fails."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def pid(self, name: str) -> int | None:
        """The process of a server or service, while there is one."""
        return self._keepers[name].pid

    def kill(self, name: str) -> None:
        """End a process as a crash would; it is started again unless it is held."""
        self._await(self._keepers[name].kill())

    def hold(self, name: str) -> None:
        """When the process ends do not start it again, until :meth:`release`."""
        self._call(self._keepers[name].allowed.clear)

    def release(self, name: str) -> None:
        """Let the process be started again."""
        self._call(self._keepers[name].allowed.set)

    def wait_ready(self, name: str, timeout_s: float = 30.0) -> None:
        """Wait until the process answers, for instance after it was killed and released.

        Raises:
            StartFailed: it does not within ``timeout_s``.
        """
        self._await(all_ready([self._keepers[name]], timeout_s))

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._await(call())

    def _await(self, work: Coroutine[object, object, T]) -> T:
        if self._loop is None or not self._thread.is_alive():
            work.close()
            raise StartFailed("switch", "it is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # What follows runs on the supervisor's thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._supervise())
        except* SwitchError as failed:
            self._end(_first(failed))
        except* BaseException as crash:  # noqa: BLE001 - raised in the thread that waits for us
            self._end(crash)

    def _end(self, failure: BaseException) -> None:
        if self._started.done():
            self._failure = failure
        else:
            self._started.set_exception(failure)

    async def _supervise(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._hurry = asyncio.Event()
        with ExitStack() as resources:
            self._layout.create()
            resources.enter_context(self._layout.locked())
            sockets = resources.enter_context(self._layout.sockets())
            servers = self._plan_servers(resources)
            self._addresses = self._plan_addresses(servers, sockets)
            async with asyncio.TaskGroup() as tasks:
                starting = tasks.create_task(self._start_all(servers, self._addresses, tasks))
                drain_s = await self._serve(starting)
                await self._stop_all(drain_s, self._hurry)

    async def _serve(self, starting: asyncio.Task[None]) -> float:
        """Until told to stop, which may be in the middle of the start; returns the drain time."""
        stopping = asyncio.wrap_future(self._stop_request)
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            self._started.set_exception(StartFailed("switch", "it was told to stop"))
        elif starting.exception() is None:
            self._started.set_result(None)
        return await stopping

    def _plan_servers(self, resources: ExitStack) -> _Servers:
        """Those of the three servers that the operator has not got already."""
        options, layout = self._options, self._layout
        secrets, ports = layout.secrets(), layout.ports(_port_names())
        servers = _Servers()
        if options.nats_url is None:
            servers.nats = Nats(
                layout.nats, port=ports["nats"], password=secrets["nats"], fsync=options.fsync
            )
        if options.postgres_dsn is None:
            servers.postgres = Postgres(
                layout.postgres,
                port=ports["postgres"],
                password=secrets["postgres"],
                fsync=options.fsync,
                run_as=options.postgres_user,
            )
            resources.callback(servers.postgres.close)
        if options.clickhouse_dsn is None:
            servers.clickhouse = ClickHouse(
                layout.clickhouse,
                port=ports["clickhouse"],
                password=secrets["clickhouse"],
                fsync=options.fsync,
            )
        return servers

    def _plan_addresses(self, servers: _Servers, sockets: Path) -> Addresses:
        options = self._options
        ports = self._layout.ports(_port_names())
        return Addresses(
            nats_url=servers.nats.url if servers.nats else options.nats_url or "",
            postgres_dsn=servers.postgres.dsn if servers.postgres else options.postgres_dsn or "",
            clickhouse_dsn=(
                servers.clickhouse.dsn if servers.clickhouse else options.clickhouse_dsn or ""
            ),
            admin_key=options.admin_key or self._layout.secrets()["admin_key"],
            sip=options.sip,
            rtp=options.rtp,
            http=options.http,
            ops={name: ports[f"{name}.ops"] for name in SERVICES},
            # Sockets in a closed folder, not ports: nobody else on the machine can connect.
            grpc={name: f"unix:{sockets / name}.sock" for name in SERVICES},
        )

    async def _start_all(
        self, servers: _Servers, addresses: Addresses, tasks: asyncio.TaskGroup
    ) -> None:
        await self._start(servers.units, tasks)
        if not self._options.services:
            return
        self._observer(Progress(MIGRATIONS, Phase.STARTING))
        migrate = Command((sys.executable, "-m", "services.common.migrate"), addresses.stores)
        await run_once(MIGRATIONS, migrate, self._layout, self._options.start_timeout_s)
        self._observer(Progress(MIGRATIONS, Phase.READY))
        services = [self._service(name, addresses) for name in self._options.services]
        await self._start(services, tasks)

    def _service(self, name: str, addresses: Addresses) -> Service:
        environment = service_environment(name, self._options, addresses, self._layout)
        command = Command((sys.executable, "-m", f"services.{name}"), environment)
        return Service(name, command, ops_port=addresses.ops[name])

    async def _start(self, units: Sequence[Unit], tasks: asyncio.TaskGroup) -> None:
        keepers = [Keeper(unit, self._layout, self._observer) for unit in units]
        for keeper in keepers:
            self._keepers[keeper.unit.name] = keeper
            tasks.create_task(keeper.run())
        await all_ready(keepers, self._options.start_timeout_s)

    async def _stop_all(self, drain_s: float, hurry: asyncio.Event) -> None:
        """Signaling while its calls still have everything; then what served it; then the data."""
        stages = (
            (("signaling",), drain_s),
            (tuple(name for name in SERVICES if name != "signaling"), SERVICE_STOP_S),
            (SERVERS, SERVER_STOP_S),
        )
        for names, limit_s in stages:
            keepers = [self._keepers[name] for name in names if name in self._keepers]
            calm = hurry if names == ("signaling",) else asyncio.Event()
            await together(keeper.stop(limit_s, calm) for keeper in keepers)


def _port_names() -> list[str]:
    return [*SERVERS, *(f"{name}.ops" for name in SERVICES)]


def _first(failed: BaseExceptionGroup[SwitchError]) -> BaseException:
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
