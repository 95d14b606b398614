import pytest

from services.signaling.sip.validate import Capabilities, Rejection, check_response, validate
from tests.support.sip_messages import edited, parsed_request, response

ALL = Capabilities()


def verdict(*edits: tuple[bytes, bytes], capabilities: Capabilities = ALL) -> Rejection | None:
    return validate(parsed_request(edited(*edits)), capabilities)


def test_a_sound_request_passes() -> None:
    assert verdict() is None
    assert verdict((b"Max-Forwards: 70\r\n", b"")) is None


@pytest.mark.parametrize(
    "old, new, status",
    [
        (b"INVITE sip:", b"FROBNICATE sip:", 501),
        (b"INVITE sip:", b"SUBSCRIBE sip:", 405),
        (b"1 INVITE", b"1 BYE", 400),
        (b"sip:14155550123@192.0.2.10:5060 ", b"http://x ", 416),
        (b"sip:14155550123@192.0.2.10:5060 ", b"tel:+14155550123 ", None),
        (b"192.0.2.10:5060 ", b"192.0.2.10?Route=%3Csip:x%3E ", 400),
        (b"sip:14155550123@192.0.2.10:5060 ", b"<sip:14155550123@192.0.2.10> ", 400),
        (b"Supported: ", b"Require: ", 420),
        (b"Supported: ", b"Proxy-Require: ", 420),
        (b"application/sdp", b"application/nonsense", 415),
        (b"User-Agent", b"Content-Encoding: gzip\r\nUser-Agent", 415),
        (b"Max-Forwards: 70", b"Max-Forwards: 300", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: many", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: 0", None),
        (b"User-Agent", b"Expires: 4294967296\r\nUser-Agent", 400),
        (b"Contact: <sip:4", b"X-Contact: <sip:4", 400),
        (b"Contact: <sip:4", b"Contact: <mailto:4", 400),
        (b";tag=a73kszlfl", b";tag=a;tag=b", 400),
        (b";tag=a73kszlfl", b';tag="unterminated', 400),
        (b"To: <sip:", b"To: <sip::", 400),
        (b"Call-ID: ", b"Call-ID: a b", 400),
        (b"Call-ID: 1j9FpLxk3uxtm8tn@198.51.100.7", b"Call-ID:", 400),
        (b";rport", b";;rport", 400),
        (b"Max-", b"Via: nonsense\r\nMax-", 400),
        (b"User-Agent", b"Record-Route: nonsense<\r\nUser-Agent", 400),
        (b'"Alice"', b'"A\\\0"', 400),
    ],
)
def test_what_is_refused(old: bytes, new: bytes, status: int | None) -> None:
    rejection = verdict((old, new))
    assert (rejection and rejection.status) == status


def test_refusals_say_what_would_be_accepted() -> None:
    refused = verdict((b"INVITE sip:", b"REFER sip:"))
    assert refused == Rejection(405, None, (ALL.allow_line,))
    assert ALL.allow_line == "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
    assert verdict((b"Supported: ", b"Require: ")) == Rejection(
        420, None, ("Unsupported: timer, 100rel",)
    )
    assert verdict((b"application/sdp", b"a/b")) == Rejection(
        415, None, ("Accept: application/sdp",)
    )


def test_extensions_we_have_may_be_required() -> None:
    able = Capabilities(extensions=frozenset({"timer"}))
    assert verdict((b"Supported: ", b"Require: "), capabilities=able) == Rejection(
        420, None, ("Unsupported: 100rel",)
    )


def test_ack_and_cancel_are_never_refused_for_an_extension() -> None:
    edits = [
        (b"INVITE sip", b"CANCEL sip"),
        (b"1 INVITE", b"1 CANCEL"),
        (b"Supported: ", b"Require: "),
    ]
    assert verdict(*edits) is None


def test_contact_may_be_missing_where_there_was_no_branch() -> None:
    assert verdict((b"Contact: <", b"X: <"), (b"branch=z9hG4bK-", b"branch=")) is None


def test_a_request_can_be_answered_only_at_a_sip_uri() -> None:
    without = (b"Contact: <", b"X: <"), (b"branch=z9hG4bK-", b"branch=")
    refused = verdict(*without, (b'"Alice" <sip:442071234567@198.51.100.7>', b"<tel:+44207123>"))
    assert refused == Rejection(400, "Missing Contact")
    routes = b"Record-Route: <sip:p;lr>, <mailto:a@b>\r\nAllow:"
    assert verdict((b"Allow:", routes)) == Rejection(400, "Record-Route is no SIP URI")


@pytest.mark.parametrize(
    "extra, sound",
    [
        ("", True),
        ("Contact: <sip:b@192.0.2.10>\r\n", True),
        ("Contact: nonsense <\r\n", False),
        ("Record-Route: <sip:p;lr>, <sip:q;lr>\r\n", True),
        ("Record-Route: <\r\n", False),
        ("Via: SIP/2.0/UDP below\r\n", False),
        ("X: \0\r\n", False),
    ],
)
def test_responses_worth_acting_on(extra: str, sound: bool) -> None:
    assert check_response(response(200, extra=extra)) is sound


def test_a_response_with_a_malformed_to_is_dropped() -> None:
    assert not check_response(response(200, to_tag='"x'))
    broken = response(200)
    broken._first["to"] = "To: <sip\x81b@192.0.2.10>;tag=theirs"
    assert not check_response(broken)
