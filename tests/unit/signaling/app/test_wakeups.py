"""One heap of deadlines."""

from __future__ import annotations

from services.signaling.app import wakeups
from services.signaling.app.wakeups import NEVER, Wakeups
from services.signaling.core.call import Call
from tests.support.signaling.machine import CALLER, WALL, Machine, candidate, context, wire_request


def dialled(now: float, trying_s: int) -> Call:
    """A call whose vendor has so long to say something."""
    machine = Machine(candidate(1, trying_timeout_ms=trying_s * 1000, ringing_timeout_ms=60_000))
    machine.dial(now)
    return machine.call


def test_calls_without_a_deadline_have_no_entry() -> None:
    heap = Wakeups()
    call = Call(context(), "c", wire_request("INVITE"), "k", CALLER, 0.0, WALL)
    heap.update(call)
    assert heap.next == NEVER
    assert call.timer is None


def test_calls_are_due_in_order_and_once() -> None:
    heap = Wakeups()
    calls = [dialled(100.0, trying_s) for trying_s in (5, 2, 9)]
    for call in calls:
        heap.update(call)
    assert heap.next == 102.0
    assert heap.due(101.9) == []
    assert heap.due(105.0) == [calls[1], calls[0]]
    assert heap.due(105.0) == []
    assert heap.next == 109.0


def test_a_deadline_that_moved_away_is_filed_again() -> None:
    heap = Wakeups()
    machine = Machine(candidate(1, trying_timeout_ms=2_000, ringing_timeout_ms=60_000))
    invite = machine.dial()
    heap.update(machine.call)
    machine.say(invite, 100, 101.0)
    heap.update(machine.call)
    assert heap.next == 102.0  # where it was
    assert heap.due(102.0) == []
    assert heap.next == 160.0


def test_a_deadline_that_came_closer_acts_in_time() -> None:
    heap = Wakeups()
    machine = Machine(candidate(1, trying_timeout_ms=30_000))
    machine.dial()
    heap.update(machine.call)
    machine.take(machine.call.on_cancel(wire_request("CANCEL"), "invite", 101.0))
    heap.update(machine.call)
    assert heap.next == 106.0
    assert heap.due(106.0) == [machine.call]


def test_what_is_forgotten_is_never_due() -> None:
    heap = Wakeups()
    call = dialled(100.0, 2)
    heap.update(call)
    heap.forget(call)
    assert heap.due(200.0) == []
    assert call.timer is None
    assert heap.next == NEVER


def test_entries_of_finished_calls_are_swept_out() -> None:
    heap = Wakeups()
    call = dialled(100.0, 30)
    for _ in range(3 * wakeups._SWEEP_FROM):
        heap.update(call)
        heap.forget(call)
    assert len(heap._heap) <= wakeups._SWEEP_FROM + 2
