"""What one leg's watch agrees to, keeps and restores."""

from __future__ import annotations

import msgspec

from services.common.sip_options.session_timer import SessionTimer
from services.signaling.core.watch import Watch, WatchState, allows_update, is_watched
from services.signaling.sip.session_timer import Terms
from tests.support.signaling.machine import wire_request
from tests.support.sip_messages import response

OPTIONS = SessionTimer(mode="request", expires_s=600)
OURS = Terms(600, we_refresh=True)


def watch(options: SessionTimer = OPTIONS, terms: Terms | None = OURS) -> Watch:
    return Watch(options, terms, 100.0, allows_update=True)


def test_what_is_watched() -> None:
    assert not is_watched(SessionTimer())
    assert is_watched(SessionTimer(mode="accept"))
    assert is_watched(SessionTimer(probe_s=30))
    assert is_watched(SessionTimer(longest_without_timer_s=3600))


def test_allows_update() -> None:
    assert allows_update(wire_request("INVITE", headers=["Allow: INVITE, UPDATE"]))
    assert not allows_update(wire_request("INVITE", headers=["Allow: INVITE"]))
    assert not allows_update(wire_request("INVITE"))


def test_what_refreshes() -> None:
    assert watch().uses_update()
    assert not watch(SessionTimer(mode="request", refresh="invite")).uses_update()
    alone = Watch(OPTIONS, OURS, 100.0, allows_update=False)
    assert not alone.uses_update()
    alone.options = SessionTimer(mode="request", refresh="update")
    assert alone.uses_update()


def test_a_refresh_of_the_peer_restarts_the_clock_on_its_terms() -> None:
    subject = watch()
    request = wire_request("UPDATE", headers=["Supported: timer", "Session-Expires: 300"])
    lines = subject.granted_lines(request, 200.0)
    assert lines[0] == "Session-Expires: 300;refresher=uac"
    assert subject.deadline == 200.0 + 300 - 32


def test_without_a_timer_there_are_probes_and_a_limit() -> None:
    options = SessionTimer(mode="accept", probe_s=30, longest_without_timer_s=3600)
    subject = watch(options, None)
    assert subject.deadline == 130.0
    subject.probe_at = float("inf")
    assert subject.deadline == 3700.0
    request = wire_request("UPDATE", headers=["Supported: timer", "Session-Expires: 900"])
    subject.granted_lines(request, 200.0)
    assert subject.deadline == 200.0 + 900 - 32  # a timer takes their place


def test_a_2xx_without_session_expires_ends_the_timer_of_who_only_accepts() -> None:
    subject = watch(SessionTimer(mode="accept"))
    subject.on_accepted(response(200), 200.0)
    assert subject.clock is None
    subject = watch()
    subject.on_accepted(response(200), 200.0)
    assert subject.deadline == 500.0


def test_a_422_raises_the_interval_once() -> None:
    subject = watch()
    small = response(422, extra="Min-SE: 1200\r\n")
    assert subject.on_too_small(small, 400.0)
    assert subject.deadline == 400.0
    assert subject.asking_lines() == [
        "Session-Expires: 1200;refresher=uac", "Supported: timer", "Min-SE: 1200",
    ]  # fmt: skip
    assert not subject.on_too_small(small, 401.0)
    assert not watch(terms=None).on_too_small(small, 400.0)


def test_off_says_nothing() -> None:
    subject = watch(SessionTimer(probe_s=30), None)
    request = wire_request("UPDATE", headers=["Supported: timer", "Session-Expires: 900"])
    assert subject.granted_lines(request, 200.0) == []
    assert subject.asking_lines() == []
    assert not subject.is_too_small(request)
    subject.on_accepted(response(200, extra="Session-Expires: 90\r\n"), 200.0)
    assert subject.clock is None


def test_it_survives_a_restart_as_plain_values() -> None:
    subject = watch()
    subject.min_se_s = 300
    state = msgspec.json.decode(msgspec.json.encode(subject.snapshot()), type=WatchState)
    again = Watch.restored(OPTIONS, state)
    assert (again.deadline, again.min_se_s, again.allows_update) == (400.0, 300, True)
    assert again.clock is not None
    assert again.clock.terms == OURS


def test_a_refresh_that_was_under_way_is_tried_again_after_a_restart() -> None:
    subject = watch()
    assert subject.clock is not None
    subject.clock.refresh_at = float("inf")
    again = Watch.restored(OPTIONS, subject.snapshot())
    assert again.deadline == 100.0 + 600 - 32 - 150
    assert Watch.restored(OPTIONS, watch(terms=None).snapshot()).clock is None
