"""A re-INVITE that only ever draws a 100, in a whole switch: CANCEL and 408 on the wire."""

from __future__ import annotations

import asyncio

from services.signaling.sip.message import Request, Response, parse
from tests.bench import bench_signaling as messages
from tests.bench.bench_signaling import CALLER, VENDOR, Bench


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def starts(sent: list[bytes]) -> list[bytes]:
    return [data.partition(b"\r\n")[0].split(b" sip:")[0] for data in sent]


def at(bench: Bench, clock: Clock, now: float) -> list[bytes]:
    """What is sent when the timers run at this instant."""
    clock.now, bench.wire.sent = now, []
    bench.switch._on_time()
    return bench.wire.sent


def test_it_is_cancelled_and_the_call_goes_on() -> None:
    async def course() -> None:
        clock = Clock()
        bench = Bench(clock)
        ok, _ = bench.answered(1)
        sent = bench.feed(messages._in_dialog(b"INVITE", 1, ok, 2), CALLER)
        invite = sent[-1]
        assert starts(sent) == [b"SIP/2.0 100 Trying", b"INVITE"]
        bench.feed(messages._reply(invite, b"100 Trying"), VENDOR)
        assert at(bench, clock, 1040.0) == []
        assert at(bench, clock, 1179.99) == []
        (cancel,) = at(bench, clock, 1180.0)
        asked, cancelled = parse(invite), parse(cancel)
        assert isinstance(asked, Request)
        assert isinstance(cancelled, Request)
        assert (cancelled.method, cancelled.via.branch) == ("CANCEL", asked.via.branch)
        bench.feed(messages._reply(cancel, b"200 OK"), VENDOR)
        sent = bench.feed(messages._reply(invite, b"487 Request Terminated"), VENDOR)
        assert starts(sent) == [b"ACK", b"SIP/2.0 408 Request Timeout"]
        refused = parse(sent[-1])
        assert isinstance(refused, Response)
        assert refused.cseq == (2, "INVITE")
        bench.feed(messages._in_dialog(b"ACK", 1, ok, 2), CALLER)
        sent = bench.feed(messages._in_dialog(b"BYE", 1, ok, 3), CALLER)
        assert starts(sent) == [b"SIP/2.0 200 OK", b"BYE"]
        bench.switch.close()

    asyncio.run(course())
