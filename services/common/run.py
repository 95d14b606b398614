"""How every service lives: start, be ready, drain, close; and how it dies.

SIGTERM and SIGINT drain, then close; a second one closes at once. A background task that
crashes ends the process with status 1 after one log line with its traceback: the supervisor
starts it again, which is the one recovery that is always tested. Settings that cannot be end it
with status 78, all of them named on stderr: starting it again changes nothing.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import NoReturn, Protocol, TypeVar

import uvloop

from services.common.errors import NOT_CONFIGURED
from services.common.health import Operations, serve_operations
from services.common.logs import configure_logs, get_logger
from services.common.settings import InvalidSettings, ServiceSettings
from services.common.telemetry import Telemetry

log = get_logger(__name__)

_CLOSE_TIMEOUT_S = 10.0
"""Closing flushes a few buffers; what takes longer is hung."""

_GC_THRESHOLDS = (50_000, 20, 100)
"""What ends here is freed by its reference count: a finished call leaves no cycle behind, as a
test sees to. The collector has little to find, and at Python's own thresholds (700, 10, 10) would
walk the live calls again and again while their number grows."""


class Service(Protocol):
    """What the composition root of a service builds."""

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Become able to serve, however long what it depends on takes; return when ready.

        Background work goes into ``tasks``: it ends with the process, and an exception in it
        ends the process. Cancelled when told to stop meanwhile.
        """

    async def drain(self) -> None:
        """Take no new work; return when the work in hand is done."""

    async def close(self) -> None:
        """Release everything. Background tasks still run, and are cancelled once this returns.

        Also called when :meth:`start` did not finish.
        """

    def ready(self) -> dict[str, bool]:
        """Each condition for taking work, such as ``{"bus": True, "routing": False}``."""

    def notes(self) -> dict[str, str]:
        """What is worth knowing beside: a state it can work in, but should not stay in."""


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def run_service(
    name: str, read: Callable[[], SettingsT], build: Callable[[SettingsT, Telemetry], Service]
) -> NoReturn:
    """Run one service in this process until told to stop; never returns."""
    try:
        settings = read()
    except InvalidSettings as wrong:
        _refuse(name, wrong)
        sys.exit(NOT_CONFIGURED)
    configure_logs(name, settings.node, settings.log_level)
    telemetry = Telemetry(
        name,
        settings.node,
        otlp_endpoint=settings.otlp_endpoint,
        trace_ratio=settings.trace_ratio,
    )
    status = uvloop.run(
        _Process(name, settings, telemetry).run(lambda: build(settings, telemetry))
    )
    telemetry.close()
    sys.exit(status)


def _refuse(name: str, wrong: InvalidSettings) -> None:
    """Say what has to be changed, before there is a log to say it in."""
    lines = "".join(f"  {line}\n" for line in wrong.lines)
    sys.stderr.write(f"{name} cannot start with these settings:\n{lines}")


class _Finished(Exception):
    """Ends the task group of a process that has closed."""


class _Process:
    """One run of one service."""

    def __init__(self, name: str, settings: ServiceSettings, telemetry: Telemetry) -> None:
        self._name = name
        self._settings = settings
        self._telemetry = telemetry
        self._service: Service | None = None
        self._is_started = False
        self._draining = asyncio.Event()
        self._stopping = asyncio.Event()
        self._closing = asyncio.Event()

    async def run(self, build: Callable[[], Service]) -> int:
        """The exit status."""
        self._catch_signals()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._service = build()
                operations = Operations(
                    self._ready, self._notes, self._telemetry.exposition, self._draining.set
                )
                ops = await serve_operations(self._settings.ops_address, operations)
                try:
                    await self._live(self._service, tasks)
                finally:
                    ops.close()
                raise _Finished
        except* _Finished:
            log.info("service.stopped", service=self._name)
            return_status = 0
        except* InvalidSettings as wrong:
            for each in wrong.exceptions:
                assert isinstance(each, InvalidSettings)
                _refuse(self._name, each)
            return_status = NOT_CONFIGURED
        except* Exception as crash:
            log.critical("service.crashed", service=self._name, exc_info=crash)
            return_status = 1
        return return_status

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if self._stopping.is_set():
                self._closing.set()
            self._stopping.set()
            self._draining.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)

    def _ready(self) -> dict[str, bool]:
        conditions = self._service.ready() if self._service is not None else {}
        return {
            "started": self._is_started,
            "not_draining": not self._draining.is_set(),
            **conditions,
        }

    def _notes(self) -> dict[str, str]:
        return self._service.notes() if self._service is not None else {}

    async def _live(self, service: Service, tasks: asyncio.TaskGroup) -> None:
        log.info("service.starting", service=self._name)
        try:
            self._is_started = await _unless(self._stopping, service.start(tasks))
            if self._is_started:
                _spare_the_living()
                log.info("service.ready", service=self._name)
                await self._draining.wait()
                await self._drain(service)
                await self._stopping.wait()
        finally:
            await self._close(service)

    async def _drain(self, service: Service) -> None:
        log.info("service.draining", service=self._name)
        try:
            async with asyncio.timeout(self._settings.drain_timeout_s):
                drained = await _unless(self._closing, service.drain())
        except TimeoutError:
            drained = False
        log.info("service.drained", service=self._name, complete=drained)

    async def _close(self, service: Service) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await service.close()
        except TimeoutError:
            log.error("service.close_hung", service=self._name)  # noqa: TRY400 - no traceback


def _spare_the_living() -> None:
    """What is alive once started stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


async def _unless(event: asyncio.Event, work: Coroutine[object, object, None]) -> bool:
    """Do ``work`` unless ``event`` is set first, which cancels it; whether it was done."""
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work)
        waiting = tasks.create_task(event.wait())
        await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
        is_done = working.done()
        working.cancel()
        waiting.cancel()
    return is_done
