"""Numbers in: where they are read. Numbers out: how they are written."""

from __future__ import annotations

import pytest

from services.common.sip_options.identity import VendorIdentity
from services.common.sip_options.numbers import Numbers
from services.signaling.core.commands import FindRoutes
from services.signaling.core.numbering import (
    NumberSources,
    addresses,
    formatted,
    has_number_params,
    is_telephone_number,
    number_params,
)
from tests.support.signaling.machine import OFFER, only, wire_request
from tests.support.signaling.policies import call

HEADERS = [
    "Remote-Party-ID: <sip:55@h>;party=called, rubbish",
    'Remote-Party-ID: "B" <sip:2222@h>;party=calling;screen=yes',
    "P-Asserted-Identity: <sip:h>, <tel:+33-33>",
    "P-Preferred-Identity: <sip:4444;npdi@h>",
    "Diversion: <sip:5555@h>;reason=unconditional, <sip:6666@h>",
]


def read(**options: str) -> tuple[str, str]:
    invite = wire_request("INVITE", headers=HEADERS, from_uri="sip:1000@h")
    sources = NumberSources(Numbers(**options), is_trusted=True)  # type: ignore[arg-type]
    return sources.caller(invite), sources.called(invite)


@pytest.mark.parametrize(
    ("source", "number"),
    [("from", ""), ("rpid", "2222"), ("pai", "+3333"), ("ppi", "4444"), ("display", "")],
)
def test_caller_is_read_where_the_option_says(source: str, number: str) -> None:
    assert read(caller_from=source)[0] == number


@pytest.mark.parametrize(
    ("source", "number"), [("request_uri", ""), ("to", "2000"), ("diversion", "5555")]
)
def test_called_is_read_where_the_option_says(source: str, number: str) -> None:
    assert read(called_from=source)[1] == number


def test_display_name_of_from() -> None:
    invite = wire_request("INVITE")
    invite._first["from"] = 'From: " +49123 " <sip:1000@h>;tag=caller'
    assert NumberSources(Numbers(caller_from="display"), is_trusted=False).caller(invite) == (
        "+49123"
    )


@pytest.mark.parametrize("source", ["pai", "rpid"])
def test_asserted_numbers_are_believed_of_the_trusted_only(source: str) -> None:
    invite = wire_request("INVITE", headers=HEADERS)
    options = Numbers(caller_from=source)  # type: ignore[arg-type]  # one of two
    assert NumberSources(options, is_trusted=False).caller(invite) == ""


@pytest.mark.parametrize(
    "line",
    [
        "P-Asserted-Identity: rubbish<>",
        "P-Asserted-Identity: <sip:99@h>;a;a",
        "P-Asserted-Identity: <sip:a%ZZ@h>",
        'P-Asserted-Identity: "a\0" <sip:99@h>',
        "P-Asserted-Identity: <mailto:a@b>",
        "X: y",
    ],
)
def test_what_is_missing_or_malformed_leads_back_to_from(line: str) -> None:
    customer = {"numbers": {"caller_from": "pai"}, "identity": {"trusted": True}}
    machine = call(customer, invite=wire_request("INVITE", body=OFFER, headers=[line]))
    assert only(machine.start(), FindRoutes).caller == "1000"


def test_record_keeps_what_was_received_and_what_is_used() -> None:
    customer = {
        "numbers": {"caller_from": "pai", "called_from": "diversion"},
        "identity": {"trusted": True},
    }
    machine = call(
        customer,
        invite=wire_request("INVITE", headers=HEADERS, from_uri="sip:anonymous@anonymous.invalid"),
    )
    question = only(machine.start(), FindRoutes)
    assert (question.caller, question.called) == ("+3333", "5555")
    machine.take(machine.call.on_plan(None, 100.0))
    record = machine.record
    assert (record.caller, record.called) == ("anonymous", "2000")
    assert (record.caller_billed, record.called_billed) == ("+3333", "5555")


def test_addresses_that_keep_the_grammar() -> None:
    message = wire_request(
        "INVITE",
        headers=[
            'Diversion: <sip:1@h>, <sip:2@h>;x="a, b", <',
        ],
    )
    assert [one.uri for one in addresses(message, "diversion")] == ["sip:1@h", "sip:2@h"]
    assert list(addresses(message, "history-info")) == []


@pytest.mark.parametrize(
    ("style", "number", "written"),
    [
        ("as_routed", "+4930123456", "+4930123456"),
        ("plain", "+4930123456", "4930123456"),
        ("plain", "4930123456", "4930123456"),
        ("plus", "4930123456", "+4930123456"),
        ("plus", "+4930123456", "+4930123456"),
        ("international", "+4930123456", "01149" + "30123456"),
        ("national", "+4930123456", "030123456"),
        ("national", "+33144556677", "01133144556677"),
        ("plus", "+49-30-(123).456", "+4930123456"),
        # no E.164 numbers: nothing is known of them
        ("plus", "110", "110"),
        ("plus", "0049301234567", "0049301234567"),
        ("plus", "4930123456789012", "4930123456789012"),
        ("plus", "anonymous", "anonymous"),
        ("plus", "*4930123456", "*4930123456"),
        ("plain", "+4930\u0661\u0662\u0663\u0664\u0665", "+4930\u0661\u0662\u0663\u0664\u0665"),
        ("plus", "", ""),
    ],
)
def test_formats(style: str, number: str, written: str) -> None:
    options = VendorIdentity(country_code="49", international_prefix="011")
    assert formatted(number, style, options) == written


def test_telephone_numbers() -> None:
    assert all(map(is_telephone_number, ["+4930", "112", "*21#", "123ABC"]))
    assert not any(map(is_telephone_number, ["", "alice", "49;x", "+", "4930@h"]))


@pytest.mark.parametrize(
    ("uri", "params"),
    [
        ("sip:+1201;npdi;rn=+12025550000@h;user=phone", ";npdi;rn=+12025550000"),
        ("tel:+1201;npdi;rn=+12025550000;ext=5", ";npdi;rn=+12025550000"),
        ("sip:+1201;cic=+16789;isub=1@h", ";cic=+16789"),
        ("sip:+1201;rn=<>@h", ""),
        ("sip:+1201;rn=%0D%0ARoute@h", ""),
        ("sip:+1201@h;rn=1", ""),
        ("sip:+1201@h", ""),
    ],
)
def test_number_portability(uri: str, params: str) -> None:
    if "<" in uri:
        assert has_number_params(wire_request("INVITE", uri=uri))
        return
    invite = wire_request("INVITE", uri=uri)
    assert number_params(invite) == params
    assert has_number_params(invite) or not params
