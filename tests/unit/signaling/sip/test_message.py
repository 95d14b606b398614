from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import CSeq
from services.signaling.sip.message import Limits, Request, Response, is_new_call, parse
from tests.support.sip_messages import INVITE, edited, parsed_request

TORTURE = Path(__file__).parents[3] / "support/rfc4475"


def malformed(
    data: bytes, *, stream: bool = False, limits: Limits | None = None
) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        parse(data, stream=stream, limits=limits or Limits())
    return caught.value


def test_typed_access() -> None:
    invite = parsed_request()
    assert (invite.method, invite.uri) == ("INVITE", "sip:14155550123@192.0.2.10:5060")
    assert invite.via.branch == "z9hG4bK-524287-1---a1b2c3"
    assert invite.cseq == CSeq(1, "INVITE")
    assert (invite.from_.display, invite.from_tag, invite.to_tag) == ('"Alice"', "a73kszlfl", "")
    assert invite.to.uri == "sip:14155550123@192.0.2.10"
    assert invite.call_id == "1j9FpLxk3uxtm8tn@198.51.100.7"
    assert invite.max_forwards == 70
    assert invite.contact is not None
    assert invite.contact.uri == "sip:442071234567@198.51.100.7:5060;transport=udp"
    assert (invite.content_type, invite.body) == ("application/sdp", b"v=0\r\n")
    assert invite.headers("allow")[-1] == "UPDATE"
    assert invite.headers("supported") == ["timer", "100rel"]
    assert invite.headers("absent") == []
    assert invite.raw_lines("user-agent") == ["User-Agent: Acme SBC 7.1"]
    assert invite.has("p-asserted-identity")


def test_accessors_parse_once() -> None:
    invite = parsed_request()
    assert invite.from_ is invite.from_
    assert invite.via is invite.via
    assert invite.cseq is invite.cseq


def test_folding_compact_names_and_space_before_the_colon() -> None:
    wsinv = parse((TORTURE / "wsinv.dat").read_bytes())
    assert isinstance(wsinv, Request)
    assert wsinv.to_tag == "1918181833n"
    assert wsinv.from_.display == '"J Rosenberg \\\\\\""'
    assert (wsinv.cseq.number, wsinv.max_forwards) == (9, 68)
    assert wsinv.first("subject") == ""
    assert wsinv.headers("via")[0].split()[-1] == "192.0.2.2;branch=390skdjuw"
    assert len(wsinv.headers("via")) == 3
    assert wsinv.headers("newfangledheader") == ["newfangled value continued newfangled value"]
    assert wsinv.headers("unknownheaderwithunusualvalue") == [";;,,;;,;"]


def test_repeated_lines_keep_their_order() -> None:
    message = parsed_request(edited((b"Max-", b"Via: SIP/2.0/UDP b, SIP/2.0/UDP c\r\nMax-")))
    assert [value[12:13] for value in message.headers("via")] == ["1", "b", "c"]
    assert len(message.raw_lines("via")) == 2
    assert message.names.count("via") == 1
    assert {"from", "max-forwards"} <= set(message.names)


def test_responses() -> None:
    for line, reason in (
        (b"SIP/2.0 183 Session Progress", "Session Progress"),
        (b"SIP/2.0 183 ", ""),
        (b"SIP/2.0 183", ""),
    ):
        response = parse(edited((INVITE.split(b"\r\n")[0], line)))
        assert isinstance(response, Response)
        assert (response.status, response.reason) == (183, reason)


@pytest.mark.parametrize(
    "line",
    [
        b"SIP/2.0 99 x",
        b"SIP/2.0 700 x",
        b"SIP/2.0 4294967301 x",
        b"SIP/2.0 -20 x",
        b"SIP/3.0 200 OK",
        b"SIP/2.0  200 OK",
    ],
)
def test_a_malformed_status_line_leaves_nothing(line: bytes) -> None:
    assert malformed(edited((INVITE.split(b"\r\n")[0], line))).message is None


