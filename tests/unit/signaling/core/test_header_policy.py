"""Which headers pass between trunks with options."""

from __future__ import annotations

import pytest

from services.common.sip_options.headers import GOVERNED_HEADERS, STACK_HEADERS, Headers
from services.signaling.core.commands import Request as Dial
from services.signaling.core.header_policy import HeaderPolicy, compiled, passing
from services.signaling.core.headers import BODY, INVITE_PASSES
from tests.support.signaling.machine import ANSWER, OFFER, only, wire_request
from tests.support.signaling.policies import call, heard, lines_of, sent

NAMES = ("Subject", "X-A", "x-b", "User-to-User", "Reason")
RECEIVED = ["Subject: one", "X-A: 1", "X-A: 2", "x-b: 3", "User-to-User: 04"]


def lines(**options: object) -> list[str]:
    policy = HeaderPolicy(Headers(**options))  # type: ignore[arg-type]  # as a test writes them
    return policy.lines(wire_request("INVITE", headers=RECEIVED), INVITE_PASSES)


def test_modes() -> None:
    assert lines() == ["Subject: one", "User-to-User: 04"]
    assert lines(listed=["x-a"]) == ["Subject: one", "User-to-User: 04", "X-A: 1", "X-A: 2"]
    assert lines(pass_="listed", listed=["X-B", "subject"]) == ["x-b: 3", "Subject: one"]
    assert lines(pass_="none", listed=["X-B"]) == []
    assert lines(pass_="all") == RECEIVED


def test_strip_wins_over_everything() -> None:
    assert lines(pass_="all", strip=["x-A", "SUBJECT"]) == ["x-b: 3", "User-to-User: 04"]
    message = wire_request("INVITE", headers=RECEIVED)
    policy, other = HeaderPolicy(Headers(pass_="all")), HeaderPolicy(Headers(strip=["X-A"]))
    assert passing(message, (), policy, other) == [RECEIVED[0], *RECEIVED[3:]]
    assert passing(message, ("subject",), None, None) == ["Subject: one"]


def test_what_describes_a_body_passes_in_every_mode() -> None:
    message = wire_request("INVITE", headers=["Content-Disposition: render", "MIME-Version: 1.0"])
    for mode in ("usual", "none", "listed", "all"):
        policy = HeaderPolicy(Headers(pass_=mode))
        assert len(policy.lines(message, BODY)) == 2


def test_added_lines_replace_received_ones() -> None:
    policy = HeaderPolicy(Headers(pass_="all", add={"X-A": "ours", "X-Ü"[:2] + "C": "ü"}))
    message = wire_request("INVITE", headers=RECEIVED)
    assert policy.invite_lines(message, INVITE_PASSES) == [
        "Subject: one", "x-b: 3", "User-to-User: 04", "X-A: ours", "X-C: \u00c3\u00bc",
    ]  # fmt: skip
    assert policy.unless_added(["x-A: 9", "P-Charge-Info: <sip:1@h>"]) == [
        "P-Charge-Info: <sip:1@h>"
    ]
    assert compiled(Headers()) is None
    assert compiled(Headers(pass_="all")) is not None


@pytest.mark.parametrize("name", sorted(STACK_HEADERS | GOVERNED_HEADERS))
def test_nothing_of_the_dialog_passes_by_all(name: str) -> None:
    if name in ("require", "proxy-require", "via", "record-route", "replaces"):
        return  # refused or answered before any policy is asked: see below
    line = f"{name}: <sip:evil@203.0.113.66>"
    single = ("from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length",
              "content-type")  # fmt: skip
    if name in single:
        policy = HeaderPolicy(Headers(pass_="all"))
        passed = policy.lines(wire_request("INVITE", body=OFFER), ())
        assert not [one for one in passed if one.lower().startswith(name + ":")]
        return
    machine = call({}, {"headers": {"pass": "all"}}, headers=[line])
    assert "evil" not in "\n".join(sent(machine.dial()))


def test_vendor_decides_what_he_is_sent() -> None:
    extra = ["X-A: 1", "Record-Route: <sip:192.0.2.99;lr>", "Allow: SECRET", "k: timer"]
    dial = call({}, {"headers": {"pass": "all"}}, headers=extra).dial()
    assert lines_of(dial, "X-A") == ["X-A: 1"]
    assert "SECRET" not in "".join(sent(dial))
    assert "192.0.2.99" not in "".join(sent(dial))
    assert lines_of(dial, "k", "Supported") == []
    assert lines_of(call({}, {}, headers=extra).dial(), "X-A") == []


def test_strip_of_the_customer_holds_for_every_vendor() -> None:
    customer = {"headers": {"strip": ["X-A", "subject"]}}
    extra = ["X-A: 1", "X-B: 2", "s: hidden"]
    dial = call(customer, {"headers": {"pass": "all"}}, headers=extra).dial()
    assert lines_of(dial, "X-A", "X-B", "s", "Subject") == ["X-B: 2"]
    assert lines_of(call(customer, {}, headers=extra).dial(), "s", "Subject") == []


def test_customer_decides_what_he_is_sent() -> None:
    customer = {"headers": {"pass": "listed", "listed": ["X-Rate"], "add": {"X-Ours": "yes"}}}
    machine = call(customer, {"headers": {"strip": ["X-Secret"]}})
    invite = machine.dial()
    extra = ["X-Rate: 5", "X-Other: 6", "User-to-User: 04", "X-Secret: 7"]
    names = ("X-Rate", "X-Other", "User-to-User", "X-Ours", "X-Secret")
    expected = ["X-Rate: 5", "X-Ours: yes"]
    assert heard(machine.say(invite, 180, 101.0, headers=extra), *names) == expected
    assert heard(machine.say(invite, 486, 102.0, headers=extra), *names) == expected


def test_refusals_of_ours_carry_added_lines_only() -> None:
    machine = call({"headers": {"pass": "all", "add": {"X-Ours": "yes"}}})
    machine.start()
    assert heard(machine.take(machine.call.on_plan(None, 100.0)), "X-Ours") == ["X-Ours: yes"]


def test_policies_hold_inside_the_call() -> None:
    machine = call({"headers": {"pass": "all"}}, {"headers": {"pass": "all", "strip": ["X-B"]}})
    invite = machine.answer()
    commands = machine.caller_sends("INFO", 110.0, headers=["X-A: 1", "X-B: 2", "Route: <sip:e>"])
    info = only(commands, Dial)
    assert lines_of(info, "X-A", "X-B", "Route") == ["X-A: 1"]
    reply = machine.reply(info, 200, 110.1, headers=["X-C: 3", "X-B: 4"])
    assert heard(reply, "X-C", "X-B") == ["X-C: 3"]
    bye = machine.callee_sends(invite, "BYE", 111.0, headers=["X-D: 5", "X-B: 6"])
    passed_on = only(bye, Dial)
    assert lines_of(passed_on, "X-D", "X-B") == ["X-D: 5"]


def test_without_options_nothing_changes() -> None:
    machine = call()
    invite = machine.dial()
    assert lines_of(invite, "X-A") == []
    passed = machine.say(invite, 200, 105.0, body=ANSWER, headers=["X-A: 1"])
    assert passed
    assert heard(machine.durable(105.0), "X-A") == []
