"""The use cases over a relay that only remembers."""

import itertools
from collections.abc import Callable, Iterable

import msgspec
import pytest

from services.common.causes import EndReason
from services.media.app import Limits, MediaCalls
from services.media.core.exchange import Aim, Describe, Endpoint, Side
from services.media.core.port_pool import NoRtpPorts
from services.media.core.reception import Report
from services.media.core.sdp import Family
from services.media.core.snapshot import SessionState
from services.media.ports import Reports
from tests.unit.media.core.test_sdp import BOMBS, WEBRTC, audio


class FakeRelay:
    """Ports in order; every endpoint reports as many packets as its id."""

    def __init__(self, pairs: int = 1_000) -> None:
        self._pairs = pairs
        self._ids = itertools.count(1)
        self.open_ids: set[int] = set()
        self.aims: list[Aim] = []
        self.taken: set[int] = set()
        self.has_begun = False

    def open(self, family: Family, call_id: str) -> Endpoint:
        assert call_id
        if len(self.open_ids) >= self._pairs:
            raise NoRtpPorts
        number = next(self._ids)
        self.open_ids.add(number)
        return Endpoint(number, family, "203.0.113.1", 10_000 + 2 * (number % 20_000))

    def aim(self, aim: Aim) -> None:
        self.aims.append(aim)

    def close(self, endpoint_ids: Iterable[int], on_closed: Callable[[Reports], None]) -> None:
        ids = list(endpoint_ids)
        assert self.open_ids.issuperset(ids), "closed once"
        self.open_ids.difference_update(ids)
        on_closed({each: Report(packets=each) for each in ids})

    def restore(self, endpoint: Endpoint, call_id: str) -> bool:
        assert call_id
        if endpoint.port in self.taken:
            return False
        self.open_ids.add(endpoint.id)
        return True

    def begin(self) -> None:
        self.has_begun = True

    def flush(self) -> None:
        """Orders are obeyed at once."""


class FakeJournal:
    """What the next process would find."""

    def __init__(self) -> None:
        self.kept: dict[str, SessionState] = {}
        self.written: dict[str, SessionState] = {}

    def keep(self, call_id: str, state: SessionState) -> None:
        self.kept[call_id] = msgspec.msgpack.decode(
            msgspec.msgpack.encode(state), type=SessionState
        )

    def forget(self, call_id: str) -> None:
        del self.kept[call_id]

    def flush(self) -> None:
        self.written = dict(self.kept)


class FakeOwner:
    """A signaling process that notes what it is told."""

    def __init__(self) -> None:
        self.is_closed = False
        self.silent: list[str] = []
        self.started: list[tuple[str, int]] = []

    def tell_rtp(self, call_id: str, attempt: int) -> None:
        self.started.append((call_id, attempt))

    def tell_silence(self, call_id: str) -> None:
        self.silent.append(call_id)


class Driven:
    def __init__(self, pairs: int = 1_000) -> None:
        self.relay = FakeRelay(pairs)
        self.owner = FakeOwner()
        self.journal = FakeJournal()
        self.calls = MediaCalls(
            self.relay, self.journal, itertools.count(1).__next__, Limits(60.0, 600.0)
        )

    def offer(
        self, call_id: str = "c", sdp: bytes = audio(), now: float = 0.0
    ) -> bytes | EndReason:
        describe = Describe(Side.CALLER, sdp, attempt=1, silence_timeout_ms=30_000)
        return self.calls.offer(call_id, describe, self.owner, now)

    def answer(
        self, call_id: str = "c", sdp: bytes = audio(), now: float = 0.0
    ) -> bytes | EndReason:
        describe = Describe(Side.CALLEE, sdp, attempt=1)
        return self.calls.answer(call_id, describe, self.owner, now)

    def release(self, call_id: str = "c") -> list[tuple[Report, Report]]:
        found: list[tuple[Report, Report]] = []
        self.calls.release(call_id, lambda caller, callee: found.append((caller, callee)))
        return found


def test_call_from_offer_to_release() -> None:
    drive = Driven()
    assert isinstance(drive.offer(), bytes)
    assert isinstance(drive.answer(), bytes)
    assert [(aim.endpoint_id, aim.peer_id) for aim in drive.relay.aims] == [(1, 2), (2, 1)]
    assert drive.release() == [(Report(packets=1), Report(packets=2))]
    assert drive.relay.open_ids == set()
    assert (drive.calls.live, drive.calls.released, drive.calls.packets) == (0, 1, 3)


def test_release_twice_or_of_the_unknown_is_harmless() -> None:
    drive = Driven()
    drive.offer()
    drive.release()
    assert drive.release() == [(Report(), Report())]


