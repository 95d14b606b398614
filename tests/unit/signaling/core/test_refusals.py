"""Records of INVITEs that never became calls."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.signaling.core.refusals import MOST_REMEMBERED, Refusals, refused_record
from services.signaling.sip.actions import Refused
from tests.support.signaling.machine import CALLER, TRUNK, WALL, wire_request


def test_a_repetition_is_not_recorded_again() -> None:
    refusals = Refusals()
    first = Refused(wire_request("INVITE"), CALLER, 400)
    assert refusals.is_new(first)
    assert not refusals.is_new(first._replace(status=503))
    assert refusals.is_new(Refused(wire_request("INVITE", cseq=2), CALLER, 400))
    assert refusals.is_new(first._replace(source=CALLER._replace(port=9)))


def test_a_refused_reinvite_is_no_call() -> None:
    assert not Refusals().is_new(Refused(wire_request("INVITE", to_tag="x"), CALLER, 415))


def test_memory_of_repetitions_is_bounded() -> None:
    refusals = Refusals()
    first = Refused(wire_request("INVITE"), CALLER, 400)
    refusals.is_new(first)
    for number in range(2, MOST_REMEMBERED + 2):
        refusals.is_new(Refused(wire_request("INVITE", cseq=number), CALLER, 400))
    assert refusals.is_new(first)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, EndReason.MALFORMED),
        (505, EndReason.MALFORMED),
        (415, EndReason.UNSUPPORTED),
        (420, EndReason.UNSUPPORTED),
        (482, EndReason.LOOP),
        (503, EndReason.NODE_CAPACITY),
    ],
)
def test_the_record_says_who_and_why(status: int, reason: EndReason) -> None:
    refused = Refused(wire_request("INVITE"), CALLER, status)
    event = refused_record(refused, "cal_1", "n1", TRUNK, 5.0, WALL)
    assert (event.end_reason, event.sip_code_out) == (reason, status)
    assert (event.customer_trunk_id, event.caller, event.called) == ("ctr_1", "1000", "2000")
    assert (event.invited_at, event.ended_at) == (WALL, WALL)


def test_numbers_that_cannot_be_read_are_left_out() -> None:
    refused = Refused(wire_request("INVITE", from_uri="nonsense"), CALLER, 400)
    event = refused_record(refused, "cal_1", "n1", None, 5.0, WALL)
    assert (event.caller, event.called, event.customer_trunk_id) == ("", "", "")
