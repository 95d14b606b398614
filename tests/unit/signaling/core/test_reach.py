"""Where vendors are."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.dns import VendorDns
from services.common.sip_options.probe import VendorProbe
from services.common.sip_options.trunk import DEFAULT_VENDOR, VendorSip
from services.signaling.core.reach import Reach, literal_address, server_place
from services.signaling.core.targets import Choice, Service
from services.signaling.core.trunks import Place, VendorPlace
from services.signaling.sip.actions import Peer
from services.signaling.sip.uri import parse_sip_uri

SRV = VendorSip(dns=VendorDns(lookup="srv"))
SERVICE = Service("sip.example", "udp", "srv")
FIRST, SECOND = Peer("udp", "198.51.100.1", 5070), Peer("udp", "198.51.100.2", 5070)


def reach(**services: object) -> Reach:
    choices = (Choice(0, 1, (FIRST,)), Choice(1, 1, (SECOND,)))
    names = {"sip.example": ("192.0.2.1", "192.0.2.2")}
    return Reach(names, {} if services else {SERVICE: choices}, draw=lambda: 0.0)


def test_a_literal_is_its_own_address() -> None:
    assert reach().peers("2001:DB8::7", 5060, "tcp") == [Peer("tcp", "2001:db8::7", 5060)]
    assert literal_address("sip.example") == ""


def test_a_name_has_all_its_addresses_at_the_trunks_port() -> None:
    assert [peer[1:3] for peer in reach().peers("SIP.example", 5080, "udp")] == [
        ("192.0.2.1", 5080),
        ("192.0.2.2", 5080),
    ]
    assert reach().peers("other.example", 5060, "udp") == []
    assert reach().has_address("Sip.Example", "192.0.2.2")
    assert not reach().has_address("192.0.2.2", "192.0.2.2")


def test_only_a_name_with_the_option_is_a_service() -> None:
    assert reach().service_of("sip.example", "udp", DEFAULT_VENDOR) is None
    assert reach().service_of("192.0.2.1", "udp", SRV) is None
    assert reach().service_of("SIP.example", "udp", SRV) == SERVICE


def test_services_are_drawn_and_fall_back_to_addresses() -> None:
    assert reach().served(SERVICE) == [FIRST, SECOND]
    assert reach().served(Service("sip.example", "tcp", "srv")) == []
    place = VendorPlace("vtr_1", "v", "sip.example", sip=SRV)
    assert reach().every_peer(place) == [FIRST, SECOND]
    assert [peer.host for peer in reach(none=True).every_peer(place)] == ["192.0.2.1", "192.0.2.2"]


def test_usable_leaves_out_what_is_down_or_rests() -> None:
    known = reach()
    probe = VendorProbe(every_s=1, down_after=1)
    assert known.usable("vtr_1", [], 1.0) == ([], EndReason.VENDOR_UNREACHABLE)
    known.health.on_probe(("vtr_1", FIRST), probe, "no answer", 1.0)
    assert known.usable("vtr_1", [FIRST, SECOND], 1.0)[0] == [SECOND]
    assert known.usable("vtr_1", [FIRST], 1.0) == ([], EndReason.VENDOR_DOWN)
    known.health.rest("vtr_1", SECOND, 10, "503", 1.0)
    assert known.usable("vtr_1", [FIRST, SECOND], 1.0) == ([], EndReason.VENDOR_BACKOFF)
    assert known.usable("vtr_1", [SECOND, FIRST], 1.0) == ([], EndReason.VENDOR_BACKOFF)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sip:192.0.2.5", Place("192.0.2.5", 5060, "udp", "address")),
        ("sip:[2001:db8::5]:5080;transport=tcp", Place("2001:db8::5", 5080, "tcp", "address")),
        ("sip:R.example", Place("r.example", 5060, "udp", "naptr")),
        ("sip:r.example:5070", Place("r.example", 5070, "udp", "address")),
        ("sip:r.example;transport=tcp", Place("r.example", 5060, "tcp", "srv")),
        ("sip:r.example;transport=tls", Place("r.example", 5061, "tls", "srv")),
    ],
)
def test_what_a_servers_uri_leaves_to_dns(uri: str, place: Place) -> None:
    assert server_place(parse_sip_uri(uri)) == place


def test_a_server_is_located_by_its_services_else_its_addresses() -> None:
    assert reach().located(Place("SIP.example", 5060, "udp", "srv")) == [FIRST, SECOND]
    found = reach(none=True).located(Place("sip.example", 5060, "udp", "srv"))
    assert [peer.host for peer in found] == ["192.0.2.1", "192.0.2.2"]
    assert reach().located(Place("sip.example", 5080, "tcp")) == [
        Peer("tcp", "192.0.2.1", 5080), Peer("tcp", "192.0.2.2", 5080),
    ]  # fmt: skip
    assert reach().located(Place("other.example", 5060, "udp", "srv")) == []
