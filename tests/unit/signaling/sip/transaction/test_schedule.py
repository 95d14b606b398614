import random

from services.signaling.sip.transaction.schedule import RUNS, Schedule
from services.signaling.sip.transaction.timers import NEVER


class Machine:
    def __init__(self, deadline: float = NEVER) -> None:
        self.deadline = deadline
        self.armed_at = NEVER


def filed(schedule: Schedule[Machine], *deadlines: float) -> list[Machine]:
    machines = [Machine(deadline) for deadline in deadlines]
    for machine in machines:
        schedule.file(machine)
    return machines


def test_an_empty_schedule_is_never_due() -> None:
    schedule: Schedule[Machine] = Schedule()
    assert (schedule.next, schedule.due(1e9)) == (NEVER, [])
    filed(schedule, NEVER)
    assert schedule.next == NEVER


def test_what_is_due_comes_in_order_and_once() -> None:
    schedule: Schedule[Machine] = Schedule()
    late, early, middle = filed(schedule, 32.0, 0.5, 5.0)
    assert schedule.next == 0.5
    assert schedule.due(0.4) == []
    assert schedule.due(5.0) == [early, middle]
    assert schedule.next == 32.0
    assert schedule.due(31.9) == []
    assert schedule.due(32.0) == [late]
    assert schedule.next == NEVER


def test_the_wake_up_of_a_stopped_timer_is_void() -> None:
    schedule: Schedule[Machine] = Schedule()
    stopped, runs = filed(schedule, 0.5, 0.5)
    stopped.deadline = NEVER
    schedule.file(stopped)
    assert schedule.due(0.5) == [runs]


def test_the_last_deadline_filed_is_the_one_that_counts() -> None:
    schedule: Schedule[Machine] = Schedule()
    (machine,) = filed(schedule, 5.0)
    for deadline in (32.0, 0.5, 7.0):
        machine.deadline = deadline
        schedule.file(machine)
    assert [schedule.due(at) for at in (0.5, 5.0, 6.9)] == [[], [], []]
    assert schedule.due(7.0) == [machine]
    assert schedule.due(99.0) == []


def test_a_deadline_left_and_taken_up_again_wakes_once() -> None:
    schedule: Schedule[Machine] = Schedule()
    (machine,) = filed(schedule, 5.0)
    for deadline in (1.0, 5.0, 5.0):
        machine.deadline = deadline
        schedule.file(machine)
    assert schedule.due(5.0) == [machine]


def test_void_wake_ups_at_the_front_do_not_wake_the_owner_twice() -> None:
    schedule: Schedule[Machine] = Schedule()
    *stopped, _ = filed(schedule, 0.5, 0.6, 0.7, 32.0)
    for machine in stopped:
        machine.deadline = NEVER
        schedule.file(machine)
    assert schedule.due(0.5) == []
    assert schedule.next == 32.0


def test_any_order_of_deadlines_is_kept_also_when_there_are_more_than_runs() -> None:
    schedule: Schedule[Machine] = Schedule()
    deadlines = [float(1000 - n) for n in range(RUNS + 5)]
    mixed = random.Random(7)
    deadlines += [mixed.uniform(0.0, 900.0) for _ in range(500)]
    machines = filed(schedule, *deadlines)
    seen: list[Machine] = []
    while schedule.next != NEVER:
        seen += schedule.due(schedule.next)
    assert [machine.deadline for machine in seen] == sorted(deadlines)
    assert len(set(map(id, seen))) == len(machines)
