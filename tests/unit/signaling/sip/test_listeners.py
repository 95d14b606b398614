import pytest

from services.signaling.sip.actions import Peer
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
