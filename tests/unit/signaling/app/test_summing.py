"""In a flood calls that came to nothing are summed, and every call is told of exactly once."""

from __future__ import annotations

from itertools import count

import msgspec

from services.common.causes import EndReason
from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted
from services.signaling.app.summing import SummedEvents
from services.signaling.core.aggregate import GATHER_S
from services.signaling.core.switch_settings import SwitchSettings
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import STRANGER, TRUNK, WALL
from tests.support.signaling.ports import MemoryEvents

NULL = msgspec.Raw(b"null")
SOURCE = "192.0.2.10:5060;udp"


class Desk:
    """The events of a switch, by hand."""

    def __init__(self, settings: SwitchSettings = SwitchSettings()) -> None:  # noqa: B008
        self.now = 100.0
        self.inner = MemoryEvents()
        ids = count(1)
        self.events = SummedEvents(
            self.inner,
            node="n1",
            monotonic=lambda: self.now,
            utc_now=lambda: WALL,
            new_call_id=lambda: f"new_{next(ids)}",
        )
        self.events.settings = settings
        self._numbers = count(1)

    def call(self, *, answered: bool = False, reason: str = "busy") -> str:
        """One call from beginning to end."""
        call_id = f"cal_{next(self._numbers)}"
        self.events.append(
            CallStarted(
                call_id=call_id, node="n1", invited_at=WALL, customer_trunk_id="ctr_1",
                source=SOURCE,
            )
        )  # fmt: skip
        if answered:
            ringing = CallRinging(
                call_id=call_id, node="n1", ringing_at=WALL, status=180, vendor_trunk_id="v"
            )
            self.events.append(ringing)
            self.events.persist(_answer(call_id), lambda _: None)
        self.events.append(
            CallEnded(
                call_id=call_id, node="n1", invited_at=WALL, ended_at=WALL, source=SOURCE,
                customer_trunk_id="ctr_1", end_reason="normal" if answered else reason,
                answered_at=WALL if answered else None, talk_ms=5 if answered else 0,
            )
        )  # fmt: skip
        return call_id

    def told(self) -> list[CallEnded]:
        self.events.flush()
        return self.inner.ended

    def flood(self, *, cps: int = 200, seconds: int = 5) -> int:
        for _ in range(cps * seconds):
            self.call()
            self.now += 1 / cps
        return cps * seconds

    def settle(self) -> None:
        """A learned baseline of one call per second."""
        for _ in range(70):
            self.call()
            self.now += 1.0


def _answer(call_id: str) -> CallAnswered:
    return CallAnswered(
        call_id=call_id, node="n1", invited_at=WALL, answered_at=WALL, customer_trunk_id="ctr_1",
        account_id="a", vendor_trunk_id="v", vendor_account_id="b", caller="1", called="2",
        sell_terms=NULL, buy_terms=NULL, reservation_id="",
    )  # fmt: skip


def test_usually_each_call_has_its_record() -> None:
    desk = Desk()
    ids = [desk.call() for _ in range(10)] + [desk.call(answered=True)]
    assert [event.call_id for event in desk.told()] == ids
    assert {event.count for event in desk.told()} == {1}


def test_autopilot_sums_during_a_flood_and_restores_afterwards_and_totals_are_exact() -> None:
    desk = Desk()
    desk.settle()
    made = 70 + desk.flood()
    during = len(desk.told())
    assert during < 70 + 3.5 * 200
    assert desk.events.summed > 200
    for _ in range(40):
        desk.call()
        desk.now += 1.0
    made += 40
    summed = desk.events.summed
    last = desk.call()
    assert desk.inner.ended[-1].call_id == last
    assert desk.events.summed == summed
    assert sum(event.count for event in desk.told()) == made + 1


def test_autopilot_may_be_switched_off() -> None:
    desk = Desk(SwitchSettings(flood_autopilot=False))
    desk.settle()
    made = 70 + desk.flood()
    assert len(desk.told()) == made


def test_by_hand_all_unanswered_calls_are_summed() -> None:
    desk = Desk(SwitchSettings(record_zero_hold_time=False))
    for _ in range(10):
        desk.call()
        desk.call(reason="no_answer")
    answered = desk.call(answered=True)
    assert [(event.end_reason, event.count) for event in desk.told()] == [
        ("normal", 1), ("busy", 10), ("no_answer", 10),
    ]  # fmt: skip
    assert desk.told()[0].call_id == answered


def test_begin_of_a_summed_call_is_not_told_and_that_of_others_comes_first() -> None:
    desk = Desk(SwitchSettings(record_zero_hold_time=False))
    desk.call()
    desk.call(answered=True)
    kinds = [type(event).__name__ for event in desk.inner.events]
    assert kinds == ["CallStarted", "CallRinging", "CallAnswered", "CallEnded"]
    assert desk.events._held == {}


def test_sums_are_told_after_a_while() -> None:
    desk = Desk(SwitchSettings(record_zero_hold_time=False))
    desk.call()
    desk.events.flush(desk.now + GATHER_S - 0.1)
    assert desk.inner.ended == []
    desk.events.flush(desk.now + GATHER_S)
    assert [event.count for event in desk.inner.ended] == [1]


def test_shed_calls_are_counted_by_trunk() -> None:
    desk = Desk()
    peer = Peer("udp", "192.0.2.10", 5060)
    for number in (1, 4):
        desk.events.shed(peer, TRUNK, desk.now, number)
    (one,) = desk.told()
    assert (one.count, one.end_reason, one.sip_code_out) == (5, EndReason.OVERLOAD, 503)
    assert (one.customer_trunk_id, one.account_id) == ("ctr_1", "acc_1")


def test_illegal_calls_are_recorded_where_the_operator_wants_it() -> None:
    invite = b"\r\n".join(
        [
            b"INVITE sip:2000@203.0.113.1 SIP/2.0", b"Via: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKx",
            b"From: <sip:1000@1.2.3.4>;tag=1", b"To: <sip:2000@203.0.113.1>", b"Call-ID: x",
            b"CSeq: 1 INVITE", b"Contact: <sip:1000@1.2.3.4>", b"", b"",
        ]
    )  # fmt: skip
    desk = Desk()
    desk.events.illegal(invite, STRANGER, desk.now)
    assert desk.told() == []
    desk = Desk(SwitchSettings(record_illegal_calls=True))
    for _ in range(3):
        desk.events.illegal(invite, STRANGER, desk.now)
    desk.events.illegal(b"INVITE nonsense", STRANGER._replace(host="203.0.113.9"), desk.now)
    told = [(one.end_reason, one.count, one.caller, one.called) for one in desk.told()]
    assert told == [("illegal_call", 3, "1000", "2000"), ("illegal_call", 1, "", "")]
