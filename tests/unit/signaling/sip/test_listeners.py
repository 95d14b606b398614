import pytest

from services.signaling.sip.actions import Manner, Peer
from services.signaling.sip.listeners import (
    MOST_LISTENERS,
    Listener,
    Listeners,
    default_port,
    read_listeners,
)


def read(text: str, advertised: str = "") -> list[tuple[str, str, int, str]]:
    found = read_listeners(text, advertised, lambda is_v6: "2001:db8::7" if is_v6 else "192.0.2.7")
    return [(each.transport, each.host, each.port, each.advertised) for each in found]


def test_an_entry_without_transport_means_udp_and_tcp() -> None:
    assert read("10.0.0.5:5060") == [
        ("udp", "10.0.0.5", 5060, "10.0.0.5:5060"),
        ("tcp", "10.0.0.5", 5060, "10.0.0.5:5060"),
    ]


def test_each_entry_may_have_an_address_outside() -> None:
    assert read("udp:10.0.0.5:5060=203.0.113.5:5080, TLS:0.0.0.0=Sip.Example,wss:[::]:443") == [
        ("udp", "10.0.0.5", 5060, "203.0.113.5:5080"),
        ("tls", "0.0.0.0", 5061, "sip.example:5061"),
        ("wss", "::", 443, "[2001:db8::7]:443"),
    ]


def test_the_general_address_stands_for_those_that_have_none() -> None:
    text = "10.0.0.5:5060,tls:10.0.0.5:5061,udp:10.0.0.6:5060=198.51.100.6,udp:[::1]:5060"
    assert [each[3] for each in read(text, "203.0.113.5:5090")] == [
        "203.0.113.5:5090", "203.0.113.5:5090", "203.0.113.5:5061", "198.51.100.6:5060",
        "[::1]:5060",
    ]  # fmt: skip
    assert read("0.0.0.0:5060", "sip.example")[0][3] == "sip.example:5060"
    assert read("[::]:5060", "[2001:db8::9]")[0][3] == "[2001:db8::9]:5060"