@pytest.mark.parametrize("sdp", [*BOMBS.values(), WEBRTC], ids=[*BOMBS, "webrtc"])
def test_bad_offer_is_refused_and_leaves_nothing(sdp: bytes) -> None:
    drive = Driven()
    assert drive.offer(sdp=sdp) is EndReason.CODEC_MISMATCH
    assert drive.relay.open_ids == set()
    assert drive.calls.live == 0


def test_bad_answer_or_second_offer_leaves_the_call_as_it_was() -> None:
    drive = Driven()
    drive.offer()
    assert drive.answer(sdp=b"junk") is EndReason.CODEC_MISMATCH
    assert isinstance(drive.answer(), bytes)
    assert drive.offer(sdp=b"junk") is EndReason.CODEC_MISMATCH
    assert drive.offer(sdp=WEBRTC) is EndReason.CODEC_MISMATCH
    assert drive.relay.open_ids == {1, 2}
    assert drive.release() == [(Report(packets=1), Report(packets=2))]


@pytest.mark.parametrize("pairs", [0, 1])
def test_exhaustion_is_told_and_gives_back_what_was_taken(pairs: int) -> None:
    drive = Driven(pairs)
    assert drive.offer() is EndReason.NO_RTP_PORTS
    assert drive.relay.open_ids == set()
    assert drive.calls.refusals[EndReason.NO_RTP_PORTS] == 1


def test_exhaustion_in_an_established_call_leaves_it_alone() -> None:
    drive = Driven(2)
    drive.offer()
    drive.answer()
    assert drive.offer(sdp=audio("m=video 5000 RTP/AVP 31")) is EndReason.NO_RTP_PORTS
    assert drive.relay.open_ids == {1, 2}
    assert isinstance(drive.offer(), bytes)


def test_answer_to_an_unknown_call() -> None:
    assert Driven().answer() is EndReason.MEDIA_UNAVAILABLE
    drive = Driven()
    drive.offer()
    describe = Describe(Side.CALLEE, audio(), attempt=2)
    assert drive.calls.answer("c", describe, drive.owner, 0.0) is EndReason.MEDIA_UNAVAILABLE


def test_forget_gives_the_attempts_ports_back() -> None:
    drive = Driven()
    drive.offer()
    drive.calls.forget("c", 1, drive.owner)
    drive.calls.forget("c", 1, drive.owner)
    drive.calls.forget("unknown", 1, drive.owner)
    assert drive.relay.open_ids == {1}


def test_ten_thousand_failed_calls_leave_nothing() -> None:
    drive = Driven()
    for number in range(10_000):
        call_id = str(number)
        drive.offer(call_id)
        drive.answer(call_id)
        drive.offer(call_id, WEBRTC)
        drive.calls.forget(call_id, 1, drive.owner)
        drive.offer(call_id)
        drive.release(call_id)
    assert drive.relay.open_ids == set()
    assert drive.calls.live == 0
    assert drive.calls._call_of_endpoint == {}


def test_silence_is_told_once_to_the_owner() -> None:
    drive = Driven()
    drive.offer()
    drive.answer(now=10.0)
    drive.calls.on_active([2], 30.0)
    drive.calls.on_active([999], 50.0)
    drive.calls.sweep(59.9)
    assert drive.owner.silent == []
    drive.calls.sweep(60.0)
    drive.calls.sweep(61.0)
    assert drive.owner.silent == ["c"]


def test_orphans_are_reaped_when_quiet_and_their_owner_gone() -> None:
    drive = Driven()
    for call_id, extra in (("talking", ""), ("held", "a=inactive"), ("quiet", "")):
        drive.offer(call_id, audio(extra))
        drive.answer(call_id)
    drive.calls.sweep(10_000.0)
    assert drive.calls.live == 3, "their owner is there"
    drive.owner.is_closed = True
    drive.calls.on_active([1], 10_000.0)
    drive.calls.sweep(10_001.0)
    assert drive.calls.live == 1, "only the talking one"
    assert drive.calls.reaped == 2
    drive.calls.sweep(10_060.0)
    assert drive.relay.open_ids == set()


def test_held_orphan_is_given_more_time() -> None:
    drive = Driven()
    drive.offer("held", audio("a=inactive"))
    drive.answer("held")
    drive.owner.is_closed = True
    drive.calls.sweep(599.0)
    assert drive.calls.live == 1
    drive.calls.sweep(600.0)
    assert drive.calls.live == 0


def test_new_owner_adopts_a_call() -> None:
    drive = Driven()
    drive.offer()
    drive.owner.is_closed = True
    drive.owner = FakeOwner()
    drive.answer()
    drive.calls.sweep(100.0)
    assert drive.owner.silent == ["c"]


def test_draining_refuses_new_calls_only() -> None:
    drive = Driven()
    drive.offer("old")
    drive.calls.is_draining = True
    assert isinstance(drive.answer("old"), bytes)
    assert isinstance(drive.offer("old"), bytes)
    assert drive.offer("new") is EndReason.MEDIA_UNAVAILABLE
    assert drive.calls.live == 1


