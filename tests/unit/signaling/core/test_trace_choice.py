"""Which calls are followed."""

from __future__ import annotations

from services.signaling.core.record import AttemptRecord, CallRecord
from services.signaling.core.trace_choice import NO_TRACES, TraceChoice, prefixes_of
from tests.support.signaling.machine import WALL, candidate


def record(caller: str = "441", called: str = "49123", *, vendor: int = 0) -> CallRecord:
    made = CallRecord("cal_1", "n1", 100.0, WALL)
    made.customer_trunk_id, made.caller, made.called = "ctr_1", caller, called
    if vendor:
        made.attempts.append(AttemptRecord(candidate(vendor), 100.0))
    return made


def test_nobody_unless_told() -> None:
    assert not NO_TRACES.is_any
    assert not NO_TRACES.wants(record(vendor=1))


def test_everybody() -> None:
    choice = TraceChoice(is_all=True)
    assert choice.is_any
    assert choice.wants(CallRecord("cal_1", "n1", 100.0, WALL))


def test_by_trunk_of_either_side() -> None:
    assert TraceChoice(trunks=["ctr_1"]).wants(record())
    vendors = TraceChoice(trunks=["vtr_2"])
    assert vendors.is_any
    assert [vendors.wants(record(vendor=number)) for number in (0, 1, 2)] == [False, False, True]


def test_by_the_beginning_of_either_number() -> None:
    choice = TraceChoice(prefixes=prefixes_of("49123, 44,,x"))
    assert choice.wants(record())
    assert choice.wants(record("+44", "1"))
    assert choice.wants(record("1", "+491234"))
    assert not choice.wants(record("1", "4912"))
    assert prefixes_of("") == ()
