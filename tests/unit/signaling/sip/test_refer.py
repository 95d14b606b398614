"""Whom a REFER names: RFC 3515, RFC 3891."""

import pytest

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.refer import Replaces, Target, notify_lines, refer_to, sipfrag
from tests.support.signaling.machine import wire_request

REPLACES = Replaces("a@b", "1", "2", early_only=False)


def target(value: str) -> Target:
    return refer_to(wire_request("REFER", headers=[f"Refer-To: {value}"]))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("<sip:3000@evil.example:5080;transport=tcp>", Target("3000", "INVITE", None)),
        ("sip:3000@x", Target("3000", "INVITE", None)),
        ('"C" <sips:%2B49@x;user=phone>', Target("+49", "INVITE", None)),
        ("<tel:+49-30-1>", Target("+49301", "INVITE", None)),
        ("<sip:3000@x;method=BYE>", Target("3000", "BYE", None)),
        ("<sip:x>", Target("", "INVITE", None)),
        (
            "<sip:3000@x?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>",
            Target("3000", "INVITE", REPLACES),
        ),
        (
            "<sip:3000@x?Route=%3Csip:evil%3E&%52eplaces=a%40b%3Bfrom-tag%3D2%3Bto-tag%3D1&X=y>",
            Target("3000", "INVITE", REPLACES),
        ),
        (
            "<sip:3000@x?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2%3Bearly-only>",
            Target("3000", "INVITE", REPLACES._replace(early_only=True)),
        ),
        ("<sip:3000@x?Route=%3Csip:evil%3E>", Target("3000", "INVITE", None)),
    ],
)
def test_what_a_refer_to_means(value: str, found: Target) -> None:
    assert target(value) == found


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<http://x>",
        "<sip:3000@x",
        "<sip:3000@x?Replaces=>",
        "<sip:3000@x?Replaces=a%40b>",
        "<sip:3000@x?Replaces=a%40b%3Bto-tag%3D1>",
        "<sip:3000@x?Replaces=a%40b%3Bto-tag%3D1%3Bto-tag%3D1%3Bfrom-tag%3D2>",
        "<sip:3000@x?Replaces=%0D%0AX:%20y>",
    ],
)
def test_what_means_nothing(value: str) -> None:
    with pytest.raises(MalformedMessage):
        target(value)
    with pytest.raises(MalformedMessage):
        refer_to(wire_request("REFER"))


def test_what_a_notify_says() -> None:
    assert sipfrag(100) == b"SIP/2.0 100 Trying\r\n"
    assert sipfrag(699) == b"SIP/2.0 699 Unknown\r\n"
    assert notify_lines(7, is_last=False) == [
        "Event: refer;id=7", "Subscription-State: active;expires=180",
    ]  # fmt: skip
    assert notify_lines(7, is_last=True)[1] == "Subscription-State: terminated;reason=noresource"