@pytest.mark.parametrize(
    "junk", [b"", b"\r\n\r\n", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:a@b\r\n\r\n"]
)
def test_what_is_no_sip_leaves_nothing(junk: bytes) -> None:
    assert malformed(junk).message is None


@pytest.mark.parametrize(
    "old, new, reason",
    [
        (b"CSeq: 1 INVITE\r\n", b"", "Missing cseq"),
        (b"Call-ID:", b"X:", "Missing call-id"),
        (b"To:", b"t: <sip:evil@x>\r\nTo:", "Repeated to"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nl: 0", "Repeated content-length"),
        (b"Content-Length: 5", b"Content-Length: 6", "Content-Length does not fit"),
        (b"Content-Length: 5", b"Content-Length: -5", "Malformed Content-Length"),
        (b"Content-Length: 5", b"Content-Length: 4294967301", "Content-Length does not fit"),
        (b"Content-Length: 5", b"Content-Length: " + b"9" * 5000, "Malformed Content-Length"),
        (b"User-Agent:", b"User-Agent", "Malformed header line"),
        (b"User-Agent:", b"User-Agent\x00:", "Malformed header line"),
        (b"User-Agent:", b"User Agent:", "Malformed header line"),
        (b"Acme", b"A" * 9000, "Line too long"),
        (b"User-Agent:", b"X-Y: 1\r\n" * 300 + b"User-Agent:", "Too many headers"),
        (b"sip:14155550123@", b"sip:14155550123 @", "Malformed request line"),
        (b"INVITE ", b"INVITE  ", "Malformed request line"),
        (b"SIP/2.0\r\nVia", b"SIP/2.0 \r\nVia", "Malformed request line"),
        (b"\r\n\r\nv=0\r\n", b"", "Headers without end"),
    ],
)
def test_malformed_requests_can_be_answered(old: bytes, new: bytes, reason: str) -> None:
    error = malformed(edited((old, new)))
    assert (error.reason, error.status) == (reason, 400)
    assert isinstance(error.message, Request)
    assert error.message.raw_lines("via") == [
        "Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-524287-1---a1b2c3;rport"
    ]


def test_a_stray_line_break_cannot_be_echoed() -> None:
    for stray in (b"\r", b"\n", b"\n "):
        assert malformed(edited((b"Acme", b"Ac" + stray + b"me"))).message is None


def test_another_version_deserves_505() -> None:
    error = malformed(edited((b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia")))
    assert (error.status, error.reason) == (505, "Version Not Supported")


def test_size_is_bounded() -> None:
    assert malformed(INVITE + b"x" * 70_000).status == 513
    assert malformed(INVITE, limits=Limits(message=100)).status == 513


def test_a_datagram_may_carry_more_or_say_nothing() -> None:
    assert parse(INVITE + b"INVITE sip:second@x SIP/2.0").body == b"v=0\r\n"
    assert parse(edited((b"Content-Length: 5\r\n", b""))).body == b"v=0\r\n"
    assert parse(b"\r\n\r\n" + INVITE).body == b"v=0\r\n"


def test_a_stream_must_say_exactly() -> None:
    assert parse(INVITE, stream=True).body == b"v=0\r\n"
    assert malformed(INVITE + b"x", stream=True).reason == "Content-Length does not fit"
    without = edited((b"Content-Length: 5\r\n", b""))
    assert malformed(without, stream=True).reason == "Missing Content-Length"


def test_bodies_are_bytes_untouched() -> None:
    body = bytes(range(256))
    message = parse(edited((b"Content-Length: 5", b"Content-Length: 256"), (b"v=0\r\n", body)))
    assert message.body == body


def test_text_survives_byte_for_byte() -> None:
    name = bytes(byte for byte in range(0x80, 0x100))
    message = parse(edited((b"Acme", name)))
    assert (
        message.raw_lines("user-agent")[0].encode("latin-1")
        == b"User-Agent: " + name + b" SBC 7.1"
    )
    assert not message.has_nul
    assert parse(edited((b'"Alice"', b'"A\\\0"'))).has_nul


def test_load_is_shed_by_the_first_bytes() -> None:
    assert is_new_call(INVITE)
    assert not is_new_call(b"BYE sip:a@b SIP/2.0\r\n")
    assert not is_new_call(b"")


CORPUS = [path.read_bytes() for path in sorted(TORTURE.glob("*.dat"))] + [INVITE]
SPLICES = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 40),
        st.sampled_from(
            [
                b"",
                b"\0",
                b"\r\n",
                b"\r\n ",
                b":",
                b";",
                b'"',
                b"<",
                b",",
                b"=",
                b" ",
                b"\xff",
                b"%",
                b"@",
            ]
        )
        | st.binary(max_size=8),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(st.sampled_from(CORPUS), SPLICES, st.booleans())
def test_nothing_but_malformed_is_ever_raised(
    data: bytes, splices: list[tuple[float, int, bytes]], stream: bool
) -> None:
    for where, length, patch in splices:
        at = int(where * len(data))
        data = data[:at] + patch + data[at + length :]
    try:
        message: Request | Response | None = parse(data, stream=stream)
    except MalformedMessage as error:
        message = error.message
    for name in ("via", "cseq", "from_", "to", "from_tag", "to_tag", "contact", "max_forwards"):
        with suppress(MalformedMessage):
            getattr(message, name, None)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse(data)
