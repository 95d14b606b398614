"""Keeps processes running: starts them, starts them again, stops them in order."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from deploy.local import children
from deploy.local.children import Command
from deploy.local.errors import StartFailed
from deploy.local.layout import Layout
from deploy.local.units import Unit
from services.common.clock import monotonic
from services.common.errors import NOT_CONFIGURED

PROBE_INTERVAL_S = 0.03
"""Between two questions whether a process is ready: a start should not wait on its supervisor."""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
"""Before a process that died is started again; the pause doubles while it keeps dying."""

STEADY_S = 10.0
"""A process that lived this long has recovered: its next pause is the first one again."""

ATTEMPTS_TO_START = 3
"""Deaths before the first readiness after which the whole start has failed."""

LAST_PATIENCE_S = 10.0
"""Between the second request to stop, which means "at once", and the kill."""


class Phase(StrEnum):
    """What just happened to a process."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of one process, for the console."""

    name: str
    phase: Phase
    detail: str = ""


Observer = Callable[[Progress], None]
"""Called from the supervisor's thread; must not block."""


class Keeper:
    """Keeps one unit running until it is told to stop."""

    def __init__(
        self,
        unit: Unit,
        layout: Layout,
        observer: Observer,
        *,
        last_patience_s: float = LAST_PATIENCE_S,
    ) -> None:
        self.unit = unit
        self.ready = asyncio.Event()
        """Set while the process answers."""
        self.allowed = asyncio.Event()
        """Cleared to keep the process from being started again."""
        self.allowed.set()
        self._log = layout.log(unit.name)
        self._observer = observer
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._stop_signal = signal.SIGTERM
        self._was_ready = False
        self._last_patience_s = last_patience_s

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Start the process whenever it is not running, until :meth:`stop`.

        Raises:
            StartFailed: it died several times before it was ready even once, or said that its
                settings are wrong.
        """
        pause_s, deaths = FIRST_PAUSE_S, 0
        while await self._may_start():
            started_at = monotonic()
            ending = await self._live()
            if self._stopping.is_set():
                break
            deaths += 1
            is_hopeless = ending == f"exit {NOT_CONFIGURED}" or deaths >= ATTEMPTS_TO_START
            if not self._was_ready and is_hopeless:
                raise StartFailed(self.unit.name, ending, children.last_words(self._log))
            if monotonic() - started_at > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self._tell(Phase.DIED, f"{ending}, again in {pause_s:.1f} s")
            await _wait(self._stopping, pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self._tell(Phase.STOPPED)

    async def stop(self, limit_s: float, hurry: asyncio.Event) -> None:
        """Ask the process to end, and end it when ``limit_s`` is over or ``hurry`` set.

        The second request of a service means "now"; only what ignores that is killed.
        """
        self._stopping.set()
        self.allowed.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._tell(Phase.STOPPING)
        for patience_s, cut_short in (
            (limit_s, hurry),
            (self._last_patience_s, asyncio.Event()),
        ):
            _send(process, self._stop_signal)
            if await self._ends(process, patience_s, cut_short):
                return
        _send(process, signal.SIGKILL)
        await process.wait()

    async def kill(self) -> None:
        """End the process at once, as a crash would; returns when it is gone."""
        process = self._process
        if process is not None and process.returncode is None:
            _send(process, signal.SIGKILL)
            await process.wait()
            self.ready.clear()

    async def answers(self) -> None:
        """Wait until the process answers: asked now, because it may just have been killed."""
        await self.ready.wait()
        while not await self.unit.is_ready():
            await asyncio.sleep(PROBE_INTERVAL_S)
            await self.ready.wait()

    async def _may_start(self) -> bool:
        await self.allowed.wait()
        return not self._stopping.is_set()

    async def _live(self) -> str:
        """One life of the process; returns how it ended."""
        try:
            await _to_its_end(self.unit.prepare)
            command = self.unit.command()
            self._tell(Phase.STARTING)
            process = await children.spawn(command, self._log)
        except (OSError, StartFailed) as error:
            if self._was_ready:
                return str(error)  # a disk that is full now may not be later
            raise StartFailed(self.unit.name, str(error)) from error
        self._stop_signal = command.stop_signal
        self._process = process
        if self._stopping.is_set():  # told while the process was being made
            _send(process, signal.SIGKILL)
        return await self._attend(process, command)

    async def _attend(self, process: Process, command: Command) -> str:
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch_readiness())
                status = await process.wait()
                watching.cancel()
        finally:
            self.ready.clear()
            if process.returncode is None:  # supervision itself is being torn down
                _send(process, command.death_signal)
                await process.wait()
        return f"exit {status}"

    async def _watch_readiness(self) -> None:
        while not await self.unit.is_ready():  # noqa: ASYNC110 - another process has no Event
            await asyncio.sleep(PROBE_INTERVAL_S)
        self._was_ready = True
        self.ready.set()
        self._tell(Phase.READY)

    async def _ends(self, process: Process, limit_s: float, hurry: asyncio.Event) -> bool:
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(process.wait())
            hurrying = tasks.create_task(hurry.wait())
            await asyncio.wait(
                (ending, hurrying), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
            has_ended = ending.done()
            ending.cancel()
            hurrying.cancel()
        return has_ended

    def _tell(self, phase: Phase, detail: str = "") -> None:
        self._observer(Progress(self.unit.name, phase, detail))


async def all_ready(keepers: Iterable[Keeper], limit_s: float) -> None:
    """Wait until every process answers.

    Raises:
        StartFailed: one did not within ``limit_s``.
    """
    waiting = {keeper.unit.name: keeper for keeper in keepers}
    try:
        async with asyncio.timeout(limit_s):
            for name, keeper in list(waiting.items()):
                await keeper.answers()
                del waiting[name]
    except TimeoutError as error:
        late = ", ".join(waiting)
        raise StartFailed(late, f"not ready within {limit_s:.0f} s") from error


async def run_once(name: str, command: Command, layout: Layout, limit_s: float) -> None:
    """Run a program to its end.

    Raises:
        StartFailed: it failed, or did not end within ``limit_s``.
    """
    log = layout.log(name)
    process = await children.spawn(command, log)
    try:
        async with asyncio.timeout(limit_s):
            status = await process.wait()
    except TimeoutError as error:
        raise StartFailed(
            name, f"not done within {limit_s:.0f} s", children.last_words(log)
        ) from error
    finally:
        _send(process, signal.SIGKILL)
        await process.wait()
    if status:
        raise StartFailed(name, f"exit {status}", children.last_words(log))


async def together(work: Iterable[Coroutine[object, object, None]]) -> None:
    """Do several things at once; the first error ends them all."""
    async with asyncio.TaskGroup() as tasks:
        for coroutine in work:
            tasks.create_task(coroutine)


async def _to_its_end(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread; when cancelled, wait for it all the same.

    A thread cannot be stopped, and what it works on is about to be cleared away.
    """
    working = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait((working,))
        working.exception()  # seen, and of no interest any more
        raise


async def _wait(event: asyncio.Event, limit_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()


def _send(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it ended in this very moment
            process.send_signal(number)
