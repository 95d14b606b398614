from itertools import product

import pytest

from services.signaling.sip import headers
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import CSeq, NameAddr, RAck, Reason, Via
from services.signaling.sip.uri import SipUri, is_usual_sip_uri, parse_uri


@pytest.mark.parametrize(
    "value, display, uri, params",
    [
        ("sip:a@b", "", "sip:a@b", {}),
        ("sip:a@b;tag=1", "", "sip:a@b", {"tag": "1"}),
        ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", {"tag": "1"}),
        ("Bob Smith <sip:a@b> ; tag = 1", "Bob Smith", "sip:a@b", {"tag": "1"}),
        ("caller<sip:a@b>", "caller", "sip:a@b", {}),
        (
            '"a;tag=x <sip:no@no>" <sip:a@b>;tag=y',
            '"a;tag=x <sip:no@no>"',
            "sip:a@b",
            {"tag": "y"},
        ),
        (
            '"q \\" \\\\"   <sip:a@b>\t;x="1;2";TAG=3',
            '"q \\" \\\\"',
            "sip:a@b",
            {"x": '"1;2"', "tag": "3"},
        ),
        ("<sip:a@b>;tag=abc==", "", "sip:a@b", {"tag": "abc=="}),
        ("<sip:a,b@c>", "", "sip:a,b@c", {}),
    ],
)
def test_addresses(value: str, display: str, uri: str, params: dict[str, str]) -> None:
    parsed = NameAddr.parse(value)
    assert (parsed.display, parsed.uri, parsed.params) == (display, uri, params)
    again = NameAddr.parse(str(parsed))
    assert (again.display, again.uri, again.params) == (display, uri, params)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<>",
        "< sip:a@b >",
        "<sip:a@b",
        '"unbalanced <sip:a@b>',
        "Bell, Alexander <sip:a@b>",
        "sip:a@b?Route=%3Csip:x%3E",
        "sip:a@b, sip:c@d",
        "<sip:a@b> junk",
        "<sip:a@b>junk;tag=1",
    ],
)
def test_what_is_no_address(value: str) -> None:
    with pytest.raises(MalformedMessage):
        NameAddr.parse(value)


@pytest.mark.parametrize(
    "params", [";", ";;a", ";a=1;;", ";a=1;A=2", ";a=\x16", ';a="x', ";=1", "a", ";a=b c", ";a,b"]
)
def test_what_are_no_parameters(params: str) -> None:
    with pytest.raises(MalformedMessage):
        headers.parse_params(params)


def test_the_uri_of_an_address_is_parsed_when_asked_for() -> None:
    assert NameAddr.parse("<sip:a@b>").address == SipUri("b", user="a")
    with pytest.raises(MalformedMessage):
        _ = NameAddr.parse("<sip:>").address


def test_lists_are_split_outside_quotes_and_brackets_only() -> None:
    assert headers.split_list('"a,b" <sip:x,y@z>;p="1,2" , <sip:c>,') == [
        '"a,b" <sip:x,y@z>;p="1,2"',
        "<sip:c>",
        "",
    ]
    assert headers.split_list("one") == ["one"]


@pytest.mark.parametrize(
    "value, first",
    [("a", "a"), ("a , b", "a"), ('"a,b" <x>, c', '"a,b" <x>'), ("<a,b>", "<a,b>"), (",a", "")],
)
def test_the_first_item_of_a_list(value: str, first: str) -> None:
    assert headers.first_item(value) == first == headers.split_list(value)[0]


@pytest.mark.parametrize(
    "value, sent_by, branch, asks_rport",
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;rport", "192.0.2.1", "z9hG4bKx", True),
        ("SIP/2.0/UDP Host.Example:5070;Branch=z9hG4bKx", "host.example:5070", "z9hG4bKx", False),
        ("SIP / 2.0 / TCP [2001:db8::1]:5060 ; branch = 1", "[2001:db8::1]:5060", "1", False),
        ("SIP/2.0/UDP a;rportx;branch=2", "a", "2", False),
        ('SIP/2.0/UDP a;x=";branch=no;rport";branch=yes', "a", "yes", False),
        ("SIP/2.0/UNKNOWN a", "a", "", False),
    ],
)
def test_via(value: str, sent_by: str, branch: str, asks_rport: bool) -> None:
    via = Via.parse(value)
    assert (via.sent_by, via.branch, via.asks_rport) == (sent_by, branch, asks_rport)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP a:0",
        "SIP/2.0/UDP a:65536",
        "SIP/3.0/UDP a",
        "SIP/2.0/UDP a b",
    ],
)
def test_what_is_no_via(value: str) -> None:
    with pytest.raises(MalformedMessage):
        Via.parse(value)


