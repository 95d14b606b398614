"""Bug class 32: ten thousand calls that come to nothing leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.common.sip_options.reliable import Reliable
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import OfferMedia
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import Candidate, MediaAnswer, MediaStats
from tests.bench import bench_signaling as messages
from tests.bench.bench_signaling import CALLER, VENDOR, Bench
from tests.support.signaling.ports import EchoMedia

CALLS = 10_000
SIP = CustomerSip(reliable=Reliable(mode="supported"), session_timer=SessionTimer(mode="request"))
VENDOR_SIP = VendorSip(session_timer=SessionTimer(mode="request"))


def cancel(bench: Bench, number: int) -> None:
    raw = messages._invite(number)
    invite = bench.feed(raw, CALLER)[-1]
    bench.feed(messages._reply(invite, b"180 Ringing"), VENDOR)
    head = raw.replace(b"INVITE sip", b"CANCEL sip").replace(b"1 INVITE", b"1 CANCEL")
    head = head[: head.index(b"Content-Type")]
    bench.feed(head + b"Content-Length: 0\r\n\r\n", CALLER)
    bench.feed(messages._reply(invite, b"487 Request Terminated"), VENDOR)


def refuse(bench: Bench, number: int) -> None:
    invite = bench.feed(messages._invite(number), CALLER)[-1]
    bench.feed(messages._reply(invite, b"486 Busy Here"), VENDOR)


def never_prack(bench: Bench, number: int) -> None:
    raw = messages._invite(number).replace(b"Subject:", b"Supported: 100rel\r\nSubject:")
    invite = bench.feed(raw, CALLER)[-1]
    bench.feed(messages._reply(invite, b"183 Session Progress", messages.SDP), VENDOR)


def never_answer(bench: Bench, number: int) -> None:
    bench.feed(messages._invite(number), CALLER)


def answer_too_late(bench: Bench, number: int) -> None:
    raw = messages._invite(number)
    invite = bench.feed(raw, CALLER)[-1]
    bench.feed(messages._reply(invite, b"180 Ringing"), VENDOR)
    head = raw.replace(b"INVITE sip", b"CANCEL sip").replace(b"1 INVITE", b"1 CANCEL")
    bench.feed(head[: head.index(b"Content-Type")] + b"Content-Length: 0\r\n\r\n", CALLER)
    bench.feed(messages._reply(invite, b"200 OK", messages.SDP), VENDOR)


COURSES: list[Callable[[Bench, int], None]] = [
    cancel, refuse, never_prack, never_answer, answer_too_late,
]  # fmt: skip


class CountingMedia(EchoMedia):
    """Keeps the calls that hold ports."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def offer(
        self, call_id: str, ask: OfferMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        self.held.add(call_id)
        super().offer(call_id, ask, on_answer)

    def release(self, call_id: str, on_stats: Callable[[MediaStats | None], None]) -> None:
        self.held.discard(call_id)
        super().release(call_id, on_stats)


def test_bug_class_32_everything_is_back_to_baseline() -> None:
    now = [1000.0]
    candidate = Candidate(
        vendor_trunk_id="vtr_1", account_id="acc_2", host="127.0.0.1", port=25080,
        caller="1000", called="2000", media_proxy=True, max_calls=100_000,
    )  # fmt: skip

    media = CountingMedia()

    async def run() -> Bench:
        bench = Bench(lambda: now[0], candidate, media)
        trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", max_calls=100_000, sip=SIP)
        bench.switch.trunks = TrunkTable({"127.0.0.1": trunk}, vendors={"vtr_1": VENDOR_SIP})
        for number in range(CALLS):
            COURSES[number % len(COURSES)](bench, number)
            now[0] += 0.01
        for _ in range(140):
            now[0] += 0.5
            bench.switch._alarm._on_time()
        for _ in range(140):
            now[0] += 2.0
            bench.switch._alarm._on_time()
        bench.switch.close()
        return bench

    bench = asyncio.run(run())
    switch = bench.switch
    layer, context = switch._layer, switch._context
    assert switch.counters.invites == CALLS
    assert sum(switch.counters.ended.values()) == CALLS
    assert media.held == set()
    assert (switch.calls, switch._owners, switch._invites) == ({}, {}, {})
    assert (context.dialogs, context.transfers) == ({}, {})
    assert layer.transaction_count == 0
    assert (layer._answers, layer._provisionals, layer._initial) == ({}, {}, {})
    assert context.customer_limits.calls("ctr_1") == context.vendor_limits.calls("vtr_1") == 0
    assert not context.vendor_limits.full
    assert switch.counters.errors == 0
