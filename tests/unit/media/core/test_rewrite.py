"""What one party gets in place of the other's description."""

from services.media.core.rewrite import Origin, Placement, rewrite
from services.media.core.sdp import Family, parse
from tests.unit.media.core.test_sdp import CISCO, FREESWITCH, WEBRTC, audio

HERE = Placement(Family.IP4, "203.0.113.1", (12000,))


def test_codecs_and_attributes_pass_byte_for_byte() -> None:
    assert rewrite(parse(CISCO), HERE) == (
        b"s=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\nm=audio 12000 RTP/AVP 18 0 8 101\r\n"
        b"a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:0 PCMU/8000\r\n"
        b"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
        b"a=ptime:20\r\n"
    )


def test_rtcp_attribute_becomes_ours() -> None:
    assert rewrite(parse(FREESWITCH), HERE).endswith(b"a=ptime:20\r\na=rtcp:12001\r\n")


def test_nothing_names_the_other_party_or_a_way_around_us() -> None:
    webrtc = WEBRTC.replace(b"UDP/TLS/RTP/SAVPF", b"RTP/SAVPF")
    identity = b"i=Bob\r\nu=http://bob.example\r\ne=bob@bob.example\r\np=+1 617\r\nk=clear:x\r\n"
    body = rewrite(parse(webrtc.replace(b"s=-\r\n", b"s=Bob's\r\n" + identity)), HERE)
    for leak in (b"46117317", b"127.0.0.1", b"ice", b"fingerprint", b"setup", b"BUNDLE", b"mux"):
        assert leak not in body
    for leak in (b"Bob", b"bob", b"617", b"k="):
        assert leak not in body


def test_session_lines_follow_the_connection() -> None:
    body = rewrite(parse(audio().replace(b"t=0 0", b"b=AS:84\r\nt=5 9\r\na=sendonly")), HERE)
    assert body.startswith(
        b"s=-\r\nc=IN IP4 203.0.113.1\r\nb=AS:84\r\nt=5 9\r\na=sendonly\r\nm=audio 12000 "
    )


def test_missing_time_is_supplied() -> None:
    assert b"\r\nt=0 0\r\nm=" in rewrite(parse(audio().replace(b"t=0 0\r\n", b"")), HERE)


def test_refused_stream_keeps_its_place_without_attributes() -> None:
    two = parse(audio("a=ptime:20|m=video 5000 RTP/AVP 31|a=rtpmap:31 H261/90000"))
    body = rewrite(two, Placement(Family.IP4, "203.0.113.1", (12000, 0)))
    assert body.endswith(b"a=ptime:20\r\nm=video 0 RTP/AVP 31\r\n")


def test_null_address_is_passed_on() -> None:
    held = parse(audio("c=IN IP4 0.0.0.0|a=ptime:20"))
    assert b"m=audio 12000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na=ptime:20" in rewrite(held, HERE)


def test_ipv6_placement() -> None:
    body = rewrite(parse(audio()), Placement(Family.IP6, "2001:db8::5", (12000,)))
    assert b"c=IN IP6 2001:db8::5\r\n" in body


def test_version_grows_only_with_a_change() -> None:
    origin = Origin(77)
    first = origin.sign(HERE, b"one")
    assert first == b"v=0\r\no=- 77 1 IN IP4 203.0.113.1\r\none"
    assert origin.sign(HERE, b"one") == first
    assert b"o=- 77 2 " in origin.sign(HERE, b"two")
    assert b"o=- 77 3 " in origin.sign(HERE, b"one")


def test_what_is_written_can_be_read() -> None:
    for body in (CISCO, FREESWITCH, audio("a=inactive")):
        again = parse(Origin(1).sign(HERE, rewrite(parse(body), HERE)))
        assert again.media[0].port == 12000
        assert again.media[0].formats == parse(body).media[0].formats
        assert again.media[0].direction is parse(body).media[0].direction
