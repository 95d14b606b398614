"""Tells a service that the configuration in Postgres has changed."""

import asyncio
from collections.abc import Awaitable, Callable

from services.common.bus import Bus
from services.common.clock import monotonic
from services.common.errors import Unavailable
from services.common.events import CONFIG_CHANGED_SUBJECT
from services.common.logs import get_logger
from services.common.postgres import Pool, bounded

log = get_logger(__name__)

_TIMEOUT_S = 5.0


class ConfigWatch:
    """Calls ``on_change`` with each new revision: at once when told over the bus, else by polling.

    Revisions may be skipped, never repeated, and ``on_change`` is never entered twice at once.
    While it raises :class:`Unavailable` the revision counts as not taken, and it is tried again.
    """

    def __init__(
        self,
        pool: Pool,
        bus: Bus | None,
        on_change: Callable[[int], Awaitable[None]],
        *,
        poll_s: float = 3.0,
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._on_change = on_change
        self._poll_s = poll_s
        self._told = asyncio.Event()
        self._checked_at = monotonic()
        self.revision = 0
        """The last one taken; 0 before the first."""

    @property
    def unchecked_s(self) -> float:
        """Seconds since the revision was last known to be the newest."""
        return monotonic() - self._checked_at

    async def load(self) -> None:
        """Take the configuration for the first time; waits for Postgres as long as it takes."""
        while not await self._check():  # noqa: ASYNC110 - what is awaited is another machine
            await asyncio.sleep(1.0)

    async def run(self) -> None:
        """Follow changes until cancelled."""
        if self._bus is not None:
            await self._bus.subscribe_core(CONFIG_CHANGED_SUBJECT, self._on_message)
        while True:
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._told.wait()
            except TimeoutError:
                pass  # nothing heard: look all the same, messages may be lost
            self._told.clear()
            await self._check()

    async def _on_message(self, _payload: bytes) -> None:
        # The message says only that it is worth looking: Postgres knows the revision.
        self._told.set()

    async def _check(self) -> bool:
        try:
            revision = await self._read()
            if revision != self.revision:
                await self._on_change(revision)
                log.info("config.taken", revision=revision)
                self.revision = revision
        except Unavailable as error:
            log.warning("config.unavailable", error=str(error))
            return False
        self._checked_at = monotonic()
        return True

    async def _read(self) -> int:
        async with bounded("config database", _TIMEOUT_S):
            revision = await self._pool.fetchval("SELECT n FROM config.revision")
        return int(revision)
