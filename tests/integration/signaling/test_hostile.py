"""Bug classes that hurt real switches: plain floods, logs as a target."""

from __future__ import annotations

import gc
import io
import json
import logging
import tracemalloc

import pytest

from services.common.causes import EndReason
from services.common.clock import monotonic
from services.common.logs import JsonFormatter
from services.common.telemetry import Histogram, Telemetry
from services.signaling.adapters.observer import MOST_LINES_PER_S, CallObserver
from services.signaling.app.switch import Switch
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.actions import Peer
from services.signaling.sip.message import Request, parse
from tests.bench.bench_signaling import CALLER, VENDOR, Bench, _invite
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import message, until
from tests.support.signaling.switch import two_parties

LONGEST_MEMORY = 8 * 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def drain(switch: Switch, clock: Clock) -> None:
    for _ in range(70):
        clock.now += 1.0
        switch._alarm._on_time()


def request(method: bytes, number: int) -> bytes:
    data = _invite(number).replace(b"INVITE", method)
    head = data[: data.index(b"Content-Type")]
    return head + b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize("replies", [False, True])
async def test_bug_class_14_flood_of_a_stranger_leaves_nothing(*, replies: bool) -> None:
    clock = Clock()
    bench = Bench(clock)
    bench.switch.trunks = TrunkTable({}, reply_to_unknown=replies)
    layer = bench.switch._layer
    gc.collect()
    tracemalloc.start()
    for number in range(5_000):
        source = Peer("udp", f"10.1.{number >> 8 & 255}.{number & 255}", 5060, 1)
        bench.feed(request(b"REGISTER", number), source)
        bench.feed(request(b"REGISTER", number), CALLER)
    # Each address may be answered, where the operator wants that; one alone only so often.
    assert layer.transaction_count <= (5_000 if replies else 0) + 31
    drain(bench.switch, clock)
    bench.wire.sent = []
    gc.collect()
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert layer.transaction_count == 0
    assert current < LONGEST_MEMORY
    bench.switch.close()


async def test_bug_class_14_flood_of_a_trunk_meets_the_cap_and_is_gone_after_32_s() -> None:
    clock = Clock()
    bench = Bench(clock)
    layer = bench.switch._layer
    layer._max_transactions = 500
    for number in range(5_000):
        bench.feed(request(b"OPTIONS", number), CALLER)
    assert layer.transaction_count == 500
    (refusal,) = bench.feed(_invite(9_999), CALLER)
    assert parse(refusal).status == 503  # type: ignore[union-attr]
    # What frees resources passes all the same.
    answers = bench.feed(request(b"BYE", 9_998), CALLER)
    assert [parse(one).status for one in answers] == [481]  # type: ignore[union-attr]
    drain(bench.switch, clock)
    assert layer.transaction_count == 0
    assert not bench.switch._invites
    assert not bench.switch._owners
    bench.call(10_000)
    assert bench.switch.counters.answered == 1
    bench.switch.close()


async def test_bug_class_14_half_open_calls_are_gone_when_nobody_acknowledges() -> None:
    clock = Clock()
    bench = Bench(clock)
    for number in range(1_000):
        (_, invite) = bench.feed(_invite(number), CALLER)
        bench.feed(_busy(invite), VENDOR)
    assert len(bench.switch._layer._servers) == 1_000
    drain(bench.switch, clock)
    assert bench.switch._layer.transaction_count == 0
    assert bench.switch.calls == {}
    bench.switch.close()


def _busy(invite: bytes) -> bytes:
    parsed = parse(invite)
    assert isinstance(parsed, Request)
    lines = [line for name in ("via", "from", "to", "call-id", "cseq")
             for line in parsed.raw_lines(name)]  # fmt: skip
    return ("SIP/2.0 486 Busy\r\n" + "\r\n".join(lines) + ";x\r\n\r\n").encode()


EVIL = "\x1b[2J\x1b]0;owned\x07\r\nlevel=error\u202e\x9b31m"


async def test_bug_class_26_nothing_a_peer_sends_breaks_a_log_line_or_steers_a_terminal() -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter("signaling", "n1"))
    target = logging.getLogger("services.signaling.adapters.observer")
    target.addHandler(handler)
    level = target.level
    target.setLevel(logging.INFO)
    try:
        observer = CallObserver(Telemetry("signaling", "n1"), Histogram([1.0]), monotonic)
        async with two_parties() as (caller, _, switch, talk):
            evil = EVIL.replace("\r\n", " ").encode("utf-8")
            invite = message(caller, "INVITE", talk.switch, call_id="e", body=OFFER)
            wrong = invite.replace(b"Call-ID: e", b"Call-ID: e@" + evil, 1)
            wrong = wrong.replace(b"From: <sip:1000@", b'From: "' + evil + b'" <sip:1000@', 1)
            caller.send(wrong, talk.switch)
            await until(lambda: len(switch.events.ended) == 1)
            for event in switch.events.ended:
                observer.call_ended(event)
                text = f"{event.caller}{event.called}{event.sip_call_id}{event.source}"
                assert text.isprintable()
        observer.failed(EVIL, ValueError(EVIL))
    finally:
        target.removeHandler(handler)
        target.setLevel(level)
    written = lines.getvalue()
    assert written.isascii()
    assert not any(sign < " " for sign in written.replace("\n", ""))
    for line in written.splitlines():
        assert json.loads(line)["level"] in {"info", "error"}


async def test_bug_class_26_attack_does_not_fill_the_disk() -> None:
    target = logging.getLogger("services.signaling.adapters.observer")
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[assignment, method-assign]
    level = target.level
    target.addHandler(handler)
    target.setLevel(logging.INFO)
    try:
        observer = CallObserver(Telemetry("signaling", "n1"), Histogram([1.0]), lambda: 5.0)
        async with two_parties() as (_, _vendor, switch, _talk):
            bench = Bench()
            bench.switch.hang_up("none", EndReason.NORMAL)
            bench.switch.close()
            gate = switch.switch.gate
            gate.on_guard.append(observer.on_guard)
            for n in range(1_000):
                gate.act(gate.guard.on_scanner(f"10.0.{n >> 8}.{n & 255}", 1.0))
                observer.failed("message", ValueError("x"))
    finally:
        target.removeHandler(handler)
        target.setLevel(level)
    assert len(records) == MOST_LINES_PER_S
    assert observer.unlogged == 2_000 - MOST_LINES_PER_S
