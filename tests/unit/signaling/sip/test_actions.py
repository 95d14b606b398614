import pytest

from services.signaling.sip.actions import Peer


@pytest.mark.parametrize("transport, reliable", [("udp", False), ("tcp", True), ("tls", True)])
def test_only_datagrams_need_retransmission(transport: str, reliable: bool) -> None:
    assert Peer(transport, "192.0.2.1", 5060).reliable is reliable


def test_peers_are_values() -> None:
    assert {Peer("udp", "a", 1), Peer("udp", "a", 1), Peer("udp", "a", 1, 2)} == {
        Peer("udp", "a", 1),
        Peer("udp", "a", 1, 2),
    }
