import pytest

from services.signaling.sip.actions import Manner, Peer


@pytest.mark.parametrize("transport, reliable", [("udp", False), ("tcp", True), ("tls", True)])
def test_only_datagrams_need_retransmission(transport: str, reliable: bool) -> None:
    assert Peer(transport, "192.0.2.1", 5060).reliable is reliable


def test_peers_are_values() -> None:
    assert {Peer("udp", "a", 1), Peer("udp", "a", 1), Peer("udp", "a", 1, 2)} == {
        Peer("udp", "a", 1),
        Peer("udp", "a", 1, 2),
    }


def test_what_goes_by_a_lost_connection() -> None:
    lost = Peer("tcp", "192.0.2.1", 5060, 64)
    pinned = lost._replace(manner=Manner(listener="in"))
    assert lost.goes_by(lost)
    assert pinned.goes_by(lost)
    assert not lost._replace(connection=128).goes_by(lost)
    unnumbered = lost._replace(connection=0)
    assert unnumbered.goes_by(unnumbered)
    assert not unnumbered._replace(manner=Manner("sip.example")).goes_by(unnumbered)
