"""A call written down and read again goes on as it would have."""

import itertools

import msgspec
import pytest

from services.media.core.exchange import Close, Endpoint, NoOffer, Side
from services.media.core.session import Session
from services.media.core.snapshot import SessionState
from tests.unit.media.core.test_session import CALLEE, CALLER, TWO, Driven, aims


def again(call: Driven, now: float = 50.0) -> Driven:
    """The same call in the next process."""
    written = msgspec.msgpack.encode(call.session.snapshot())
    state = msgspec.msgpack.decode(written, type=SessionState)
    restored = Driven()
    restored.session = Session.restored(state, itertools.count(500).__next__, now)
    restored.opened = call.opened
    return restored


def test_established_call_is_as_it_was() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER, silence_ms=30_000)
    call.answer(Side.CALLEE, CALLEE, now=10.0)
    next_ = again(call)
    assert next_.session.snapshot() == call.session.snapshot()
    assert next_.session.endpoints == call.session.endpoints
    assert next_.session.is_answered
    assert (next_.session.heard_at, next_.session.silent_at) == (50.0, 80.0)
    assert next_.session.aims() == list(call.session.aims())
    assert aims(tuple(next_.session.aims())) == {1: 2, 2: 1}


def test_new_offers_get_the_same_ports_and_a_later_version() -> None:
    call = Driven()
    call.connect()
    same = call.session.snapshot().attempts[1]
    next_ = again(call)
    offered = next_.offer(Side.CALLER, CALLER + b"a=sendonly\r\n")
    assert f"o=- {same.session_id} {same.version + 1} IN".encode() in offered.sdp
    assert b"m=audio 12002 " in offered.sdp
    next_.answer(Side.CALLEE, CALLEE + b"a=recvonly\r\n")
    assert next_.session.is_held
    assert again(next_).session.is_held
    assert again(next_).session.silent_at is None


def test_offer_under_way_is_answered_and_an_answered_one_not_again() -> None:
    call = Driven()
    call.connect()
    call.offer(Side.CALLEE, CALLEE)
    next_ = again(call)
    assert aims(next_.answer(Side.CALLER, CALLER).actions) == {1: 2, 2: 1}
    with pytest.raises(NoOffer):
        next_.answer(Side.CALLEE, CALLEE)


def test_young_call_with_several_attempts() -> None:
    call = Driven()
    call.offer(Side.CALLER, CALLER, attempt=1)
    call.answer(Side.CALLEE, CALLEE, attempt=1, is_early=True)
    call.offer(Side.CALLER, CALLER, attempt=2)
    next_ = again(call)
    assert not next_.session.is_answered
    assert aims(tuple(next_.session.aims())) == {1: 2, 2: 1, 3: 0}
    assert [next_.session.attempt_of(each) for each in (1, 2, 3, 99)] == [None, 1, 2, None]
    assert Close((2,)) in next_.session.forget(1)
    assert aims(next_.answer(Side.CALLEE, CALLEE, attempt=2).actions) == {1: 3, 3: 1}


def test_refused_streams_stay_refused() -> None:
    call = Driven()
    call.offer(Side.CALLER, TWO)
    call.answer(Side.CALLEE, CALLEE)
    next_ = again(call)
    assert [each.id for each in next_.session.endpoints] == [1, 3]
    assert isinstance(next_.session.endpoints[0], Endpoint)
