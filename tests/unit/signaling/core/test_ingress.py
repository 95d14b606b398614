"""What the INVITE of the caller makes: tags, dialogs, whom they believe."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.sip_options.early_media import EarlyMedia
from services.signaling.core.early_media import EarlyDialogs
from services.signaling.core.ingress import Ingress, asks_security
from services.signaling.sip.message import parse
from tests.support.signaling.machine import (
    CALLER,
    STRANGER,
    context,
    wire_request,
)

BYE = wire_request("BYE", cseq=2, to_tag="ours")


def test_whom_an_unanswered_call_believes() -> None:
    ingress = Ingress(wire_request("INVITE"), "k", CALLER, context())
    assert ingress.accepts(BYE, CALLER)
    assert not ingress.accepts(BYE, STRANGER)
    assert not ingress.accepts(
        wire_request("BYE", cseq=2, to_tag="ours", from_tag="other"), CALLER
    )


def test_a_fork_that_had_no_tag_keeps_the_one_we_gave_it() -> None:
    ingress = Ingress(wire_request("INVITE"), "k", CALLER, context())
    assert ingress.tag(1, "") == ingress.tag(1, "named") == "tag1"
    assert ingress.tag(2, "named") == "tag1-1"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"uri": "sips:2000@203.0.113.1"}, True),
        ({"contact": "sips:1000@192.0.2.10"}, True),
        ({"contact": "sips:1@a", "headers": ["Record-Route: <sip:p;lr>, <sips:q;lr>"]}, False),
        ({"headers": ["Record-Route: <sips:p;lr>, <sip:q;lr>"]}, True),
    ],
)
def test_a_secure_dialog_is_one_that_was_asked_for(
    changes: dict[str, Any], expected: bool
) -> None:
    invite = wire_request("INVITE", **changes)
    assert asks_security(invite) is expected
    secure = Ingress(invite, "k", CALLER._replace(transport="tls"), context())
    contact = parse(secure.answer(200, "t", b"").data).contact
    assert contact is not None
    assert contact.uri.startswith("sips:" if expected else "sip:")
    # What came in the clear cannot be promised to be secure.
    assert b"<sips:203" not in Ingress(invite, "k", CALLER, context()).answer(200, "t", b"").data


def test_which_egress_dialog_our_tag_stands_for() -> None:
    ingress = Ingress(wire_request("INVITE"), "k", CALLER, context())
    first, second = ingress.tag(1, "one"), ingress.tag(2, "one")
    assert (ingress.fork(first), ingress.fork(second)) == ((1, "one"), (2, "one"))
    assert ingress.fork("other") == ingress.fork("") == (0, "")
    assert (ingress.known_tag(2, "one"), ingress.known_tag(2, "two")) == (second, "")
    assert ingress.known_tag(3, "one") == ""


def test_one_dialog_that_stands_for_all_forks_is_that_of_the_first() -> None:
    ingress = Ingress(wire_request("INVITE"), "k", CALLER, context())
    ingress.early = EarlyDialogs(EarlyMedia(forks="one"))
    tag = ingress.tag(1, "one")
    assert ingress.fork(tag) == (1, "")
    ingress.early.pass_on(1, "two", 183, b"sdp")
    assert (ingress.fork(tag), ingress.known_tag(1, "two")) == ((1, "two"), tag)
    assert ingress.known_tag(1, "one") == ""


def test_a_dialog_in_which_something_was_asked_early_is_the_one_that_is_confirmed() -> None:
    ingress = Ingress(wire_request("INVITE"), "k", CALLER, context())
    early = ingress.early_leg("ours", 1)
    assert early.keeps_session
    assert not early.dialog.is_confirmed
    assert ingress.early_leg("ours", 1) is ingress.leg("ours", 1) is early
    assert ingress.leg("theirs", 1) is not ingress.leg("theirs", 1)
