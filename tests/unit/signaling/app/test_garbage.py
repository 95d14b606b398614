"""A finished call is freed at once, whatever way it went: nothing waits for the collector."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from services.common.causes import EndReason
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.call import Call
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from tests.bench import bench_signaling as messages
from tests.bench.bench_signaling import CALLER, VENDOR, Bench


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def let_timers_run(bench: Bench, clock: Clock) -> None:
    # Twice as far as the longest timer of a transaction, in steps none of them is lost in.
    for _ in range(70):
        clock.now += 1.0
        bench.switch._alarm._on_time()


def answered_and_ended(bench: Bench, number: int, _: Clock) -> None:
    bench.call(number)


def refused_by_the_vendor(bench: Bench, number: int, _: Clock) -> None:
    invite = bench.feed(messages._invite(number), CALLER)[-1]
    bench.feed(messages._reply(invite, b"503 Service Unavailable"), VENDOR)


def given_up_by_the_caller(bench: Bench, number: int, _: Clock) -> None:
    raw = messages._invite(number)
    invite = bench.feed(raw, CALLER)[-1]
    bench.feed(messages._reply(invite, b"180 Ringing"), VENDOR)
    head = raw.replace(b"INVITE sip", b"CANCEL sip").replace(b"1 INVITE", b"1 CANCEL")
    head = head[: head.index(b"Content-Type")]
    bench.feed(head + b"Content-Length: 0\r\n\r\n", CALLER)
    bench.feed(messages._reply(invite, b"487 Request Terminated"), VENDOR)


def never_acknowledged(bench: Bench, number: int, _: Clock) -> None:
    invite = bench.feed(messages._invite(number), CALLER)[-1]
    bench.feed(messages._reply(invite, b"200 OK", messages.SDP), VENDOR)


def vendor_silent(bench: Bench, number: int, _: Clock) -> None:
    bench.feed(messages._invite(number), CALLER)


def hung_up_by_us(bench: Bench, number: int, clock: Clock) -> None:
    bench.answered(number)
    clock.now += 5.0
    for call_id in list(bench.switch.calls):
        bench.switch.hang_up(call_id, EndReason.MAX_DURATION)


def silent_with_a_session_timer(bench: Bench, number: int, clock: Clock) -> None:
    timed = CustomerSip(session_timer=SessionTimer(mode="request", expires_s=90))
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=timed)
    bench.switch.trunks = TrunkTable({CALLER.host: trunk})
    bench.answered(number)
    let_timers_run(bench, clock)


@pytest.fixture
def collector_saves_what_it_finds() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def calls_alive() -> int:
    return sum(isinstance(each, Call) for each in gc.get_objects())


Course = Callable[[Bench, int, Clock], None]


@pytest.mark.parametrize(
    "course",
    [
        answered_and_ended, refused_by_the_vendor, given_up_by_the_caller,
        never_acknowledged, vendor_silent, hung_up_by_us, silent_with_a_session_timer,
    ],
)  # fmt: skip
@pytest.mark.usefixtures("collector_saves_what_it_finds")
def test_finished_call_leaves_no_cycle(course: Course) -> None:
    async def calls(bench: Bench, clock: Clock) -> None:
        for number in range(5):
            course(bench, number, clock)
            let_timers_run(bench, clock)
        bench.switch.close()

    before = calls_alive()
    clock = Clock()
    bench = Bench(clock)
    asyncio.run(calls(bench, clock))
    assert not bench.switch.calls
    assert calls_alive() == before
    gc.collect()
    ours = [each for each in gc.garbage if type(each).__module__.startswith("services.")]
    assert Counter(type(each).__qualname__ for each in ours) == {}


@pytest.mark.usefixtures("collector_saves_what_it_finds")
def test_call_in_a_cycle_would_be_found() -> None:
    async def call(bench: Bench) -> None:
        bench.answered(1)
        (live,) = bench.switch.calls.values()
        cycle: list[object] = [live]
        cycle.append(cycle)
        bench.switch.close()

    bench = Bench()
    asyncio.run(call(bench))
    del bench
    gc.collect()
    assert any(isinstance(each, Call) for each in gc.garbage)
