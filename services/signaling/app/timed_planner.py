"""Measures how long calls wait for their routes: the second sign of overload."""

from __future__ import annotations

from collections.abc import Callable

from services.signaling.core.commands import FindRoutes
from services.signaling.core.values import Plan
from services.signaling.ports import Planner


class TimedPlanner:
    """Implements :class:`services.signaling.ports.Planner` over another one."""

    def __init__(
        self,
        planner: Planner,
        on_waited: Callable[[float, float], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._planner = planner
        self._on_waited = on_waited
        """Gets seconds waited, and the time."""
        self._monotonic = monotonic

    def plan(
        self, question: FindRoutes, at_unix_ms: int, on_plan: Callable[[Plan | None], None]
    ) -> None:
        """See :meth:`services.signaling.ports.Planner.plan`."""
        asked_at = self._monotonic()

        def measured(plan: Plan | None) -> None:
            # None is also the answer of a routing service that is away: that is no overload.
            if plan is not None:
                now = self._monotonic()
                self._on_waited(now - asked_at, now)
            on_plan(plan)

        self._planner.plan(question, at_unix_ms, measured)
