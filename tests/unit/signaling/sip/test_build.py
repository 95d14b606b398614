import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.signaling.sip.build import (
    ack_for,
    cancel_for,
    header,
    request,
    response_to,
)
from services.signaling.sip.errors import MalformedMessage, UnsafeText
from services.signaling.sip.message import Request, Response, parse
from tests.support.sip_messages import (
    edited,
    invite_draft,
    parsed_request,
    parsed_response,
    response,
)

VIA = "Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK0"


def test_a_request_in_full() -> None:
    draft = request(
        "INVITE",
        "sip:bob@192.0.2.10",
        from_="<sip:alice@198.51.100.7>;tag=1",
        to="<sip:bob@192.0.2.10>",
        call_id="c",
        cseq=7,
        max_forwards=69,
        route=["<sip:p1;lr>", "<sip:p2;lr>"],
        headers=["Contact: <sip:alice@198.51.100.7>"],
        body=b"v=0\r\n",
    )
    assert draft.wire(VIA) == (
        b"INVITE sip:bob@192.0.2.10 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK0\r\n"
        b"Route: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\nMax-Forwards: 69\r\n"
        b"From: <sip:alice@198.51.100.7>;tag=1\r\nTo: <sip:bob@192.0.2.10>\r\n"
        b"Call-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:alice@198.51.100.7>\r\n"
        b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )


