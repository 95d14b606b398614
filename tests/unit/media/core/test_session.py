"""A call's media, driven by hand."""

import itertools

import pytest

from services.media.core.exchange import (
    Action,
    Aim,
    Close,
    Describe,
    Endpoint,
    NoOffer,
    Outcome,
    Side,
    Unusable,
)
from services.media.core.sdp import Family, parse
from services.media.core.session import MAX_ATTEMPTS, Session
from tests.unit.media.core.test_sdp import IPV6, WEBRTC, audio


class Driven:
    """A session whose ports open by themselves: 12000, 12002, ... with ids 1, 2, ..."""

    def __init__(self) -> None:
        self.session = Session(itertools.count(100).__next__, 0.0)
        self.opened: list[Endpoint] = []

    def offer(
        self,
        side: Side,
        sdp: bytes,
        attempt: int = 1,
        now: float = 0.0,
        silence_ms: int = 0,
        target_host: str = "",
    ) -> Outcome:
        describe = Describe(
            side, sdp, "", attempt, silence_timeout_ms=silence_ms, target_host=target_host
        )
        description = parse(sdp)
        granted = []
        for slot in self.session.wanted(describe, description):
            number = len(self.opened)
            endpoint = Endpoint(number + 1, slot.family, "203.0.113.1", 12_000 + 2 * number)
            self.opened.append(endpoint)
            granted.append((slot, endpoint))
        return self.session.offer(describe, description, granted, now)

    def answer(
        self,
        side: Side,
        sdp: bytes,
        attempt: int = 1,
        now: float = 0.0,
        *,
        is_early: bool = False,
        silence_ms: int = 0,
    ) -> Outcome:
        describe = Describe(side, sdp, "", attempt, is_early, silence_ms)
        return self.session.answer(describe, parse(sdp), now)

    def connect(self) -> None:
        self.offer(Side.CALLER, CALLER)
        self.answer(Side.CALLEE, CALLEE)


CALLER = audio().replace(b"192.0.2.1", b"192.0.2.10")
CALLEE = audio().replace(b"192.0.2.1", b"192.0.2.20")
TWO = audio("m=video 5000 RTP/AVP 31")


def ports(sdp: bytes) -> list[int]:
    return [media.port for media in parse(sdp).media]


def aims(actions: tuple[Action, ...]) -> dict[int, int]:
    """Peer by endpoint."""
    return {each.endpoint_id: each.peer_id for each in actions if isinstance(each, Aim)}


def hosts(actions: tuple[Action, ...]) -> dict[int, str]:
    found = [each for each in actions if isinstance(each, Aim) and each.remote]
    return {each.endpoint_id: each.remote.rtp.host for each in found if each.remote}


def silent_at(call: Driven) -> float | None:
    return call.session.silent_at


def is_held(call: Driven) -> bool:
    return call.session.is_held


def test_offer_and_answer_join_two_ports() -> None:
    call = Driven()
    offered = call.offer(Side.CALLER, CALLER)
    assert offered.actions == (), "nothing is agreed yet"
    assert ports(offered.sdp) == [12_002], "the callee sees the port that faces it"
    answered = call.answer(Side.CALLEE, CALLEE)
    assert ports(answered.sdp) == [12_000]
    assert aims(answered.actions) == {1: 2, 2: 1}
    assert hosts(answered.actions) == {1: "192.0.2.10", 2: "192.0.2.20"}


def test_same_offer_again_gives_the_same_bytes_and_ports() -> None:
    call = Driven()
    assert call.offer(Side.CALLER, CALLER) == call.offer(Side.CALLER, CALLER)
    assert len(call.opened) == 2
    first = call.answer(Side.CALLEE, CALLEE)
    second = call.answer(Side.CALLEE, CALLEE)
    assert (first.sdp, aims(first.actions)) == (second.sdp, aims(second.actions))


def test_several_early_answers_then_the_final_one() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER)
    other = CALLEE.replace(b"4000", b"4100")
    assert ports(call.answer(Side.CALLEE, CALLEE, is_early=True).sdp) == [12_000]
    moved = call.answer(Side.CALLEE, other, is_early=True)
    final = call.answer(Side.CALLEE, other)
    assert moved.sdp == final.sdp
    assert aims(final.actions) == {1: 2, 2: 1}
    revisions = [
        each.revision for each in (*moved.actions, *final.actions) if isinstance(each, Aim)
    ]
    assert revisions == [2, 2, 3, 3]


def test_each_attempt_has_ports_of_its_own_and_the_callers_stay() -> None:
    call = Driven()
    assert ports(call.offer(Side.CALLER, CALLER, 1).sdp) == [12_002]
    call.answer(Side.CALLEE, CALLEE, 1, is_early=True)
    gone = call.session.forget(1)
    assert aims(gone) == {1: 0}
    assert gone[-1] == Close((2,))
    assert ports(call.offer(Side.CALLER, CALLER, 2).sdp) == [12_004]
    answered = call.answer(Side.CALLEE, CALLEE, 2)
    assert ports(answered.sdp) == [12_000]
    assert aims(answered.actions) == {1: 3, 3: 1}


