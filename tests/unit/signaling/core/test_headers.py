"""What passes between the legs."""

from __future__ import annotations

import pytest

from services.signaling.core.headers import (
    INVITE_PASSES,
    address,
    body_type,
    numbers,
    passed_lines,
    q850_received,
    reason_header,
    reason_line,
)
from tests.support.signaling.machine import wire_request


def test_only_listed_headers_pass_unchanged() -> None:
    message = wire_request(
        "INVITE", headers=["privacy:  id;header", "X-A: 1", "s: compact", "Via: SIP/2.0/UDP x"]
    )
    assert passed_lines(message, INVITE_PASSES) == ["privacy:  id;header", "s: compact"]


def test_a_line_with_nul_does_not_pass() -> None:
    assert passed_lines(wire_request("INVITE", headers=["Subject: a\0b"]), ("subject",)) == []
    message = wire_request("INFO", headers=["Content-Type: a\0b"])
    assert body_type(message) == "application/octet-stream"


@pytest.mark.parametrize(
    ("from_uri", "uri", "found"),
    [
        ("sip:+49@h", "sip:+44%2D1;npdi@h;user=phone", ("+49", "+44-1")),
        ("sip:h", "tel:+1-201-555-0123", ("", "+12015550123")),
        ("sip:anonymous@anonymous.invalid", "sip:123%23@h", ("anonymous", "123#")),
    ],
)
def test_numbers(from_uri: str, uri: str, found: tuple[str, str]) -> None:
    assert numbers(wire_request("INVITE", from_uri=from_uri, uri=uri)) == found


def test_address_escapes_what_would_end_it() -> None:
    assert address("a>;tag=x\r\n", "h") == "<sip:a%3E;tag=x%0D%0A@h>"
    assert address("", "h:5070") == "<sip:h:5070>"


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("Q.850;cause=17", 17),
        ('SIP;cause=200;text="Call, elsewhere", q.850 ; cause=16', 16),
        ("SIP;cause=200", 0),
        ("Q.850;cause=rubbish", 0),
        ("Q.850", 0),
    ],
)
def test_q850_received(value: str, cause: int) -> None:
    assert q850_received(wire_request("BYE", headers=[f"Reason: {value}"])) == cause


def test_reason_header_and_line() -> None:
    assert (
        reason_header(wire_request("BYE", headers=["Reason: Q.850\0;cause=1"])) == "Q.850;cause=1"
    )
    assert reason_header(wire_request("BYE")) == ""
    assert q850_received(wire_request("BYE")) == 0
    assert reason_line(16) == "Reason: Q.850;cause=16"
    assert reason_line(31, "gone") == 'Reason: Q.850;cause=31;text="gone"'
