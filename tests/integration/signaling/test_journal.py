"""Answered calls in a real spool, from one process to the next."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from services.common.clock import utc_now
from services.common.spool import Spool
from services.signaling.adapters.journal import SpooledCalls
from services.signaling.core.commands import Persist
from services.signaling.core.snapshot import CallSnapshot, EndNote
from services.signaling.core.takeover import Left, LiveCall
from tests.integration.common.test_spool import Stream, spooling
from tests.support.signaling.machine import WALL, Machine, only

WALL_NOW = WALL + dt.timedelta(seconds=60)


def journal(spool: Spool, boot: str = "boot-1") -> SpooledCalls:
    return SpooledCalls(spool, boot=boot, utc_now=lambda: WALL_NOW)


def snapshot() -> CallSnapshot:
    machine = Machine()
    machine.answer(105.0)
    return only(machine.history, Persist).snapshot


async def test_a_call_is_found_until_it_is_forgotten(tmp_path: Path) -> None:
    kept = snapshot()
    async with spooling(tmp_path, Stream()) as spool:
        first = journal(spool)
        for call_id in ("cal_2", "cal_1", "cal_3"):
            first.keep(call_id, kept)
        first.keep_end("cal_2", EndNote({"ended_at": 120.0}))
        first.forget("cal_3")
        first.forget("cal_never_kept")
    async with spooling(tmp_path, Stream()) as spool:
        second = journal(spool)
        left = second.take_over(200.0)
        assert left.interrupted == []
        assert [live._replace(lost_at=None) for live in left.answered] == [
            LiveCall(kept),
            LiveCall(kept, EndNote({"ended_at": 120.0})),
        ]
        assert second.take_over(200.0) == Left([], [])
        second.forget("cal_1")
        second.forget("cal_2")
    async with spooling(tmp_path, Stream()) as spool:
        assert spool.left_behind == {}


@pytest.mark.parametrize("boot", ["boot-2", ""])
async def test_after_a_start_of_the_machine_instants_go_by_the_wall_clock(
    tmp_path: Path, boot: str
) -> None:
    async with spooling(tmp_path, Stream()) as spool:
        journal(spool).keep("cal_1", snapshot())
    async with spooling(tmp_path, Stream()) as spool:
        second = SpooledCalls(spool, boot=boot, utc_now=utc_now)
        ((live,), _) = second.take_over(7.0)
        since_s = (utc_now() - WALL).total_seconds()
        assert live.shift_s == pytest.approx(7.0 - since_s - 100.0, abs=5)
        assert live.lost_at == pytest.approx(7.0, abs=60)
        second.forget("cal_1")


async def test_what_cannot_be_read_is_counted_and_dropped(tmp_path: Path) -> None:
    async with spooling(tmp_path, Stream()) as spool:
        spool.keep("cal_1", b"\x93not what we write")
        journal(spool).keep("cal_2", snapshot())
    async with spooling(tmp_path, Stream()) as spool:
        second = journal(spool)
        assert len(second.take_over(200.0).answered) == 1
        assert second.unreadable == 1
        second.forget("cal_2")
    async with spooling(tmp_path, Stream()) as spool:
        assert spool.left_behind == {}


async def test_signs_of_life_are_no_calls_and_go_with_the_last_one(tmp_path: Path) -> None:
    async with spooling(tmp_path, Stream()) as spool:
        first = journal(spool)
        for now in (100.0, 101.0, 111.0):
            first.beat(now)
    async with spooling(tmp_path, Stream()) as spool:
        assert spool.left_behind == {"alive": b""}
        second = journal(spool)
        assert second.take_over(200.0) == Left([], [])
        second.beat(200.0)
        second.rest()
        second.rest()
    async with spooling(tmp_path, Stream()) as spool:
        assert spool.left_behind == {}
