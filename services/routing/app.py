"""Plans calls by the newest configuration there is."""

import gc

from services.common.errors import Unavailable
from services.routing.core.plan import Draw, Plan, Refusal, Request, plan
from services.routing.core.snapshot import Snapshot
from services.routing.ports import Configuration


class Routing:
    """Keeps one snapshot in memory and answers from it alone: nothing here waits for a database.

    Without its configuration database it goes on with what it has.
    """

    def __init__(self, configuration: Configuration, draw: Draw) -> None:
        self._configuration = configuration
        self._draw = draw
        self.snapshot: Snapshot | None = None
        self.planned = 0
        self.refused: dict[str, int] = {}
        """Calls refused, by end reason."""
        self.loads = 0
        self._is_provisional = False

    @property
    def revision(self) -> int:
        """Of the configuration in use; 0 before the first."""
        return self.snapshot.revision if self.snapshot else 0

    def begin_with(self, snapshot: Snapshot) -> None:
        """Plan by what was known when the process before this one lived.

        The first configuration that can be loaded takes its place as a whole, whatever its
        revision: the database may have been restored from a backup meanwhile.
        """
        self.snapshot, self._is_provisional = snapshot, True

    async def refresh(self) -> None:
        """Take over the newest configuration; calls are planned by the old one until it is there.

        Raises:
            Unavailable: it cannot be read now; nothing has changed.
        """
        is_first = self.snapshot is None
        if is_first or self._is_provisional:
            loaded = await self._configuration.load(None)
        else:
            loaded = await self._configuration.load(self.snapshot)
            if loaded.revision < self.revision:
                return  # a replica that lags behind, or a slower reload overtaken by a later one
        self.snapshot, self._is_provisional = loaded, False
        self.loads += 1
        if is_first:
            # What was just built stays: the collector need never look at it again.
            gc.collect()
            gc.freeze()

    def plan(self, request: Request) -> Plan | Refusal:
        """Decide one call.

        Raises:
            Unavailable: no configuration was loaded so far.
        """
        if self.snapshot is None:
            raise Unavailable("routing configuration")
        decision = plan(self.snapshot, request, self._draw)
        self.planned += 1
        if isinstance(decision, Refusal):
            self.refused[decision.reason] = self.refused.get(decision.reason, 0) + 1
        return decision
