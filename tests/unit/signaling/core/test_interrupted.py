"""The record of a call whose process died while it was being set up."""

from __future__ import annotations

import datetime as dt

import msgspec

from services.common.events import CallStarted
from services.signaling.core.interrupted import Begun, given_up
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import WALL
from tests.support.sip_messages import INVITE

EVENT = CallStarted(
    call_id="cal_1",
    node="n1",
    invited_at=WALL,
    customer_trunk_id="ctr_1",
    account_id="acc_1",
    source="192.0.2.10:5060;udp",
    caller="1000",
    called="2000",
)


def test_the_record_says_who_called_whom_and_that_the_node_went_down() -> None:
    begun = Begun(EVENT, INVITE, Peer("udp", "192.0.2.10", 5060, 1))
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(begun), type=Begun)
    assert kept == begun
    record = given_up("n1", kept, WALL + dt.timedelta(seconds=3))
    assert (record.call_id, record.end_reason, record.sip_code_out, record.q850_out) == (
        "cal_1", "node_shutdown", 503, 41,
    )  # fmt: skip
    assert (record.sip_call_id, record.caller, record.called) == (
        "1j9FpLxk3uxtm8tn@198.51.100.7",
        "1000",
        "2000",
    )
    assert (record.customer_trunk_id, record.account_id) == ("ctr_1", "acc_1")
    assert record.answered_at is None
    assert record.ended_at == WALL + dt.timedelta(seconds=3)


def test_a_clock_set_back_ends_no_call_before_it_began() -> None:
    assert given_up("n1", Begun(EVENT), WALL - dt.timedelta(hours=1)).ended_at == WALL


def test_an_invite_that_is_not_at_hand_costs_the_record_its_call_id_only() -> None:
    for invite in (b"", b"\x00 no SIP"):
        assert given_up("n1", Begun(EVENT, invite), WALL).sip_call_id == ""
