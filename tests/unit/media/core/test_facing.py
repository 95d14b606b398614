"""One party as seen from here."""

import pytest

from services.media.core.exchange import Aim, Describe, Endpoint, Side, Unusable
from services.media.core.facing import Facing
from services.media.core.latch import Expectation
from services.media.core.sdp import Family, parse
from tests.unit.media.core.test_sdp import FREESWITCH, YEALINK, audio

FIRST = frozenset({0})
NOTHING: frozenset[int] = frozenset()


def facing(port: int = 12_000) -> Facing:
    party = Facing(5)
    party.grant(0, Endpoint(1, Family.IP4, "203.0.113.1", port))
    return party


def agree(party: Facing, sdp: bytes, source_host: str = "", *, learn_any: bool = False) -> None:
    describe = Describe(Side.CALLER, sdp, source_host)
    party.agree(describe, parse(sdp), FIRST, learn_any=learn_any)


def test_description_places_live_streams_and_refuses_others() -> None:
    two = parse(audio("m=video 5000 RTP/AVP 31"))
    sdp = facing().describe(two, frozenset({0, 1}))
    assert b"m=audio 12000 " in sdp
    assert b"m=video 0 " in sdp, "no endpoint was granted for it"
    assert b"m=audio 0 " in facing().describe(two, NOTHING)


def test_party_that_never_had_a_port_cannot_be_told_one() -> None:
    with pytest.raises(Unusable):
        Facing(5).describe(parse(audio()), FIRST)


def test_remote_is_what_the_party_said() -> None:
    party = facing()
    agree(party, FREESWITCH, "198.51.100.4")
    remote = party.remotes[0]
    assert remote.rtp == Expectation("192.0.2.60", 28654, "198.51.100.4")
    assert remote.rtcp == Expectation("192.0.2.60", 28655, "198.51.100.4")
    assert not remote.is_muted
    assert remote.clock_rates == {102: 48_000, 103: 48_000}


@pytest.mark.parametrize(
    "given, understood",
    [("[2001:DB8::1]", "2001:db8::1"), ("::ffff:192.0.2.3", "192.0.2.3"), ("sip.example", "")],
)
def test_source_host_is_put_as_sockets_report_it(given: str, understood: str) -> None:
    party = facing()
    agree(party, audio(), given)
    assert party.remotes[0].rtp.source_host == understood


def test_last_port_has_no_rtcp() -> None:
    party = facing()
    agree(party, audio(media="m=audio 65535 RTP/AVP 0"))
    assert party.remotes[0].rtcp.port == 0


@pytest.mark.parametrize(
    "sdp, source_host, learns",
    [
        (YEALINK, "198.105.8.4", True),
        (YEALINK, "192.168.1.1", False),
        (YEALINK, "", False),
        (YEALINK.replace(b"192.168.1.105", b"198.105.8.9"), "198.105.8.4", False),
        (YEALINK.replace(b"IN IP4 192.168.1.105", b"IN IP4 phone.local"), "8.8.8.8", True),
    ],
    ids=["private from outside", "private from inside", "source unknown", "public", "name"],
)
def test_anyone_is_learned_only_where_the_described_address_cannot_be(
    sdp: bytes, source_host: str, learns: bool
) -> None:
    party = facing()
    agree(party, sdp, source_host, learn_any=True)
    assert party.remotes[0].rtp.learn_any is learns
    assert not party.remotes[0].rtcp.learn_any
    agree(party, sdp, source_host, learn_any=False)
    assert not party.remotes[0].rtp.learn_any


@pytest.mark.parametrize(
    "extra, is_held, is_muted",
    [
        ("a=sendrecv", False, False),
        ("a=sendonly", True, False),
        ("a=inactive", True, False),
        ("a=recvonly", True, False),
        ("c=IN IP4 0.0.0.0", True, True),
    ],
)
def test_hold_styles(extra: str, is_held: bool, is_muted: bool) -> None:
    party = facing()
    agree(party, audio(extra))
    assert party.is_held is is_held
    assert party.remotes[0].is_muted is is_muted


def test_another_address_family_cannot_be_served() -> None:
    with pytest.raises(Unusable):
        facing().check(parse(audio("c=IN IP6 2001:db8::1")), FIRST, NOTHING)


@pytest.mark.parametrize("extra", ["c=IN IP4 0.0.0.0", "c=IN IP4 some.name", "c=IN IP6 ::"])
def test_addresses_that_are_none_are_fine(extra: str) -> None:
    facing().check(parse(audio(extra)), FIRST, NOTHING)


def test_party_must_not_point_back_at_its_own_call() -> None:
    own = frozenset({12_000, 12_010})
    for port in (12_000, 12_011):
        here = audio("c=IN IP4 203.0.113.1", f"m=audio {port} RTP/AVP 0")
        with pytest.raises(Unusable):
            facing().check(parse(here), FIRST, own)
    neighbour = audio("c=IN IP4 203.0.113.1", "m=audio 12020 RTP/AVP 0")
    facing().check(parse(neighbour), FIRST, own)


def test_aims_join_streams_of_the_same_index() -> None:
    party, other = facing(), Facing(6)
    other.grant(0, Endpoint(7, Family.IP4, "203.0.113.1", 12_002))
    assert party.aims(None) == [Aim(1, 0, None, 0)]
    agree(party, audio())
    assert party.aims(other) == [Aim(1, 7, party.remotes[0], 1)]


def test_dropped_endpoints_are_gone() -> None:
    party = facing()
    assert party.drop(frozenset({0, 1})) == [1]
    assert party.endpoints == {}
    assert b"c=IN IP4 203.0.113.1" in party.describe(parse(audio()), NOTHING)
