from collections.abc import Callable

import pytest

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.uri import (
    OtherUri,
    SipUri,
    TelUri,
    check_uri,
    equivalent,
    escape_user,
    parse_sip_uri,
    parse_uri,
    unescape,
)


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sips:alice:secret@example.com:5061;transport=tcp;lr",
        "sip:example.com",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:alice@[2001:db8::10]:5070",
        "sip:user;par=u%40example.net@example.com",
        "sip:sips%3Auser%40example.com@example.net",
        "sip:%00@example.com",
        "sip:alice@example.com;maddr=239.255.255.1;ttl=15?subject=project%20x&priority=urgent",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too."
        "(doesn't-it)@example.com",
        "tel:+1-201-555-0123;phone-context=example.com",
        "soap.beep://192.0.2.103:3002",
    ],
)
def test_what_is_well_formed_comes_back_as_written(text: str) -> None:
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice@example.com",
        "sip:",
        "sip:@example.com",
        "sip:alice@",
        "sip:alice@example.com:0",
        "sip:alice@example.com:70000",
        "sip:alice@example.com:123456",
        "sip:alice@2001:db8::10",
        "<sip:alice@example.com>",
        "sip:alice @example.com",
        "sip:alice@example.com;",
        "sip:alice@example.com;;lr",
        "sip:alice@example.com;lr;LR",
        "sip:al%2ice@example.com",
        "sip:alice@example.com\r\nRoute:x",
        "sip:a\x00b@example.com",
        "tel:",
        "tel:+1 201",
        "x y:z",
    ],
)
def test_what_breaks_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_uri(text)


def test_parts_of_a_sip_uri() -> None:
    uri = parse_sip_uri("SIPS:%61lice;x=1@Example.com;Transport=TCP;lr")
    assert uri.scheme == "sips"
    assert uri.user == "%61lice;x=1"
    assert uri.number == "alice"
    assert uri.address == ("Example.com", 5061)
    assert uri.transport == "tcp"
    assert uri.is_loose_router


def test_brackets_belong_to_the_text_and_not_to_the_address() -> None:
    uri = parse_sip_uri("sip:[2001:db8::10]")
    assert (uri.host, uri.address) == ("[2001:db8::10]", ("2001:db8::10", 5060))


def test_a_bare_number_sign_in_a_user_part_is_tolerated_and_escaped_by_us() -> None:
    assert parse_sip_uri("sip:#31#123@example.com").number == "#31#123"
    assert escape_user("#31#1 é") == "%2331%231%20%C3%A9"


def test_other_schemes_are_told_apart() -> None:
    assert parse_uri("tel:+1-201-555-0123") == TelUri("+1-201-555-0123")
    assert TelUri("+1-(201)-555.0123").digits == "+12015550123"
    assert parse_uri("nobodyKnowsThis:x") == OtherUri("nobodyknowsthis", "nobodyKnowsThis:x")
    with pytest.raises(MalformedMessage):
        parse_sip_uri("tel:+12015550123")


@pytest.mark.parametrize(
    "a, b, same",
    [  # RFC 3261 section 19.1.4
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", True),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", True),
        ("sip:biloxi.com?to=sip:bob%40biloxi.com", "sip:biloxi.com?TO=sip:bob%40biloxi.com", True),
        ("SIP:ALICE@AtLanTa.CoM", "sip:alice@AtLanTa.CoM", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", False),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", False),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", False),
        ("sip:carol@chicago.com", "sips:carol@chicago.com", False),
    ],
)
def test_comparison(a: str, b: str, same: bool) -> None:
    first, second = parse_sip_uri(a), parse_sip_uri(b)
    assert equivalent(first, second) is same
    assert equivalent(second, first) is same


def test_escapes_are_resolved_once() -> None:
    assert unescape("%2541") == "%41"
    assert unescape("plain") == "plain"


def test_a_hostile_length_costs_no_more_than_its_length() -> None:
    for text in (
        "sip:" + "a" * 60_000,
        "sip:" + ";" * 60_000,
        "sip:a@" + "b" * 60_000,
        ":" * 60_000,
    ):
        with pytest.raises(MalformedMessage):
            parse_uri(text)
    assert isinstance(parse_uri("sip:a@b" + ";p=1" * 0), SipUri)


@pytest.mark.parametrize(
    "text",
    [
        "sip:a@b",
        "sip:a@b:0",
        "sip:a@b:65536",
        "sip:a@b:5060",
        "sip:%41@b",
        "sip:%4@b",
        "sip:a@b;x=%zz",
        "sip:a@b;x;X",
        "sip:a@b;lr",
        "tel:+1",
        "tel:x y",
        "other:x",
        "junk",
    ],
)
def test_checking_agrees_with_parsing(text: str) -> None:
    def passes(judge: Callable[[str], object]) -> bool:
        try:
            judge(text)
        except MalformedMessage:
            return False
        return True

    assert passes(check_uri) is passes(parse_uri)
