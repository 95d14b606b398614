import pytest

from services.signaling.sip.actions import Peer
from services.signaling.sip.headers import Via
from services.signaling.sip.replies import SOURCE, SOURCE_IP_VIA_PORT, VIA, reply_peer

NAT = Peer("udp", "203.0.113.5", 40_000, 1)


@pytest.mark.parametrize(
    ("rule", "via", "host", "port"),
    [
        (SOURCE, "10.0.0.1:5070", "203.0.113.5", 40_000),
        (SOURCE_IP_VIA_PORT, "10.0.0.1:5070", "203.0.113.5", 5070),
        (SOURCE_IP_VIA_PORT, "10.0.0.1", "203.0.113.5", 5060),
        (VIA, "10.0.0.1:5070", "10.0.0.1", 5070),
        (VIA, "pbx.example:5070", "203.0.113.5", 5070),
        (VIA, "[2001:db8::1]:5070", "203.0.113.5", 5070),
    ],
)
def test_each_rule(rule: str, via: str, host: str, port: int) -> None:
    parsed = Via.parse(f"SIP/2.0/UDP {via};branch=z9hG4bK1;rport")
    assert reply_peer(rule, NAT, parsed) == NAT._replace(host=host, port=port)