@pytest.mark.parametrize(
    "text",
    ["", "::1:5060", "10.0.0.5:70000", "10.0.0.5:x", "sctp:10.0.0.5:5060", "a b:5060", "h:5060=",
     "10.0.0.5:5060=[::1", "udp:"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    if text == "h:5060=":
        assert read(text)[0][3] == "h:5060"
        return
    with pytest.raises(ValueError, match="no address"):
        read(text)


def several() -> Listeners:
    return Listeners(
        [
            Listener("udp", "10.0.0.5", 5060, "203.0.113.5:5060"),
            Listener("tcp", "10.0.0.5", 5060, "203.0.113.5:5060"),
            Listener("udp", "10.0.0.6", 5060, "203.0.113.6:5060"),
            Listener("tls", "10.0.0.5", 5061, "sip.example:5061"),
            Listener("udp", "::1", 5060, "[2001:db8::1]:5060"),
            Listener("wss", "10.0.0.5", 443, "sip.example:443"),
        ]
    )


@pytest.mark.parametrize(
    ("peer", "number", "address"),
    [
        (Peer("udp", "192.0.2.1", 5060), 1, "203.0.113.5:5060"),
        (Peer("udp", "192.0.2.1", 5060, 3), 3, "203.0.113.6:5060"),
        (Peer("tcp", "192.0.2.1", 40_000, 64 * 7 + 2), 2, "203.0.113.5:5060"),
        (Peer("tls", "192.0.2.1", 5061), 4, "sip.example:5061"),
        (Peer("tls", "192.0.2.1", 40_000, 64 * 9 + 4), 4, "sip.example:5061"),
        (Peer("udp", "2001:db8::2", 5060), 5, "[2001:db8::1]:5060"),
        (Peer("tcp", "2001:db8::2", 5060), 5, "[2001:db8::1]:5060"),
        (Peer("wss", "192.0.2.1", 40_000, 64 + 6), 6, "sip.example:443"),
        (Peer("udp", "192.0.2.1", 5060, 2), 1, "203.0.113.5:5060"),
        (Peer("tcp", "192.0.2.1", 5060, 64 * 3), 2, "203.0.113.5:5060"),
    ],
)
def test_a_peer_knows_us_by_the_listener_it_uses(peer: Peer, number: int, address: str) -> None:
    local = several().towards(peer)
    assert (local.number, local.address) == (number, address)
    assert local.via.startswith(f"Via: SIP/2.0/{peer.transport.upper()} {address};")


def test_contact_names_a_transport_we_listen_at() -> None:
    listeners = several()
    contacts = [
        listeners.towards(Peer(transport, host, 5060)).contact
        for transport, host in (("udp", "h"), ("tcp", "h"), ("tls", "h"), ("tcp", "::2"))
    ]
    assert contacts == [
        "Contact: <sip:203.0.113.5:5060>",
        "Contact: <sip:203.0.113.5:5060;transport=tcp>",
        "Contact: <sip:sip.example:5061;transport=tls>",
        "Contact: <sip:[2001:db8::1]:5060>",
    ]
    local = listeners.towards(Peer("wss", "h", 1))
    assert local.secure_contact == "Contact: <sips:sip.example:443;transport=wss>"


def test_one_address_for_everything() -> None:
    listeners = Listeners.behind("Sip.Example:5060")
    assert listeners.first == "sip.example:5060"
    assert listeners.addresses == {"sip.example:5060"}
    assert listeners.towards(Peer("tls", "::1", 1, 1007)).address == "sip.example:5060"


def test_there_are_as_many_as_connections_can_name() -> None:
    one = Listener("udp", "10.0.0.5", 5060, "10.0.0.5:5060")
    assert Listeners([one] * MOST_LISTENERS).towards(Peer("udp", "h", 1, 63)).number == 63
    for wrong in ([], [one] * (MOST_LISTENERS + 1)):
        with pytest.raises(ValueError, match="listening addresses"):
            Listeners(wrong)


def test_default_ports() -> None:
    transports = ("udp", "tcp", "tls", "ws", "wss", "sctp")
    assert [default_port(each) for each in transports] == [5060, 5060, 5061, 80, 443, 5060]


# --- chosen by trunks -------------------------------------------------------------------------

SIDES = "in@10.0.0.5:5060,out@udp:10.0.0.6:5060=203.0.113.6:5080,out@tls:10.0.0.6:5061,[::1]:5070"
OUTSIDE = "Via: SIP/2.0/UDP 203.0.113.6:5080;rport;branch="


def sides() -> Listeners:
    return Listeners(read_listeners(SIDES, "", lambda _: "192.0.2.7"))


def leaving(listener: str, transport: str = "udp", host: str = "192.0.2.1") -> Peer:
    return Peer(transport, host, 5060, manner=Manner(listener=listener))


def test_entries_may_have_names() -> None:
    found = read_listeners(SIDES, "", lambda _: "192.0.2.7")
    assert [(each.transport, each.host, each.name) for each in found] == [
        ("udp", "10.0.0.5", "in"), ("tcp", "10.0.0.5", "in"), ("udp", "10.0.0.6", "out"),
        ("tls", "10.0.0.6", "out"), ("udp", "::1", ""), ("tcp", "::1", ""),
    ]  # fmt: skip
    for wrong in ("5@10.0.0.5:5060", "@10.0.0.5:5060", "a b@10.0.0.5:5060", f"{'x' * 33}@h:1"):
        with pytest.raises(ValueError, match="no name"):
            read(wrong)


@pytest.mark.parametrize(
    ("peer", "number", "via"),
    [
        (leaving("out"), 3, OUTSIDE),
        (leaving("OUT"), 3, OUTSIDE),
        (leaving("10.0.0.6"), 3, OUTSIDE),
        (leaving("203.0.113.6:5080"), 3, OUTSIDE),
        (leaving("in"), 1, "Via: SIP/2.0/UDP 10.0.0.5:5060;rport;branch="),
        (leaving("in", "tcp"), 2, "Via: SIP/2.0/TCP 10.0.0.5:5060;branch="),
        (leaving("out", "tls"), 4, "Via: SIP/2.0/TLS 10.0.0.6:5061;branch="),
        (
            leaving("[::1]:5070", host="2001:db8::2"),
            5,
            "Via: SIP/2.0/UDP [::1]:5070;rport;branch=",
        ),
        (leaving("out")._replace(connection=1), 3, OUTSIDE),
    ],
)  # fmt: skip
def test_a_trunk_chooses_its_listener_by_name_or_address(
    peer: Peer, number: int, via: str
) -> None:
    listeners = sides()
    local = listeners.towards(peer)
    assert (local.number, local.via) == (number, via)
    assert listeners.is_reachable(peer)
    assert listeners.why_not(peer) == ""


@pytest.mark.parametrize(
    ("peer", "why"),
    [
        (leaving("side"), "no listening address side on this node"),
        (leaving("10.0.0.5:5061"), "no listening address 10.0.0.5:5061 on this node"),
        (leaving("out", "udp", "2001:db8::2"), "listening address out has no IPv6 on this node"),
        (leaving("::1", "tcp"), "listening address ::1 has no IPv4 on this node"),
        (
            leaving("10.0.0.6:5061"),
            "listening address 10.0.0.6:5061 has no UDP over IPv4 on this node",
        ),
    ],
)
def test_what_is_not_here_is_not_replaced_silently(peer: Peer, why: str) -> None:
    listeners = sides()
    assert not listeners.is_reachable(peer)
    assert listeners.why_not(peer) == why
    assert listeners.chosen(peer) is None
    assert listeners.source(peer) is None


def test_the_address_a_stream_leaves_from() -> None:
    listeners = sides()
    assert listeners.source(leaving("out", "tcp")) == "10.0.0.6"
    assert listeners.source(leaving("", "tcp")) == ""
    assert listeners.source(Peer("tcp", "192.0.2.1", 5060)) == ""
    wild = Listeners(read_listeners("any@0.0.0.0:5060", "", lambda _: "192.0.2.7"))
    assert wild.source(leaving("any", "tcp")) == ""
    assert wild.source(leaving("192.0.2.7", "tcp")) == ""
    assert wild.source(leaving("192.0.2.8", "tcp")) is None
