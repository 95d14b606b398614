"""Reading descriptions: what real equipment sends, and what attackers send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.core.sdp import (
    MAX_LINES,
    MAX_MEDIA,
    Connection,
    Direction,
    Family,
    MalformedSdp,
    family_of_host,
    parse,
)

CISCO = (
    b"v=0\r\no=CiscoSystemsSIP-GW-UserAgent 7542 3812 IN IP4 198.51.100.7\r\ns=SIP Call\r\n"
    b"c=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 17388 RTP/AVP 18 0 8 101\r\n"
    b"c=IN IP4 198.51.100.8\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-16\r\na=ptime:20\r\n"
)
ASTERISK = (
    b"v=0\r\no=- 1545997027 1545997028 IN IP4 203.0.113.20\r\ns=Asterisk\r\n"
    b"c=IN IP4 203.0.113.20\r\nt=0 0\r\nm=audio 11432 RTP/AVP 8 0 9 101\r\n"
    b"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:150\r\n"
    b"a=sendrecv\r\n"
)
FREESWITCH = (
    b"v=0\r\no=FreeSWITCH 1718000000 1718000001 IN IP4 192.0.2.60\r\ns=FreeSWITCH\r\n"
    b"c=IN IP4 192.0.2.60\r\nt=0 0\r\nm=audio 28654 RTP/AVP 102 9 0 8 103 101\r\n"
    b"a=rtpmap:102 opus/48000/2\r\na=fmtp:102 useinbandfec=1; maxaveragebitrate=30000\r\n"
    b"a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:103 telephone-event/48000\r\na=fmtp:103 0-15\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
    b"a=rtcp:28655 IN IP4 192.0.2.60\r\n"
)
YEALINK = (
    b"v=0\r\no=- 20000 20000 IN IP4 192.168.1.105\r\ns=SDP data\r\nc=IN IP4 192.168.1.105\r\n"
    b"t=0 0\r\nm=audio 11780 RTP/AVP 9 0 8 18 101\r\na=rtpmap:9 G722/8000\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:18 G729/8000\r\n"
    b"a=fmtp:18 annexb=no\r\na=fmtp:101 0-15\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=ptime:20\r\na=sendrecv\r\n"
)
WEBRTC = (
    b"v=0\r\no=- 46117317 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    b"a=msid-semantic: WMS\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n"
    b"a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:F7gI\r\na=ice-pwd:x9cml/YzichV2+XlhiMu8g\r\n"
    b"a=fingerprint:sha-256 D1:2C:BE\r\na=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\n"
    b"a=rtpmap:111 opus/48000/2\r\n"
)
IPV6 = (
    b"v=0\no=- 1 1 IN IP6 2001:db8::1\ns=-\nc=IN IP6 2001:0DB8:0:0::9\nt=0 0\n"
    b"m=audio 6000 RTP/AVP 0\n"
)


def audio(extra: str = "", media: str = "m=audio 4000 RTP/AVP 0") -> bytes:
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", media]
    return ("\r\n".join([*lines, *extra.split("|")] if extra else lines) + "\r\n").encode()


@pytest.mark.parametrize(
    "body, host, port, is_relayable",
    [
        (CISCO, "198.51.100.8", 17388, True),
        (ASTERISK, "203.0.113.20", 11432, True),
        (FREESWITCH, "192.0.2.60", 28654, True),
        (YEALINK, "192.168.1.105", 11780, True),
        (WEBRTC, "0.0.0.0", 9, False),
        (IPV6, "2001:db8::9", 6000, True),
    ],
    ids=["cisco", "asterisk", "freeswitch", "yealink", "webrtc", "ipv6"],
)
def test_real_descriptions_are_read(body: bytes, host: str, port: int, is_relayable: bool) -> None:
    (media,) = parse(body).media
    assert media.connection is not None
    assert (media.connection.host, media.port) == (host, port)
    assert media.is_relayable is is_relayable


def test_only_unusual_clock_rates_are_kept() -> None:
    assert parse(FREESWITCH).media[0].clock_rates == {102: 48_000, 103: 48_000}
    assert parse(audio(media="m=video 4000 RTP/AVP 31 0")).media[0].clock_rates == {31: 90_000}
    assert parse(audio("a=rtpmap:101 telephone-event")).media[0].clock_rates == {}


def test_rtcp_may_be_elsewhere() -> None:
    (media,) = parse(FREESWITCH).media
    assert media.has_rtcp
    assert media.rtcp_port == 28655
    assert media.rtcp_connection == Connection(Family.IP4, "192.0.2.60")
    (media,) = parse(audio("a=rtcp:4007")).media
    assert (media.rtcp_port, media.rtcp_connection) == (4007, None)


@pytest.mark.parametrize("direction", list(Direction))
def test_direction_of_a_stream_overrides_the_sessions(direction: Direction) -> None:
    at_session = b"v=0\r\no=x\r\nc=IN IP4 192.0.2.1\r\na=inactive\r\nm=audio 2 RTP/AVP 0\r\n"
    assert parse(at_session).media[0].direction is Direction.INACTIVE
    at_media = at_session + f"a={direction}\r\n".encode()
    assert parse(at_media).media[0].direction is direction


@pytest.mark.parametrize(
    "line, expected",
    [
        (b"c=IN IP4 0.0.0.0", Connection(Family.IP4, "0.0.0.0")),
        (b"c=IN IP6 ::", Connection(Family.IP6, "::")),
        (b"c=IN IP6 ::ffff:192.0.2.9", Connection(Family.IP4, "192.0.2.9")),
        (b"c=IN IP4 media.example.com", Connection(Family.IP4, "")),
        (b"c=IN IP4 192.0.2.9/127", Connection(Family.IP4, "192.0.2.9")),
    ],
)
def test_connection_forms(line: bytes, expected: Connection) -> None:
    (media,) = parse(audio().replace(b"c=IN IP4 192.0.2.1", line)).media
    assert media.connection == expected


def test_null_address_holds() -> None:
    assert Connection(Family.IP4, "0.0.0.0").is_null
    assert not Connection(Family.IP4, "192.0.2.1").is_null


def test_refused_stream_needs_no_address() -> None:
    (media,) = parse(b"v=0\r\no=x\r\nm=audio 0 RTP/AVP 0\r\n").media
    assert not media.is_relayable
    assert media.connection is None


def test_several_ports_cannot_be_relayed() -> None:
    assert not parse(audio(media="m=audio 4000/2 RTP/AVP 0")).media[0].is_relayable
    assert parse(audio(media="m=audio 4000/1 RTP/AVP 0")).media[0].is_relayable


def test_lines_are_kept_as_they_were() -> None:
    (media,) = parse(audio("a=x-vendor:\xe9 \t|a=fmtp:0 x=1")).media
    assert media.lines == ("a=x-vendor:\xe9 \t".encode(), b"a=fmtp:0 x=1")


BOMBS = {
    "empty": b"",
    "not SDP": b"hello\r\n",
    "no version": b"o=- 1 1 IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 0\r\n",
    "version 1": audio().replace(b"v=0", b"v=1"),
    "no origin": audio().replace(b"o=", b"x="),
    "no m-line": b"v=0\r\no=-\r\ns=-\r\n",
    "no address": audio().replace(b"c=IN IP4 192.0.2.1\r\n", b""),
    "NUL": audio("a=fmtp:\x00"),
    "bare CR": audio("a=x\ry"),
    "blank line inside": audio().replace(b"s=-\r\n", b"s=-\r\n\r\n"),
    "upper-case type": audio("A=x"),
    "1 MB": audio("a=" + "x" * 1_000_000),
    "64 KB": audio("a=" + "x" * 65_536),
    "10k m-lines": audio() + b"m=audio 4000 RTP/AVP 0\r\n" * 10_000,
    "one m-line too many": audio() + b"m=audio 4000 RTP/AVP 0\r\n" * MAX_MEDIA,
    "10k rtpmaps": audio("|".join(["a=rtpmap:0 PCMU/8000"] * 10_000)),
    "port 65536": audio(media="m=audio 65536 RTP/AVP 0"),
    "port 70000": audio(media="m=audio 70000 RTP/AVP 0"),
    "port -1": audio(media="m=audio -1 RTP/AVP 0"),
    "port of 4000 digits": audio(media="m=audio " + "9" * 4000 + " RTP/AVP 0"),
    "no port": audio(media="m=audio RTP/AVP"),
    "no ports at all": audio(media="m=audio 4000/0 RTP/AVP 0"),
    "payload type 128": audio(media="m=audio 4000 RTP/AVP 128"),
    "payload type 4294967296": audio(media="m=audio 4000 RTP/AVP 4294967296"),
    "payload type twice": audio(media="m=audio 4000 RTP/AVP 0 8 0"),
    "payload type with no digits": audio(media="m=audio 4000 RTP/AVP \xb2"),
    "rtpmap of 128": audio("a=rtpmap:128 PCMU/8000"),
    "rtpmap clock 0": audio("a=rtpmap:0 PCMU/0"),
    "rtpmap clock 2^31": audio("a=rtpmap:0 PCMU/2147483648"),
    "rtpmap empty": audio("a=rtpmap:"),
    "ptime 0": audio("a=ptime:0"),
    "ptime -1": audio("a=ptime:-1"),
    "ptime 2^31": audio("a=ptime:2147483648"),
    "maxptime 0": audio("a=maxptime:0"),
    "rtcp port": audio("a=rtcp:99999"),
    "rtcp address": audio("a=rtcp:4001 IN IP4 300.0.0.1"),
    "address 256": audio("c=IN IP4 192.0.2.256"),
    "address of two words": audio("c=IN IP4 192.0.2.1 x"),
    "multicast": audio("c=IN IP4 224.2.1.1/127"),
    "broadcast": audio("c=IN IP4 255.255.255.255"),
    "multicast 6": audio("c=IN IP6 ff02::1"),
    "scoped": audio("c=IN IP6 fe80::1%eth0"),
    "net type": audio("c=ATM IP4 192.0.2.1"),
    "shell": audio("c=IN IP4 $(reboot)"),
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedSdp):
        parse(body)


@pytest.mark.parametrize(
    "body, reason",
    [
        (audio("a=" + "x" * 1_000_000), "too long"),
        # Each is wrong in its last line too: nobody got as far as that.
        (audio("|".join(["a=x"] * 5_000)) + b"wrong", "too many lines"),
        (audio() + b"m=x 0 x x\r\n" * (MAX_LINES // 2) + b"m=", "too many m-lines"),
        (audio(media="m=audio 4000 RTP/AVP " + "0 " * 30_000), "a payload type is listed twice"),
        (audio(media="m=audio 4000 RTP/AVP " + "9" * 60_000), "a number is missing or out"),
    ],
)
def test_bombs_are_put_down_at_their_first_wrong_thing(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedSdp) as caught:
        parse(body)
    assert caught.value.reason.startswith(reason)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    _parse_or_refuse(body)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [line for body in (CISCO, FREESWITCH, WEBRTC) for line in body.split()]
            ),
            st.sampled_from(audio("a=rtcp:1|a=ptime:3|a=rtpmap:9 x/9").split(b"\r\n")),
            st.binary(max_size=12),
        ),
        max_size=20,
    ),
    st.sampled_from([b"\r\n", b"\n", b" ", b""]),
)
def test_any_arrangement_of_real_parts_is_read_or_malformed(
    parts: list[bytes], between: bytes
) -> None:
    _parse_or_refuse(b"v=0\r\no=-\r\n" + between.join(parts))


def _parse_or_refuse(body: bytes) -> None:
    try:
        description = parse(body)
    except MalformedSdp:
        return
    assert 1 <= len(description.media) <= MAX_MEDIA
    for media in description.media:
        assert 0 <= media.port <= 65_535
        assert media.port == 0 or media.connection is not None


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("192.0.2.1", Family.IP4),
        ("[2001:db8::1]", Family.IP6),
        ("::ffff:192.0.2.1", Family.IP4),
        ("sip.example", None),
        ("", None),
    ],
)
def test_family_of_host(host: str, family: Family | None) -> None:
    assert family_of_host(host) is family
