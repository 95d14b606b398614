"""Waits for routes are measured, absences of routing are not."""

from __future__ import annotations

from services.signaling.app.timed_planner import TimedPlanner
from services.signaling.core.commands import FindRoutes
from services.signaling.core.values import Plan
from tests.support.signaling.ports import FixedPlanner

QUESTION = FindRoutes("ctr_1", "1000", "2000", frozenset())


def test_wait_is_told_before_the_plan() -> None:
    readings = iter([10.0, 10.25, 20.0])
    told: list[object] = []

    def on_waited(waited_s: float, now: float) -> None:
        told.append((waited_s, now))

    def on_plan(plan: Plan | None) -> None:
        told.append(plan)

    inner = FixedPlanner()
    planner = TimedPlanner(inner, on_waited, lambda: next(readings))
    planner.plan(QUESTION, 0, on_plan)
    assert told == [(0.25, 10.25), inner.plan_now]
    inner.plan_now = None
    planner.plan(QUESTION, 0, on_plan)
    assert told[2:] == [None]