def test_a_response_echoes_byte_for_byte() -> None:
    invite = parsed_request(
        edited(
            (b"Via:", b"v  :"),
            (b"To:", b"tO\t: "),
            (b"Max-Forwards", b"Via: SIP/2.0/TCP x;branch=y\r\nMax-Forwards"),
            (b"CSeq: 1", b"CSeq:   0001"),
            (b"Allow:", b"Record-Route: <sip:p;lr>\r\nAllow:"),
        )
    )
    reply = response_to(invite, 183, to_tag="t", headers=["Contact: <sip:b@x>"], body=b"v=0\r\n")
    assert (reply.status, reply.to_tag) == (183, "t")
    assert reply.data == (
        b"SIP/2.0 183 Session Progress\r\n"
        b"v  : SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-524287-1---a1b2c3;rport\r\n"
        b"Via: SIP/2.0/TCP x;branch=y\r\n"
        b"Record-Route: <sip:p;lr>\r\n"
        b'From: "Alice" <sip:442071234567@198.51.100.7>;tag=a73kszlfl\r\n'
        b"Call-ID: 1j9FpLxk3uxtm8tn@198.51.100.7\r\nCSeq:   0001 INVITE\r\n"
        b"tO\t:  <sip:14155550123@192.0.2.10>;tag=t\r\n"
        b"Contact: <sip:b@x>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )


def test_a_tag_is_added_once_and_never_to_a_100() -> None:
    tagged = parsed_request(edited((b"@192.0.2.10>", b"@192.0.2.10>;tag=x")))
    reply = response_to(tagged, 200, to_tag="y")
    assert reply.to_tag == "x"
    assert b";tag=y" not in reply.data
    assert response_to(parsed_request(), 100).to_tag == ""


def test_timestamp_is_echoed_in_100_and_record_route_is_not() -> None:
    invite = parsed_request(
        edited((b"Allow:", b"Timestamp: 54\r\nRecord-Route: <sip:p;lr>\r\nAllow:"))
    )
    assert b"\r\nTimestamp: 54\r\n" in response_to(invite, 100).data
    assert b"Record-Route" not in response_to(invite, 100).data
    assert b"Timestamp" not in response_to(invite, 180).data
    assert b"Record-Route" not in response_to(invite, 486).data


def test_half_a_request_can_be_answered() -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse(b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=1\r\nTo: \x00 oops\r\n\r\n")
    assert isinstance(caught.value.message, Request)
    reply = response_to(caught.value.message, 400, "Missing call-id", to_tag="t")
    assert reply.data == (
        b"SIP/2.0 400 Missing call-id\r\nVia: SIP/2.0/UDP a;branch=1\r\nTo: \x00 oops;tag=t\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_ack_and_cancel_repeat_the_invite() -> None:
    draft = invite_draft()
    draft.lines.insert(0, "Route: <sip:p;lr>")
    invite = parsed_request(draft.wire(VIA))
    ack = parsed_request(ack_for(invite, response(486)))
    cancel = parsed_request(cancel_for(invite, ["Reason: SIP;cause=200"]))
    for derived in (ack, cancel):
        assert derived.uri == invite.uri
        for name in ("via", "route", "from", "call-id"):
            assert derived.raw_lines(name) == invite.raw_lines(name)
        assert derived.cseq == (1, derived.method)
        assert derived.body == b""
    assert (ack.method, ack.to_tag) == ("ACK", "theirs")
    assert (cancel.method, cancel.to_tag) == ("CANCEL", "")
    assert cancel.headers("reason") == ["SIP;cause=200"]


BREAKS = ["\r\nRoute: <sip:evil>", "\n", "\r", "\0", "\r\n\r\n", "\r\n folded", "Ж"]


@pytest.mark.parametrize("poison", BREAKS)
@pytest.mark.parametrize(
    "place", ["uri", "from_", "to", "call_id", "route", "headers", "content_type", "method"]
)
def test_no_argument_of_a_request_can_add_a_line(poison: str, place: str) -> None:
    text = "x" + poison
    draft = request(
        text if place == "method" else "INVITE",
        text if place == "uri" else "sip:b@x",
        from_=text if place == "from_" else "<sip:a@x>;tag=1",
        to=text if place == "to" else "<sip:b@x>",
        call_id=text if place == "call_id" else "c",
        cseq=1,
        route=[text] if place == "route" else [],
        headers=["X: " + text] if place == "headers" else [],
        body=b"x",
        content_type=text if place == "content_type" else "a/b",
    )
    with pytest.raises(UnsafeText):
        draft.wire(VIA)


@pytest.mark.parametrize("poison", BREAKS)
def test_no_argument_of_a_response_can_add_a_line(poison: str) -> None:
    invite = parsed_request()
    with pytest.raises(UnsafeText):
        response_to(invite, 500, "x" + poison)
    with pytest.raises(UnsafeText):
        response_to(invite, 500, to_tag="x" + poison)
    with pytest.raises(UnsafeText):
        response_to(invite, 500, headers=["X: x" + poison])
    with pytest.raises(UnsafeText):
        response_to(invite, 500, body=b"x", content_type="x" + poison)
    with pytest.raises(UnsafeText):
        cancel_for(invite, ["X: x" + poison])
    with pytest.raises(UnsafeText):
        header("X", "x" + poison)


@pytest.mark.parametrize("line", ["", " folded: x", "\tfolded: x"])
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(UnsafeText):
        response_to(parsed_request(), 200, headers=["A: 1", line, "B: 2"])


@pytest.mark.parametrize("uri", ["", "sip:a b", "sip:a SIP/2.0"])
def test_a_request_line_has_three_parts(uri: str) -> None:
    draft = invite_draft()
    draft.uri = uri
    with pytest.raises(UnsafeText):
        draft.wire(VIA)


def test_a_ready_header_line() -> None:
    assert header("Subject", "x") == "Subject: x"


WORD = st.text(string.ascii_letters + string.digits + "-_.!~*'", min_size=1, max_size=20)


@settings(deadline=None)
@given(WORD, WORD, WORD, st.integers(0, 2**31 - 1), st.binary(max_size=50))
def test_what_is_built_is_parsed_back(
    user: str, tag: str, call_id: str, cseq: int, body: bytes
) -> None:
    uri = f"sip:{user}@192.0.2.1"
    draft = request(
        "INVITE",
        uri,
        from_=f"<{uri}>;tag={tag}",
        to=f"<{uri}>",
        call_id=call_id,
        cseq=cseq,
        body=body,
    )
    back = parsed_request(draft.wire(VIA))
    assert (back.uri, back.from_tag, back.call_id, back.cseq.number, back.body) == (
        uri,
        tag,
        call_id,
        cseq,
        body,
    )
    answer = parsed_response(response_to(back, 200, to_tag=tag, body=body).data)
    assert isinstance(answer, Response)
    assert (answer.to_tag, answer.cseq, answer.body) == (tag, back.cseq, body)
