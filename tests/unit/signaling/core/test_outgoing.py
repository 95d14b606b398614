"""The INVITE to a vendor, put together from both policies."""

from __future__ import annotations

from services.signaling.core.commands import Request as Dial
from services.signaling.core.outgoing import Offer, bracketed, outgoing, request_uri
from services.signaling.core.trunk_policy import USUAL_VENDOR
from tests.support.signaling.machine import OFFER, candidate, only, wire_request
from tests.support.signaling.policies import call, lines_of


def test_request_uri() -> None:
    assert request_uri(candidate()) == "sip:2000@198.51.100.1"
    there = candidate(host="2001:db8::1", port=5070, transport="tcp")
    assert request_uri(there) == "sip:2000@[2001:db8::1]:5070;transport=tcp"
    assert bracketed("h.example") == "h.example"


def test_without_options_it_says_what_the_short_way_says() -> None:
    invite = wire_request("INVITE", body=OFFER, headers=["Subject: a", "Privacy: session"])
    offer = Offer(OFFER, "192.0.2.10", invite)
    there = candidate(port=5070)
    built = outgoing(there, USUAL_VENDOR, offer, "203.0.113.1:5060")
    assert built == (
        request_uri(there),
        "<sip:1000@203.0.113.1:5060>",
        "<sip:2000@198.51.100.1>",
        ("Privacy: session", "Subject: a"),
    )


def test_every_vendor_gets_what_his_own_options_say() -> None:
    first = {"headers": {"add": {"X-Vendor": "one"}}}
    second = {"headers": {"add": {"X-Vendor": "two"}}, "identity": {"caller_format": "plus"}}
    machine = call({}, first, second, {}, caller="4930123456")
    dial = machine.dial()
    seen = []
    for number in (1, 2, 3):
        seen.append([*lines_of(dial, "X-Vendor"), lines_of(dial, "From")[0][:18]])
        commands = machine.say(dial, 503, 100.0 + number)
        if number < 3:
            dial = only(commands, Dial)
    assert seen == [
        ["X-Vendor: one", "From: <sip:4930123"],
        ["X-Vendor: two", "From: <sip:+493012"],
        ["From: <sip:4930123"],
    ]


def test_an_added_header_replaces_one_of_the_identity_group() -> None:
    options = {
        "identity": {"p_charge_info": "caller"},
        "headers": {"add": {"P-Charge-Info": "<sip:9@h>"}},
    }
    assert lines_of(call({}, options).dial(), "P-Charge-Info") == ["P-Charge-Info: <sip:9@h>"]