def test_forked_attempts_the_last_to_answer_is_heard() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER, 1)
    call.offer(Side.CALLER, CALLER, 2)
    call.answer(Side.CALLEE, CALLEE, 1, is_early=True)
    switched = call.answer(Side.CALLEE, CALLEE, 2)
    assert aims(switched.actions) == {2: 0, 1: 3, 3: 1}
    late = call.answer(Side.CALLEE, CALLEE, 1, is_early=True)
    assert late.actions == (), "early media cannot take an answered call"
    assert call.session.forget(1) == (Close((2,)),)


def test_forgetting_twice_or_the_unknown_is_harmless() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER)
    assert call.session.forget(1) == (Close((2,)),)
    assert call.session.forget(1) == ()
    assert call.session.forget(9) == ()


def test_late_offer_goes_the_other_way() -> None:
    call = Driven()
    assert ports(call.offer(Side.CALLEE, CALLEE).sdp) == [12_000]
    answered = call.answer(Side.CALLER, CALLER)
    assert ports(answered.sdp) == [12_002]
    assert hosts(answered.actions) == {1: "192.0.2.10", 2: "192.0.2.20"}


@pytest.mark.parametrize("side, own", [(Side.CALLER, 1), (Side.CALLEE, 2)])
def test_new_port_counts_from_the_answer(side: Side, own: int) -> None:
    call = Driven()
    call.connect()
    sdp = (CALLER if side is Side.CALLER else CALLEE).replace(b"4000", b"4444")
    offered = call.offer(side, sdp)
    assert offered.actions == ()
    assert b" 2 IN IP4 203.0.113.1\r\n" not in offered.sdp, "the other party sees no change"
    answered = call.answer(side.other, CALLEE if side is Side.CALLER else CALLER)
    moved = next(e for e in answered.actions if isinstance(e, Aim) and e.endpoint_id == own)
    assert moved.remote is not None
    assert moved.remote.rtp.port == 4444
    assert moved.revision == 2
    assert len(call.opened) == 2


def test_refused_offer_changes_nothing() -> None:
    call = Driven()
    call.connect()
    call.offer(Side.CALLER, CALLER.replace(b"192.0.2.10", b"192.0.2.99"))
    # 488; later the callee offers on its own.
    call.offer(Side.CALLEE, CALLEE)
    answered = call.answer(Side.CALLER, CALLER)
    assert hosts(answered.actions) == {1: "192.0.2.10", 2: "192.0.2.20"}


def test_version_grows_with_changes_only() -> None:
    call = Driven()
    call.connect()
    held = call.offer(Side.CALLER, CALLER + b"a=sendonly\r\n").sdp
    assert b"o=- 101 2 IN" in held
    assert call.offer(Side.CALLER, CALLER + b"a=sendonly\r\n").sdp == held
    assert b"o=- 101 3 IN" in call.offer(Side.CALLER, CALLER).sdp


def test_answer_without_offer() -> None:
    call = Driven()
    with pytest.raises(NoOffer):
        call.answer(Side.CALLEE, CALLEE)
    call.offer(Side.CALLER, CALLER)
    with pytest.raises(NoOffer):
        call.answer(Side.CALLER, CALLER)
    with pytest.raises(NoOffer):
        call.answer(Side.CALLEE, CALLEE, 2)


def test_stream_refused_by_the_callee_gives_its_ports_back() -> None:
    call = Driven()
    assert ports(call.offer(Side.CALLER, TWO).sdp) == [12_004, 12_006]
    answered = call.answer(Side.CALLEE, audio("m=video 0 RTP/AVP 31"))
    assert ports(answered.sdp) == [12_000, 0]
    assert Close((2, 4)) in answered.actions
    assert aims(answered.actions) == {1: 3, 3: 1}
    again = call.offer(Side.CALLER, TWO)
    assert ports(again.sdp) == [12_004, 12_010], "offered anew: new ports"


def test_early_refusal_keeps_the_ports_for_the_final_answer() -> None:
    call = Driven()
    call.offer(Side.CALLER, TWO)
    call.answer(Side.CALLEE, audio("m=video 0 RTP/AVP 31"), is_early=True)
    assert ports(call.answer(Side.CALLEE, TWO).sdp) == [12_000, 12_002]


def test_answer_with_too_few_lines_is_filled_up_and_with_too_many_refused() -> None:
    call = Driven()
    call.offer(Side.CALLER, TWO)
    assert ports(call.answer(Side.CALLEE, CALLEE).sdp) == [12_000, 0]
    one = Driven()
    one.offer(Side.CALLER, CALLER)
    with pytest.raises(Unusable):
        one.answer(Side.CALLEE, TWO)


