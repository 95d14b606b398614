"""Sums of calls: counted in exactly one record, bounded, without what is a single call's own."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from services.common.events import Attempt, CallEnded
from services.signaling.core.aggregate import GATHER_S, MOST_OPEN, Aggregates, source_host
from tests.support.signaling.machine import WALL

ATTEMPT = Attempt(
    vendor_trunk_id="vtr_1", account_id="acc_2", target="198.51.100.1:5060;udp",
    sip_call_id="e1", started_at=WALL, sip_code=503, buy_terms=msgspec.Raw(b'{"buy":1}'),
)  # fmt: skip
EVENT = CallEnded(
    call_id="cal_1", node="n1", invited_at=WALL, ended_at=WALL, customer_trunk_id="ctr_1",
    account_id="acc_1", source="192.0.2.10:5060;udp", caller="1000", called="2000",
    called_billed="2000", attempts=(ATTEMPT,), sell_terms=msgspec.Raw(b'{"sell":1}'),
    reservation_id="rsv_1", end_reason="rejected", sip_code_out=503,
)  # fmt: skip


def event(number: int = 1, **changes: object) -> CallEnded:
    later = WALL + dt.timedelta(seconds=number)
    base = msgspec.structs.replace(EVENT, call_id=f"cal_{number}", ended_at=later)
    return msgspec.structs.replace(base, **changes)


def test_calls_of_one_source_and_cause_become_one_record() -> None:
    sums = Aggregates()
    for number in range(1, 101):
        sums.add(event(number, called=str(number)), 10.0)
    assert sums.due(10.0 + GATHER_S - 0.1) == []
    (one,) = sums.due(10.0 + GATHER_S)
    assert (one.count, one.call_id, one.ended_at) == (100, "cal_1", event(100).ended_at)
    assert (one.customer_trunk_id, one.account_id, one.source) == ("ctr_1", "acc_1", "192.0.2.10")
    assert len(sums) == 0


def test_sum_charges_nothing_and_tells_nothing_of_a_single_call() -> None:
    sums = Aggregates()
    sums.add(event(), 10.0)
    (one,) = sums.due(20.0)
    assert (bytes(one.sell_terms), one.reservation_id, one.called_billed) == (b"null", "", "")
    (attempt,) = one.attempts
    assert (attempt.vendor_trunk_id, attempt.sip_call_id) == ("vtr_1", "")
    assert bytes(attempt.buy_terms) == b"null"


@pytest.mark.parametrize(
    "changes",
    [
        {"end_reason": "busy"}, {"sip_code_out": 486}, {"customer_trunk_id": "ctr_2"},
        {"source": "192.0.2.11:5060;udp"}, {"attempts": ()},
    ],
)  # fmt: skip
def test_different_causes_and_sources_stay_apart(changes: dict[str, object]) -> None:
    sums = Aggregates()
    sums.add(event(), 10.0)
    sums.add(event(2, **changes), 10.0)
    assert [one.count for one in sums.due(20.0)] == [1, 1]


def test_no_call_is_lost_when_more_sources_come_than_are_kept_apart() -> None:
    sums = Aggregates()
    total = MOST_OPEN + 500
    for n in range(total):
        sums.add(event(source=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}:5060;udp"), 10.0)
    assert len(sums) == MOST_OPEN + 1
    told = sums.due(20.0)
    assert sum(one.count for one in told) == total
    assert told[-1].source == ""


def test_further_calls_turned_away_need_no_event_of_their_own() -> None:
    sums = Aggregates()
    assert not sums.bump("", "203.0.113.9", "illegal_call", 0, WALL)
    stranger = event(
        customer_trunk_id="", source="203.0.113.9:1;udp", end_reason="illegal_call",
        sip_code_out=0, attempts=(),
    )  # fmt: skip
    sums.add(stranger, 10.0)
    assert sums.bump("", "203.0.113.9", "illegal_call", 0, WALL + dt.timedelta(seconds=3))
    (one,) = sums.due(20.0)
    assert (one.count, one.ended_at) == (2, WALL + dt.timedelta(seconds=3))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("192.0.2.1:5060;udp", "192.0.2.1"), ("[2001:db8::1]:5060;tcp", "2001:db8::1"), ("", ""),
    ],
)  # fmt: skip
def test_host_of_a_source(text: str, host: str) -> None:
    assert source_host(text) == host
