"""From URIs and trunks to transport addresses."""

from __future__ import annotations

import pytest

from services.common.sip_options.tls import VendorTls
from services.common.sip_options.transport import VendorTransport
from services.common.sip_options.trunk import DEFAULT_VENDOR, VendorSip
from services.signaling.core.addressing import (
    leaving_from,
    peer_of,
    place_of,
    target_of,
    vendor_peer,
)
from services.signaling.core.loop import LOOP
from services.signaling.core.outgoing import bracketed, request_uri
from services.signaling.sip.actions import Manner, Peer
from tests.support.signaling.machine import CALLER, candidate, context


@pytest.mark.parametrize(
    ("contact", "target"),
    [
        ("sip:x@192.0.2.10:5070", Peer("udp", "192.0.2.10", 5070, 1)),
        ("sip:x@192.0.2.10;transport=tcp", Peer("tcp", "192.0.2.10", 5060)),
        ("sip:x@[2001:db8::1]", Peer("udp", "2001:db8::1", 5060, 1)),
        ("sip:x@known.example", Peer("udp", "192.0.2.44", 5060, 1)),
        ("sip:x@unknown.example", CALLER),
        ("sip:x@192.0.2.10;transport=sctp", CALLER),
        ("tel:+49", CALLER),
    ],
)
def test_requests_go_to_the_contact(contact: str, target: Peer) -> None:
    shared = context({"known.example": "192.0.2.44"})
    assert target_of(contact, CALLER, shared) == target


def test_a_private_contact_behind_a_public_source_is_not_believed() -> None:
    public = Peer("udp", "8.8.8.8", 6060, 1)
    assert target_of("sip:x@10.0.0.1:5060", public, context()) == public
    believed = target_of("sip:x@10.0.0.1:5060", public, context(), "contact")
    assert believed == Peer("udp", "10.0.0.1", 5060, 1)


def test_a_stream_is_kept_for_its_own_host() -> None:
    stream = Peer("tcp", "192.0.2.10", 33333, 1007)
    own = target_of("sip:x@192.0.2.10:5060;transport=tcp", stream, context())
    assert own == Peer("tcp", "192.0.2.10", 5060, 1007)
    other = target_of("sip:x@192.0.2.11:5060;transport=tcp", stream, context())
    assert other == Peer("tcp", "192.0.2.11", 5060)


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        ("auto", Peer("udp", "198.51.100.9", 5090, 1)),
        ("contact", Peer("udp", "198.51.100.9", 5090, 1)),
        ("source", CALLER),
        ("source_ip_contact_port", Peer("udp", "192.0.2.10", 5090, 1)),
    ],
)
def test_the_rule_of_a_trunk(rule: str, target: Peer) -> None:
    assert target_of("sip:x@198.51.100.9:5090", CALLER, context(), rule) == target
    stream = Peer("tcp", "192.0.2.10", 33333, 1007)
    if rule.startswith("source"):
        assert target_of("sip:x@198.51.100.9:5090", stream, context(), rule) == stream


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sip:h", ("h", 0, "")),
        ("sip:h:5070;transport=TLS", ("h", 5070, "tls")),
        ("sips:u@h", ("h", 0, "tls")),
        ("sips:u@h;transport=tcp", ("h", 0, "tls")),
        ("sips:u@h;transport=ws", ("h", 0, "wss")),
        ("sip:[2001:db8::1]", ("2001:db8::1", 0, "")),
        ("tel:+49", None),
        ("nonsense", None),
    ],
)
def test_what_a_uri_names(uri: str, place: tuple[str, int, str] | None) -> None:
    assert place_of(uri) == place


def test_tls_has_a_port_and_a_name_of_its_own() -> None:
    shared = context({"sip.example": "192.0.2.44"})
    found = Peer("tls", "192.0.2.44", 5061, manner=Manner("sip.example"))
    assert peer_of("sips:x@SIP.example", shared) == found
    assert peer_of("sip:x@192.0.2.44;transport=tls", shared) == Peer("tls", "192.0.2.44", 5061)
    assert peer_of("sip:x@192.0.2.44", shared, "tls") == Peer("tls", "192.0.2.44", 5061)


