"""Messages of recent calls, bounded."""

from __future__ import annotations

from services.signaling.core.ladder import Ladders, Step
from tests.support.signaling.machine import CALLER


def step(number: int) -> Step:
    return Step(float(number), "A", True, CALLER, b"SIP/2.0 %d X\r\nVia: x\r\n" % number)


def test_summary_is_the_start_line() -> None:
    assert step(180).summary == "180 X"
    assert Step(1.0, "A", False, CALLER, b"BYE sip:x SIP/2.0\r\n").summary == "BYE sip:x"


def test_beginning_and_end_of_a_long_call_stay() -> None:
    ladders = Ladders(steps=4)
    trace = ladders.open("c")
    for number in range(10):
        trace.add(*step(number))
    assert [s.at for s in ladders.steps("c")] == [0.0, 1.0, 8.0, 9.0]


def test_the_oldest_call_makes_room_and_failed_ones_stay_longer() -> None:
    ladders = Ladders(calls=2, failed=1)
    bad = ladders.open("bad")
    bad.add(*step(1))
    ladders.ended("bad", is_failure=True)
    for name in ("a", "b", "c"):
        ladders.open(name).add(*step(2))
    assert ladders.steps("a") == ()
    assert len(ladders.steps("b")) == len(ladders.steps("c")) == 1
    assert len(ladders.steps("bad")) == 1
    bad.add(*step(3))  # the ACK of its refusal
    assert len(ladders.steps("bad")) == 2
    ladders.ended("c", is_failure=True)
    assert ladders.steps("bad") == ()


def test_who_waits_for_an_answer_is_kept_however_many_come_after() -> None:
    ladders = Ladders(calls=1)
    ladders.is_waiting = {"rings", "talks later"}.__contains__
    for name in ("rings", "talks later", "talks", "new"):
        trace = ladders.open(name)
        trace.add(*step(1))
        trace.add(*step(2))
    assert len(ladders.steps("rings")) == len(ladders.steps("talks later")) == 2
    assert ladders.steps("talks") == ()
    ladders.ended("rings", is_failure=True)
    ladders.ended("talks later", is_failure=False)
    assert len(ladders.steps("rings")) == 2
    assert ladders.steps("talks later") == ()


def test_of_a_call_that_is_not_looked_at_any_more_one_message_stays() -> None:
    ladders = Ladders(calls=1)
    trace = ladders.open("talks")
    trace.add(*step(1))
    trace.add(*step(2))
    ladders.open("new")
    assert [s.at for s in trace.steps] == [2.0]
    trace.add(*step(3))  # for who follows it live
    assert [s.at for s in trace.steps] == [3.0]


def test_unknown_and_switched_off() -> None:
    off = Ladders(calls=0)
    assert not off.enabled
    off.open("c").add(*step(1))
    assert off.steps("c") == ()
    ladders = Ladders()
    ladders.ended("unknown", is_failure=True)
    assert ladders.steps("unknown") == ()


def test_long_messages_cost_their_call_its_middle() -> None:
    ladders = Ladders(size_bytes=1000)
    long = ladders.open("c")
    for number in range(10):
        long.add(float(number), "A", True, CALLER, b"x" * 300)
    assert [s.at for s in ladders.steps("c")] == [0.0, 8.0, 9.0]
    ladders.open("huge").add(1.0, "A", True, CALLER, b"x" * 5000)
    assert len(ladders.steps("huge")) == 1
