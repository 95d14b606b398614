"""Who is heard: strangers, scanners, the banned."""

from __future__ import annotations

import pytest

from services.signaling.app.counters import Counters
from services.signaling.app.gate import Gate
from services.signaling.core.guard import Action, Ban, GuardRules
from services.signaling.core.trunks import TrunkTable
from tests.bench.bench_signaling import CALLER as BENCH_CALLER
from tests.bench.bench_signaling import Bench
from tests.support.signaling.machine import CALLER, STRANGER, TRUNK, context

OPTIONS = (
    b"OPTIONS sip:100@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bK1\r\n"
    b"From: <sip:100@1.1.1.1>;tag=1\r\nTo: <sip:100@1.1.1.1>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 OPTIONS\r\n%b\r\n\r\n"
)


class Door:
    """A gate with one trunk behind it."""

    def __init__(self, *, replies: bool = False) -> None:
        self.bans: list[Action] = []
        self.counters = Counters()
        ctx = self.context = context()
        ctx.trunks = TrunkTable({CALLER.host: TRUNK}, reply_to_unknown=replies)
        self.gate = Gate(ctx, self.counters)
        self.gate.guard.rules = GuardRules(suspend_s=100, unknown_limit=5)
        self.gate.on_guard.append(self.bans.extend)

    def hears(self, data: bytes, now: float = 1.0) -> bool:
        return self.gate.hears(data, STRANGER, now)


async def test_trunk_may_send_anything_and_as_much_as_it_likes() -> None:
    switch = Bench().switch
    bans: list[Action] = []
    switch.gate.on_guard.append(bans.extend)
    for _ in range(1000):
        switch.receive([(OPTIONS % b"User-Agent: friendly-scanner", BENCH_CALLER)])
        switch.receive([(b"garbage", BENCH_CALLER)])
    assert bans == []
    assert set(switch.gate.counters_by_name.values()) == {0}
    assert switch.counters.messages_in == 2000
    switch.close()


def test_stranger_is_dropped_counted_and_banned() -> None:
    door = Door()
    for _ in range(6):
        assert not door.hears(OPTIONS % b"X: y")
    assert door.counters.unknown_dropped == 6
    assert door.bans == [Ban(STRANGER.host, 100, "unknown_source")]
    assert not door.hears(b"SIP/2.0 200 OK\r\n\r\n")
    assert (door.counters.unknown_dropped, door.counters.banned_dropped) == (6, 1)
    assert not door.hears(OPTIONS % b"X: y", 102.0)  # heard again, and a stranger


@pytest.mark.parametrize("replies", [False, True])
def test_scanner_is_banned_at_its_first_word(*, replies: bool) -> None:
    door = Door(replies=replies)
    assert not door.hears(OPTIONS % b"User-Agent: friendly-scanner")
    assert door.bans == [Ban(STRANGER.host, 100, "scanner")]
    assert door.counters.scanners_dropped == 1
    assert not door.hears(OPTIONS % b"X: y")
    assert door.counters.banned_dropped == 1


def test_strangers_are_heard_where_the_operator_wants_it_but_not_endlessly() -> None:
    door = Door(replies=True)
    heard = [door.hears(OPTIONS % b"X: y") for _ in range(10)]
    assert heard == [True] * 6 + [False] * 4


def test_answers_and_keep_alives_of_strangers_are_no_offence() -> None:
    door = Door()
    for _ in range(100):
        assert door.hears(b"SIP/2.0 200 OK\r\n\r\n")
        assert door.hears(b"\r\n\r\n")
    assert door.bans == []