@pytest.mark.parametrize(
    "value, stamped",
    [
        (
            "SIP/2.0/UDP 10.0.0.1;branch=1;rport",
            "SIP/2.0/UDP 10.0.0.1;branch=1;rport=7;received=10.0.0.1",
        ),
        (
            "SIP/2.0/UDP 10.0.0.1;rport;branch=1",
            "SIP/2.0/UDP 10.0.0.1;rport=7;branch=1;received=10.0.0.1",
        ),
        ("SIP/2.0/UDP 10.0.0.2;branch=1", "SIP/2.0/UDP 10.0.0.2;branch=1;received=10.0.0.1"),
        ("SIP/2.0/UDP 10.0.0.1;branch=1", None),
        ("SIP/2.0/UDP a;received=6.6.6.6;branch=1", "SIP/2.0/UDP a;branch=1;received=10.0.0.1"),
    ],
)
def test_the_source_is_noted_in_via(value: str, stamped: str | None) -> None:
    assert Via.parse(value).stamped("10.0.0.1", 7) == stamped


def test_the_cookie_alone_identifies_nothing() -> None:
    assert not Via.parse("SIP/2.0/UDP a;branch=z9hG4bK").has_magic_cookie
    assert Via.parse("SIP/2.0/UDP a;branch=z9hG4bK1").has_magic_cookie


def test_sequence_numbers() -> None:
    assert CSeq.parse("0009 \t INVITE") == CSeq(9, "INVITE")
    assert CSeq.parse("2147483647 BYE").number == 2**31 - 1
    for value in ("2147483648 BYE", "-1 BYE", "1BYE", "1", "BYE", "² BYE", "1 BYE x"):
        with pytest.raises(MalformedMessage):
            CSeq.parse(value)


def test_rack() -> None:
    assert RAck.parse("776656 1 INVITE") == RAck(776656, 1, "INVITE")
    for value in ("1 INVITE", "4294967296 1 INVITE"):
        with pytest.raises(MalformedMessage):
            RAck.parse(value)


def test_reason() -> None:
    assert Reason.parse('Q.850 ;cause=16 ;text="a \\"b\\""') == Reason("Q.850", 16, 'a "b"')
    assert str(Reason("SIP", 600, 'x"')) == 'SIP;cause=600;text="x\\""'
    assert Reason.parse("SIP") == Reason("SIP", None)
    located = Reason.parse("Q.850;cause=21;location=U")
    assert (located.location, str(located)) == ("U", "Q.850;cause=21;location=U")
    with pytest.raises(MalformedMessage):
        Reason.parse("Q.850;cause=x")


def test_retry_after() -> None:
    assert headers.parse_retry_after("120 (in a meeting);duration=3600") == 120
    with pytest.raises(MalformedMessage):
        headers.parse_retry_after("soon")


def test_numbers_are_bounded_before_they_are_converted() -> None:
    assert headers.parse_number("0070", 255) == 70
    for text in ("", "256", "-1", "²", "1" * 100_000):
        with pytest.raises(MalformedMessage):
            headers.parse_number(text, 255)


def test_quoting_drops_what_could_break_a_line() -> None:
    assert headers.quote('a"b\\c\r\nRoute: x\0') == '"a\\"b\\\\cRoute: x"'
    assert headers.unquote(headers.quote('a"b\\c')) == 'a"b\\c'
    assert headers.unquote("plain") == "plain"


def test_wire_text_survives_the_way_to_a_person() -> None:
    assert headers.readable(headers.wire_text("Жо\x1b")) == "Жо"
    assert headers.readable("\xff") == "�"


