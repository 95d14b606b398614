"""What calls share."""

from __future__ import annotations

from services.signaling.core.context import CAPABILITIES, is_private
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import context


def test_contact_names_the_transport_when_it_is_not_udp() -> None:
    shared, peer = context(), Peer("udp", "192.0.2.1", 5060)
    tls = peer._replace(transport="tls")
    assert shared.contact(peer) == "Contact: <sip:203.0.113.1:5060>"
    assert shared.contact(tls) == "Contact: <sip:203.0.113.1:5060;transport=tls>"
    assert shared.contact(tls, is_secure=True) == "Contact: <sips:203.0.113.1:5060>"
    assert shared.host(peer) == shared.advertised == "203.0.113.1:5060"


def test_resolve() -> None:
    shared = context({"sip.example": "192.0.2.9"})
    assert shared.resolve("192.0.2.1") == "192.0.2.1"
    assert shared.resolve("2001:DB8::1") == "2001:db8::1"
    assert shared.resolve("SIP.example") == "192.0.2.9"
    assert shared.resolve("other.example") is None


def test_is_private() -> None:
    assert is_private("10.1.2.3")
    assert not is_private("8.8.8.8")
    assert not is_private("name.example")


def test_what_some_trunk_may_use_is_not_refused_by_the_layer() -> None:
    assert {"PRACK", "REGISTER"} <= {*CAPABILITIES.methods, *CAPABILITIES.unadvertised}
    assert {"100rel", "timer", "path", "outbound"} == CAPABILITIES.extensions
    assert "REFER" not in CAPABILITIES.allow_line