def test_stream_we_cannot_relay_is_refused_beside_one_we_can() -> None:
    call = Driven()
    fax = audio("m=image 6000 udptl t38")
    assert ports(call.offer(Side.CALLER, fax).sdp) == [12_002, 0]
    assert ports(call.answer(Side.CALLEE, fax).sdp) == [12_000, 0]


@pytest.mark.parametrize(
    "sdp", [WEBRTC, audio(media="m=image 6000 udptl t38"), audio(media="m=audio 0 RTP/AVP 0")]
)
def test_call_with_nothing_to_relay_is_unusable(sdp: bytes) -> None:
    with pytest.raises(Unusable):
        Driven().offer(Side.CALLER, sdp)


def test_switch_to_fax_is_refused_and_the_audio_stays() -> None:
    call = Driven()
    call.connect()
    with pytest.raises(Unusable):
        call.offer(Side.CALLEE, audio(media="m=image 6000 udptl t38"))
    assert hosts(call.answer(Side.CALLEE, CALLEE).actions) == {1: "192.0.2.10", 2: "192.0.2.20"}


def test_established_call_may_refuse_all_its_streams() -> None:
    call = Driven()
    call.connect()
    assert ports(call.offer(Side.CALLER, audio(media="m=audio 0 RTP/AVP 0")).sdp) == [0]


def test_families_are_kept_apart() -> None:
    call = Driven()
    call.offer(Side.CALLER, IPV6)
    assert {each.family for each in call.opened} == {Family.IP6}
    with pytest.raises(Unusable):
        call.answer(Side.CALLEE, CALLEE)


def test_a_callee_in_the_other_family_gets_ports_of_it() -> None:
    call = Driven()
    offered = call.offer(Side.CALLER, IPV6, target_host="192.0.2.20")
    assert [each.family for each in call.opened] == [Family.IP6, Family.IP4]
    assert b"c=IN IP4 203.0.113.1\r\n" in offered.sdp
    answered = call.answer(Side.CALLEE, CALLEE)
    assert b"c=IN IP6 203.0.113.1\r\n" in answered.sdp


def test_so_does_a_caller_who_is_offered_to() -> None:
    call = Driven()
    call.offer(Side.CALLEE, CALLEE, target_host="2001:db8::10")
    assert {each.family for each in call.opened} == {Family.IP4, Family.IP6}
    assert b"c=IN IP4 " in call.answer(Side.CALLER, IPV6).sdp


def test_party_that_points_at_the_call_itself_is_unusable() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER)
    for port in (12_000, 12_002):
        mirror = audio("c=IN IP4 203.0.113.1", f"m=audio {port} RTP/AVP 0")
        with pytest.raises(Unusable):
            call.answer(Side.CALLEE, mirror)


def test_attempts_are_bounded() -> None:
    call = Driven()
    for attempt in range(MAX_ATTEMPTS):
        call.offer(Side.CALLER, CALLER, attempt)
    with pytest.raises(Unusable):
        call.offer(Side.CALLER, CALLER, MAX_ATTEMPTS)


def test_release_names_everything_once() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER, 1)
    call.offer(Side.CALLER, CALLER, 2)
    call.answer(Side.CALLEE, CALLEE, 2)
    assert sorted(call.session.endpoint_ids) == [1, 2, 3]
    released = call.session.release()
    assert (released.caller_ids, released.callee_ids, released.other_ids) == ((1,), (3,), (2,))
    assert call.session.release().caller_ids == ()


def test_silence_is_watched_from_the_answer() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER, now=1.0, silence_ms=30_000)
    call.answer(Side.CALLEE, CALLEE, now=2.0, is_early=True)
    assert silent_at(call) is None, "ringing may be silent"
    call.answer(Side.CALLEE, CALLEE, now=5.0)
    assert silent_at(call) == 35.0
    call.session.on_packets(20.0)
    assert silent_at(call) == 50.0
    call.session.on_silence()
    assert silent_at(call) is None, "reported once"


@pytest.mark.parametrize("style", [b"a=sendonly\r\n", b"a=inactive\r\n", b"c=IN IP4 0.0.0.0\r\n"])
@pytest.mark.parametrize("side", list(Side))
def test_hold_may_be_silent_and_resume_starts_the_watch_anew(style: bytes, side: Side) -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER, silence_ms=30_000)
    call.answer(Side.CALLEE, CALLEE)
    mine, theirs = (CALLER, CALLEE) if side is Side.CALLER else (CALLEE, CALLER)
    call.offer(side, mine + style, now=10.0)
    assert not is_held(call), "asked for, not yet agreed"
    call.answer(side.other, theirs, now=10.0)
    assert is_held(call)
    assert silent_at(call) is None
    call.offer(side, mine, now=500.0)
    call.answer(side.other, theirs, now=500.0)
    assert silent_at(call) == 530.0


def test_silence_is_not_watched_unless_asked() -> None:
    call = Driven()
    call.connect()
    assert silent_at(call) is None