def test_a_browser_is_reached_over_its_connection_alone() -> None:
    browser = Peer("wss", "192.0.2.10", 40_000, 131)
    contact = "sip:x@df7jal23ls0d.invalid;transport=ws"
    assert peer_of(contact, context(), "wss") is None
    assert target_of(contact, browser, context()) == browser


def test_a_tls_vendor_is_spoken_to_over_the_connection_that_was_checked() -> None:
    manner = Manner("sip.example")
    vendor = Peer("tls", "192.0.2.44", 5061, manner=manner)
    assert target_of("sip:x@192.0.2.44:5060", vendor, context()) == vendor
    assert target_of("sip:x@192.0.2.44;transport=tls", vendor, context()) == vendor
    # Another machine of his has to show its own name, under the same policy.
    lenient = vendor._replace(manner=Manner("sip.example", is_verified=False))
    shared = context({"b.example": "192.0.2.45"})
    elsewhere = target_of("sips:x@b.example", lenient, shared)
    manner = Manner("b.example", is_verified=False)
    assert elsewhere == Peer("tls", "192.0.2.45", 5061, manner=manner)


def test_where_and_how_a_vendor_is_called() -> None:
    plain = vendor_peer("Sip.Example.", "192.0.2.44", 5061, "tls", DEFAULT_VENDOR)
    assert plain == Peer("tls", "192.0.2.44", 5061, manner=Manner("sip.example"))
    literal = vendor_peer("192.0.2.44", "192.0.2.44", 5061, "tls", DEFAULT_VENDOR)
    assert literal.manner == Manner("")
    tls = VendorTls(verify=False, server_name="other.example", least_version="1.3")
    own = vendor_peer("sip.example", "192.0.2.44", 5061, "tls", VendorSip(tls=tls))
    assert own.manner == Manner("other.example", False, "1.3")
    growing = VendorSip(transport=VendorTransport(oversize="tcp"))
    assert vendor_peer("h", "192.0.2.1", 5060, "udp", growing).manner == Manner(grows=True)
    assert vendor_peer("h", "192.0.2.1", 5060, "tcp", growing).manner is None
    assert vendor_peer("h", "192.0.2.1", 5060, "udp", DEFAULT_VENDOR).manner is None


def test_the_listener_of_a_trunk_stays_with_its_dialogs() -> None:
    sip = VendorSip(listener="outside", transport=VendorTransport(oversize="tcp"))
    peer = vendor_peer("h", "192.0.2.1", 5060, "udp", sip)
    assert peer.manner == Manner(grows=True, listener="outside")
    for contact in ("sip:x@192.0.2.1:5090", "sip:x@192.0.2.2", "sip:x@192.0.2.1;transport=tcp"):
        found = target_of(contact, peer, context())
        assert found.manner is not None
        assert found.manner.listener == "outside"
        assert found.connection == 0
    by_tcp = vendor_peer("h", "192.0.2.1", 5060, "tcp", sip)
    elsewhere = target_of("sip:x@192.0.2.2;transport=tcp", by_tcp, context())
    assert elsewhere == Peer("tcp", "192.0.2.2", 5060, manner=Manner(listener="outside"))
    other = target_of("sip:x@192.0.2.1;transport=tcp", Peer("udp", "192.0.2.1", 5060), context())
    assert other.manner is None


def test_what_leaves_from_a_listener() -> None:
    source = Peer("udp", "192.0.2.1", 5060, 2)
    assert leaving_from("", source) is source
    assert leaving_from("in", source) == Peer("udp", "192.0.2.1", 5060, 0, Manner(listener="in"))
    stream = Peer("tcp", "192.0.2.1", 5060, 130)
    assert leaving_from("in", stream) == stream._replace(manner=Manner(listener="in"))
    assert leaving_from("in", LOOP) is LOOP


@pytest.mark.parametrize(
    ("transport", "port", "expected"),
    [
        ("udp", 5060, "sip:2000@[2001:db8::1]"),
        ("tcp", 5070, "sip:2000@[2001:db8::1]:5070;transport=tcp"),
        ("tls", 5061, "sip:2000@[2001:db8::1];transport=tls"),
        ("tls", 5060, "sip:2000@[2001:db8::1]:5060;transport=tls"),
    ],
)
def test_request_uri_of_a_vendor(transport: str, port: int, expected: str) -> None:
    one = candidate(host="2001:db8::1", transport=transport, port=port)
    assert request_uri(one) == expected
    assert bracketed("h") == "h"