def test_a_hostile_length_costs_no_more_than_its_length() -> None:
    for value in ('"' + "\\" * 60_000, "a " * 30_000, " " * 60_000 + "<", ";" * 60_000):
        with pytest.raises(MalformedMessage):
            NameAddr.parse(value)
    assert len(headers.split_list('"' * 60_001 + ",")) <= 2
    with pytest.raises(MalformedMessage):
        headers.parse_params(";a" + " " * 60_000 + "x")


DISPLAYS = ("", " ", "\t", "  ", "A b ", '"A" ', '"A, <b>" ', '"A\\"" ', '"A', "A:b ", "\xe9 ")
URIS = (
    "<sip:1@h>", "<sip:h:5060>", "<sip:h:65535>", "<sip:h:65536>", "<sip:h:0>", "<sip:h:05>",
    "<sips:a;b=c?d@h;lr>", "<sip:a@h;x=1;y=2>", "<sip:a@h;x;X>", "<sip:a@h?q=1>", "<sip:%41@h>",
    "<sip:%4@h>", "<sip:a@[::1]>", "<tel:+1>", "<other:x>", "<sip:>", "<sip:a b@h>", "sip:a@h",
    "sip:h:5060",
    "sip:a,b@h", "sip:a;b@h", "sips:a?b@h", "sip:h?x=y", "sip:a:b@h", "SIP:+1@h:99999",
    "<",
)  # fmt: skip
PARAMS = (
    "", ";tag=a", ";tag=a.b==", ";tag=", ";tag", ";TAG=a", ";tag=a;tag=b", ";tag=a;x=1", ";x",
    ' ; tag = "a"', ";tag=a ", ";tag=a,<sip:b@h>", ";tag=\x00", ";tag=a\n",
)  # fmt: skip


def outcome(read: object, *args: object) -> tuple[object, ...] | None:
    """What an address is taken for; ``None`` when it is refused, then or when looked into."""
    assert callable(read)
    try:
        address = read(*args)
        parse_uri(address.uri)
        params = address.params
    except MalformedMessage:
        return None
    return (address.uri, address.display, params, address.tag)


def test_the_short_way_to_an_address_leads_where_the_long_way_does() -> None:
    short_ways = 0
    for parts in product(DISPLAYS, URIS, PARAMS):
        value = "".join(parts)
        whole = value.strip(" \t")
        assert outcome(headers.read_address, "To:" + value) == outcome(NameAddr.parse, whole)
        if outcome(NameAddr.parse, whole):
            assert headers.tag_in("To:" + value) in {None, NameAddr.parse(whole).tag or ""}
        line = "To:" + value
        if outcome(headers.read_address, line) and headers.read_address(line).is_sound:
            address = headers.read_address(line)
            short_ways += 1
            assert isinstance(address.address, SipUri)
            assert not address.address.headers
            assert is_usual_sip_uri(address.uri)
    assert short_ways > 50


HOSTS = ("h", "H.example:5060", "h:0", "h:65535", "h:65536", "[::1]:5060", "10.0.0.1", "h :1")
BRANCHES = (";branch=z9hG4bKa", ";branch=a=b", ";Branch=a", ";branch=", ';branch="a"', "")
BEFORE = ("", ";rport", ";rport=9", ";rport=", ";rportx", ";ttl=1", ";;")
AFTER = (*BEFORE, ";received=10.0.0.9", ";rport=9;received=::1", ";branch=b", ", SIP/2.0/UDP x")


def test_the_short_way_to_a_via_leads_where_the_long_way_does() -> None:
    def seen(read: object, *args: object) -> tuple[object, ...] | None:
        assert callable(read)
        try:
            via = read(*args)
            return (
                via.text, via.transport, via.host, via.port, via.sent_by, via.branch, via.params,
                via.asks_rport, via.has_magic_cookie, via.stamped("10.0.0.1", 7),
            )  # fmt: skip
        except MalformedMessage:
            return None

    usual = 0
    for start, *parts in product(
        ("SIP/2.0/UDP ", "SIP / 2.0 / tcp "), HOSTS, BEFORE, BRANCHES, AFTER
    ):
        value = start + "".join(parts)
        first = headers.first_item(value)
        assert seen(headers.read_via, "v: " + value) == seen(Via.parse, first)
        usual += (
            seen(headers.read_via, "v:" + value) is not None
            and headers.read_via("v:" + value).is_usual
        )
    assert usual > 20
