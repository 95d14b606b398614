"""Every option that maps a code, and that records keep what was received and what was sent."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.causes import SIP_OF_REASON, EndReason
from services.common.sip_options.codes import CustomerCodes, VendorCodes
from services.signaling.core.code_policy import (
    VendorCodePolicy,
    compiled_for_customer,
    compiled_for_vendor,
    reason_lines,
    refusal,
    verdict,
    warning_received,
)
from services.signaling.core.commands import Cancel
from services.signaling.core.commands import Request as Dial
from tests.support.signaling.machine import answer_to, candidate, only, wire_request
from tests.support.signaling.policies import Options, call, heard, lines_of


def refused(
    status: int,
    *reasons: str,
    customer: Options | None = None,
    vendor: Options | None = None,
    headers: tuple[str, ...] = (),
) -> tuple[int, list[str], Any]:
    """One vendor refuses: status and Reason the customer gets, and the record."""
    machine = call({"codes": customer or {}}, {"codes": vendor or {}})
    lines = [f"Reason: {reason}" for reason in reasons]
    commands = machine.say(machine.dial(), status, 101.0, headers=[*lines, *headers])
    record = machine.record
    assert record.sip_code_in == record.attempts[0].sip_code == status  # as received, always
    assert record.sip_code_out == machine.final_response()
    return machine.final_response(), heard(commands, "Reason"), record


def tried(first_status: int, *headers: str, vendor: Options, stop_codes: Any = ()) -> int:
    """How many vendors are tried when the first refuses like this."""
    machine = call({}, {"codes": vendor}, {}, stop_codes=stop_codes)
    machine.say(machine.dial(), first_status, 101.0, headers=list(headers))
    return sum(isinstance(command, Dial) for command in machine.history)


# --- vendor ------------------------------------------------------------------------------


def test_treat_as() -> None:
    status, _, record = refused(503, vendor={"treat_as": {"503": 486}})
    assert (status, record.end_reason) == (486, EndReason.BUSY)
    status, _, record = refused(500, vendor={"treat_as": {"503": 486, "other": 404}})
    assert (status, record.end_reason) == (404, EndReason.NOT_FOUND)
    assert record.q850_in == 41  # what 500 stands for: it was not 404 that came
    assert tried(503, vendor={"treat_as": {"503": 486}}) == 1
    assert tried(486, vendor={"treat_as": {"486": 503}}) == 2


def test_status_causes() -> None:
    table: Options = {"status_causes": {"480": 20, "other": 99}}
    assert refused(480, vendor=table)[2].q850_in == 20
    assert refused(503, vendor=table)[2].q850_in == 99
    assert refused(480, "Q.850;cause=19", vendor=table)[2].q850_in == 19
    assert refused(480)[2].q850_in == 18


def test_stop_causes() -> None:
    options: Options = {"stop_causes": [1, 28]}
    assert tried(503, vendor=options) == 2
    assert tried(503, "Reason: Q.850;cause=1", vendor=options) == 1
    assert tried(503, "Reason: Q.850;cause=34", vendor=options) == 2
    # only what was said counts: that 503 stands for some cause does not
    assert tried(503, vendor={"stop_causes": [41]}) == 2


def test_hunt_on() -> None:
    assert tried(404, vendor={}) == 1
    assert tried(404, vendor={"hunt_on": [404]}) == 2
    assert tried(486, vendor={"hunt_on": [404]}) == 1
    assert tried(503, vendor={"hunt_on": [503]}, stop_codes=(503,)) == 2
    both: Options = {"hunt_on": [404], "stop_causes": [1]}
    assert tried(404, "Reason: Q.850;cause=1", vendor=both) == 1
    assert tried(404, vendor=both) == 2


@pytest.mark.parametrize(
    ("mode", "received", "sent"),
    [
        ("pass", ["Reason: SIP;cause=200"], ["Reason: SIP;cause=200"]),
        ("pass", [], []),
        ("inject", ["Reason: SIP;cause=200"], ["Reason: Q.850;cause=16"]),
        ("none", ["Reason: SIP;cause=200"], []),
    ],
)
def test_reason_to_the_vendor(mode: str, received: list[str], sent: list[str]) -> None:
    options: Options = {"codes": {"reason": mode, "hunt_on": [404]}}
    machine = call({}, options)
    invite = machine.dial()
    machine.say(invite, 180, 101.0)
    cancel = wire_request("CANCEL", headers=received)
    cancelled = machine.take(machine.call.on_cancel(cancel, "invite", 102.0))
    assert list(only(cancelled, Cancel).headers) == sent
    machine = call({}, options)
    machine.answer()
    bye = machine.caller_sends("BYE", 110.0, headers=received)
    assert lines_of(only(bye, Dial), "Reason") == sent


# --- customer ----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", sorted(EndReason))
def test_every_end_reason_has_a_configurable_status(reason: EndReason) -> None:
    codes = compiled_for_customer(CustomerCodes(reasons={reason: 455}))
    assert refusal(codes, reason, 0).status == 455
    other = next(one for one in EndReason if one is not reason)
    assert refusal(codes, other, 0).status == SIP_OF_REASON.get(other, 503)


def test_reason_of_ours_before_any_vendor_is_asked() -> None:
    machine = call({"codes": {"reasons": {"routing_unavailable": 480}}})
    machine.start()
    machine.take(machine.call.on_plan(None, 100.0))
    assert machine.final_response() == 480
    assert (machine.record.q850_out, machine.record.sip_code_in) == (18, 0)


def test_what_asks_the_caller_for_something_is_not_translated() -> None:
    machine = call({"reliable": {"mode": "required"}, "codes": {"status_map": {"other": 480}}})
    machine.start()
    assert machine.final_response() == 421


def test_reasons_win_over_what_the_vendor_said() -> None:
    codes: Options = {"reasons": {"busy": 600}, "prefer_q850": True, "status_map": {"486": 480}}
    assert refused(486, "Q.850;cause=34", customer=codes)[0] == 600


def test_status_map() -> None:
    table: Options = {"status_map": {"486": 480, "500": 502, "503": 480, "604": 0}}
    assert refused(486, customer=table)[0] == 480
    assert refused(500, customer=table)[0] == 502  # the vendor's status first,
    assert refused(502, customer=table)[0] == 480  # then the one it would have become: 503
    assert refused(604, customer=table)[0] == 604
    assert refused(404, customer=table)[0] == 404
    assert refused(404, customer={"status_map": {"other": 500}})[0] == 500


def test_status_map_can_show_what_the_vendor_said() -> None:
    table: Options = {"status_map": {"other": 0}}
    assert [refused(status, customer=table)[0] for status in (500, 403, 580)] == [500, 403, 580]
    # but for what makes no sense without its headers
    assert [refused(status, customer=table)[0] for status in (302, 401, 407)] == [503, 503, 503]


def test_prefer_q850() -> None:
    assert refused(503, "Q.850;cause=17")[0] == 503
    prefers: Options = {"prefer_q850": True}
    assert refused(503, "Q.850;cause=17", customer=prefers)[0] == 486
    assert refused(480, "Q.850;cause=21;location=U", customer=prefers)[0] == 603
    assert refused(480, "Q.850;cause=21;location=LN", customer=prefers)[0] == 403
    assert refused(480, "Q.850;cause=16", customer=prefers)[0] == 480  # has no status
    assert refused(486, customer=prefers)[0] == 486


def test_cause_status() -> None:
    codes: Options = {"prefer_q850": True, "cause_status": {"17": 600, "16": 480}}
    assert refused(503, "Q.850;cause=17", customer=codes)[0] == 600
    assert refused(404, "Q.850;cause=16", customer=codes)[0] == 480
    assert refused(503, "Q.850;cause=1", customer=codes)[0] == 404


def test_cause_map_keeps_the_received_cause_in_the_record() -> None:
    codes: Options = {"cause_map": {"34": 38, "18": 19}}
    _, reasons, record = refused(503, 'Q.850;cause=34;text="full"', customer=codes)
    assert reasons == ["Reason: Q.850;cause=38"]
    assert (record.q850_in, record.q850_out) == (34, 38)
    assert record.reason_header == 'Q.850;cause=34;text="full"'
    _, reasons, record = refused(480, customer=codes)
    assert reasons == ["Reason: Q.850;cause=19"]
    assert (record.q850_in, record.q850_out) == (18, 19)
    assert refused(503, "Q.850;cause=17", customer=codes)[1] == ["Reason: Q.850;cause=17"]


@pytest.mark.parametrize(
    ("mode", "received", "sent"),
    [
        ("pass", "Q.850;cause=34", ["Reason: Q.850;cause=34"]),
        ("pass", "SIP;cause=503", ["Reason: SIP;cause=503"]),
        ("pass", "", ["Reason: Q.850;cause=41"]),
        ("received", "Q.850;cause=34", ["Reason: Q.850;cause=34"]),
        ("received", "", []),
        ("inject", "Q.850;cause=34", ["Reason: Q.850;cause=34"]),
        ("inject", "SIP;cause=503", ["Reason: Q.850;cause=41"]),
        ("inject", "", ["Reason: Q.850;cause=41"]),
        ("none", "Q.850;cause=34", []),
        ("none", "", []),
    ],
)
def test_reason_to_the_customer(mode: str, received: str, sent: list[str]) -> None:
    reasons = (received,) if received else ()
    assert refused(503, *reasons, customer={"reason": mode, "prefer_q850": False})[1] == sent


def test_reason_in_ringing_and_bye_to_the_customer() -> None:
    for mode, ringing, bye in (
        ("pass", ["Reason: SIP;cause=580"], ["Reason: Q.850;cause=31"]),
        ("inject", [], ["Reason: Q.850;cause=31"]),
        ("none", [], []),
    ):
        machine = call({"codes": {"reason": mode, "cause_map": {"1": 2}}})
        invite = machine.dial()
        received = ["Reason: SIP;cause=580"]
        assert heard(machine.say(invite, 183, 101.0, headers=received), "Reason") == ringing
        machine = call({"codes": {"reason": mode, "cause_map": {"1": 2}}})
        invite = machine.answer()
        sent = machine.callee_sends(invite, "BYE", 110.0, headers=["Reason: Q.850;cause=31"])
        assert lines_of(only(sent, Dial), "Reason") == bye


def test_without_options_the_record_says_which_cause_was_sent() -> None:
    _, reasons, record = refused(503, "Q.850;cause=34")
    assert reasons == ["Reason: Q.850;cause=34"]
    assert (record.q850_in, record.q850_out) == (34, 34)


def test_warning_tells_causes_apart() -> None:
    assert refused(488, headers=('Warning: 304 h "x"',))[2].q850_in == 65
    assert refused(606, headers=('Warning: 302 h "x"',))[2].q850_in == 88
    assert refused(488, headers=("Warning: 3022 h",))[2].q850_in == 65
    dial = call().dial()
    assert warning_received(answer_to(dial.draft, 488)) == 0


# --- parts -------------------------------------------------------------------------------


def test_verdict() -> None:
    response = answer_to(call().dial().draft, 503, headers=["Reason: Q.850;cause=1"])
    assert verdict(None, candidate(), response) == (503, 1, False)
    policy = VendorCodePolicy(VendorCodes(treat_as={"other": 404}))
    assert verdict(policy, candidate(), response) == (404, 1, True)
    assert policy.cause_of(404) == 0


def test_cancelled_is_cause_16() -> None:
    assert refusal(None, EndReason.CANCELLED, 0) == (487, 16, ["Reason: Q.850;cause=16"])


def test_reason_lines() -> None:
    bye = wire_request("BYE", headers=["Reason: Q.850;cause=31"])
    assert reason_lines("received", None, 16) == []
    assert reason_lines("pass", None, 0) == []
    assert reason_lines("pass", None, 16) == ["Reason: Q.850;cause=16"]
    assert reason_lines("pass", bye, 16) == ["Reason: Q.850;cause=31"]
    assert compiled_for_customer(CustomerCodes()) is None
    assert compiled_for_vendor(VendorCodes()) is None