# --- from one process to the next -------------------------------------------------------


def heir(drive: Driven, now: float = 1_000.0, taken: frozenset[int] = frozenset()) -> Driven:
    """The next process, with what this one has written."""
    next_ = Driven()
    next_.relay.taken = set(taken)
    next_.journal.kept = dict(drive.journal.written)
    next_.calls.restore(drive.journal.written, now)
    return next_


def test_answered_call_is_kept_before_its_parties_hear_of_the_answer() -> None:
    drive = Driven()
    drive.offer()
    drive.calls.flush()
    assert drive.journal.written == {}, "most calls that are not answered are over soon"
    drive.answer()
    drive.calls.flush()
    assert list(drive.journal.written) == ["c"]
    next_ = heir(drive)
    assert next_.relay.has_begun
    assert (next_.calls.live, next_.calls.restored) == (1, 1)
    assert [(aim.endpoint_id, aim.peer_id) for aim in next_.relay.aims] == [(1, 2), (2, 1)]
    assert next_.release() == [(Report(packets=1), Report(packets=2))]
    assert next_.journal.kept == {}


def test_call_that_rings_for_long_is_kept_too() -> None:
    drive = Driven()
    drive.offer()
    drive.calls.sweep(1.0)
    next_ = heir(drive)
    assert isinstance(next_.answer(), bytes)
    next_.calls.flush()
    assert next_.journal.written["c"].is_answered


def test_changes_are_kept() -> None:
    drive = Driven()
    drive.offer()
    drive.answer()
    drive.offer(sdp=audio("a=sendonly"))
    drive.answer(sdp=audio("a=recvonly"))
    drive.calls.flush()
    next_ = heir(drive)
    next_.calls.attach("c", next_.owner)
    next_.calls.sweep(5_000.0)
    assert next_.owner.silent == [], "it is on hold"
    drive.calls.forget("c", 1, drive.owner)
    drive.calls.sweep(1.0)
    assert heir(drive).relay.open_ids == {1}


def test_call_that_is_over_is_not_kept() -> None:
    drive = Driven()
    for call_id in ("short", "kept"):
        drive.offer(call_id)
        drive.answer(call_id)
    drive.release("short")
    drive.calls.flush()
    assert list(drive.journal.kept) == ["kept"]
    drive.release("kept")
    drive.calls.sweep(1.0)
    assert drive.journal.written == {}
    assert drive.journal.kept == {}


def test_silence_counts_anew_and_is_told_to_whoever_claims_the_call() -> None:
    drive = Driven()
    drive.offer()
    drive.answer(now=10.0)
    drive.calls.flush()
    next_ = heir(drive, now=1_000.0)
    assert next_.calls.attach("c", next_.owner)
    next_.calls.sweep(1_029.9)
    assert next_.owner.silent == []
    next_.calls.on_active([2], 1_030.0)
    next_.calls.sweep(1_059.9)
    assert next_.owner.silent == []
    next_.calls.sweep(1_060.0)
    assert next_.owner.silent == ["c"]


def test_call_that_nobody_claims_is_an_orphan() -> None:
    drive = Driven()
    drive.offer()
    drive.answer()
    drive.calls.flush()
    next_ = heir(drive, now=1_000.0)
    next_.calls.sweep(1_059.9)
    assert next_.calls.live == 1
    next_.calls.sweep(1_060.0)
    assert (next_.calls.live, next_.calls.reaped) == (0, 1)
    assert next_.journal.kept == {}
    assert next_.relay.open_ids == set()


def test_call_whose_ports_are_gone_is_unknown() -> None:
    drive = Driven()
    for call_id in ("robbed", "whole"):
        drive.offer(call_id)
        drive.answer(call_id)
    drive.calls.flush()
    next_ = heir(drive, taken=frozenset({10_004}))
    assert not next_.calls.attach("robbed", next_.owner)
    assert next_.calls.attach("whole", next_.owner)
    assert next_.relay.open_ids == {3, 4}
    assert list(next_.journal.kept) == ["whole"]


def test_awaited_audio_is_told_by_attempt() -> None:
    drive = Driven()
    describe = Describe(Side.CALLER, audio(), attempt=7, awaits_rtp=True)
    assert isinstance(drive.calls.offer("c", describe, drive.owner, 0.0), bytes)
    early = Describe(Side.CALLEE, audio(), attempt=7, provisional=True)
    assert isinstance(drive.calls.answer("c", early, drive.owner, 0.0), bytes)
    assert [aim.is_awaited for aim in drive.relay.aims] == [False, True]
    drive.calls.on_started([2, 1, 99])
    assert drive.owner.started == [("c", 7)]
