"""Tells a service that the configuration in Postgres has changed."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.common.bus import Bus
from services.common.clock import monotonic, utc_now
from services.common.errors import Unavailable
from services.common.events import CONFIG_CHANGED_SUBJECT
from services.common.last_known import LastKnownFile
from services.common.logs import get_logger
from services.common.postgres import Pool, bounded
from services.common.telemetry import Telemetry

log = get_logger(__name__)

_TIMEOUT_S = 5.0
_RETRY_S = 1.0
"""How soon Postgres is asked again that was away."""
_CONFIRM_S = 60.0


@dataclass(frozen=True, slots=True)
class Stale:
    """What a service goes by that has not seen Postgres since it started."""

    revision: int
    since: dt.datetime
    """When this was last known to be the newest, within a minute."""

    def __str__(self) -> str:
        return f"revision {self.revision}, last known to be the newest at {self.since:%FT%TZ}"


class ConfigWatch:
    """Calls ``on_change`` with each new revision: at once when told over the bus, else by polling.

    Revisions may be skipped, never repeated, and ``on_change`` is never entered twice at once.
    While it raises anything the revision counts as not taken, and it is tried again.

    ``kept`` is where what was taken is written down, to begin with when Postgres is away.
    """

    def __init__(
        self,
        pool: Pool,
        bus: Bus | None,
        on_change: Callable[[int], Awaitable[None]],
        *,
        poll_s: float = 3.0,
        kept: LastKnownFile | None = None,
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._on_change = on_change
        self._poll_s = poll_s
        self._kept = kept
        self._told = asyncio.Event()
        self._taken = asyncio.Event()
        self._is_to_keep = asyncio.Event()
        self._checked_at = monotonic()
        self._keep_at = self._checked_at
        self.revision = 0
        """The last one taken from Postgres; 0 before the first."""
        self.stale: Stale | None = None
        self.failures = 0
        """Times that a configuration could not be taken although Postgres yielded it."""

    @property
    def unchecked_s(self) -> float:
        """Seconds since the revision was last known to be the newest."""
        return monotonic() - self._checked_at

    @property
    def is_fresh(self) -> bool:
        """Whether Postgres has yielded a configuration since the start."""
        return self._taken.is_set()

    async def taken_within(self, patience_s: float) -> bool:
        """Whether Postgres yields the configuration within this time; :meth:`run` has to run."""
        try:
            async with asyncio.timeout(patience_s):
                await self._taken.wait()
        except TimeoutError:
            return False
        return True

    async def begin(self, patience_s: float) -> None:
        """Return once there is a configuration: the newest, or after a while the last known.

        Waits for Postgres as long as it takes where nothing is known.
        """
        if await self.taken_within(patience_s) or await self._go_by_the_last_known():
            return
        await self._taken.wait()

    async def run(self) -> None:
        """Take the configuration, and follow its changes until cancelled."""
        if self._bus is not None:
            await self._bus.subscribe_core(CONFIG_CHANGED_SUBJECT, self._on_message)
        async with asyncio.TaskGroup() as tasks:
            if self._kept is not None:
                tasks.create_task(self._keep(self._kept))
            await self._follow()

    async def _follow(self) -> None:
        while True:
            is_up = await self._check()
            try:
                async with asyncio.timeout(self._poll_s if is_up else min(self._poll_s, _RETRY_S)):
                    await self._told.wait()
            except TimeoutError:
                pass  # nothing heard: look all the same, messages may be lost
            self._told.clear()

    async def _keep(self, kept: LastKnownFile) -> None:
        # Beside, because the rates of a large deck take a while to be written.
        while True:
            await self._is_to_keep.wait()
            self._is_to_keep.clear()
            await kept.keep(self.revision)

    def observe(self, telemetry: Telemetry) -> None:
        """Export how far what is in force can be trusted to be the newest."""
        telemetry.gauge(
            "config_unchecked_seconds",
            "Since the configuration was last known to be the newest",
            lambda: self.unchecked_s,
        )
        telemetry.gauge(
            "config_stale",
            "Whether it is the last known one, Postgres being away since the start",
            lambda: float(self.stale is not None),
        )
        telemetry.counter(
            "config_failures_total", "Configurations not taken", lambda: self.failures
        )

    @property
    def notes(self) -> dict[str, str]:
        """For those who look at the readiness: what else they should know."""
        return {} if self.stale is None else {"stale_configuration": str(self.stale)}

    async def _on_message(self, _payload: bytes) -> None:
        # The message says only that it is worth looking: Postgres knows the revision.
        self._told.set()

    async def _go_by_the_last_known(self) -> bool:
        found = None if self._kept is None else await self._kept.find()
        if found is None or self.is_fresh or not found.take():
            return False  # nothing of use, or too late
        self.stale = Stale(found.revision, found.confirmed_at)
        self._checked_at -= max(0.0, (utc_now() - found.confirmed_at).total_seconds())
        log.warning("config.stale", known=str(self.stale))
        return True

    async def _check(self) -> bool:
        try:
            revision = await self._read()
            if is_new := revision != self.revision or not self.is_fresh:
                await self._on_change(revision)
        except Unavailable as error:
            cause = error.__cause__
            log.warning(
                "config.unavailable", error=str(error), cause=f"{type(cause).__name__}: {cause}"
            )
            return False
        except Exception:
            # A row nobody foresaw, a schema that is being restored: a service that has a
            # configuration is of more use with it than ended, again and again.
            log.exception("config.failed")
            self.failures += 1
            return False
        now = self._checked_at = monotonic()
        if is_new:
            log.info("config.taken", revision=revision)
            self.revision, self.stale = revision, None
            self._taken.set()
        if is_new or now >= self._keep_at:
            self._keep_at = now + _CONFIRM_S
            self._is_to_keep.set()
        return True

    async def _read(self) -> int:
        async with bounded("config database", _TIMEOUT_S):
            revision = await self._pool.fetchval("SELECT n FROM config.revision")
        return int(revision)
