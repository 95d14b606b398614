"""Session timers of both legs, probes, and when a call ends for the bill: RFC 4028."""

from __future__ import annotations

import datetime as dt

import pytest

from services.common.causes import EndReason
from services.common.events import StreamStats
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import Acknowledge, Cancel, Command, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.values import CallState, MediaStats
from tests.support.signaling.machine import (
    ANSWER,
    OFFER,
    WALL,
    Machine,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)
from tests.support.signaling.options import machine

ALLOW = "Allow: INVITE, ACK, BYE, UPDATE"
REQUEST = SessionTimer(mode="request", expires_s=600)
ACCEPT = SessionTimer(mode="accept")


def answered(
    *,
    near: SessionTimer | None = None,
    far: SessionTimer | None = None,
    asks: tuple[str, ...] = (),
    grants: tuple[str, ...] = (),
) -> tuple[Machine, Dial]:
    """A call answered and acknowledged at 105."""
    subject = machine(
        customer=CustomerSip(session_timer=near or SessionTimer()),
        vendor=VendorSip(session_timer=far or SessionTimer()),
        invite=wire_request("INVITE", body=OFFER, headers=asks),
    )
    invite = subject.dial()
    subject.say(invite, 200, 105.0, body=ANSWER, headers=grants)
    subject.durable(105.0)
    subject.ack(105.0)
    return subject, invite


def on_timer(subject: Machine, now: float) -> list[Command]:
    assert subject.call.deadline == now
    return subject.take(subject.call.on_timer(now))


def ok_to_caller(subject: Machine) -> list[str]:
    oks = [c for c in subject.history if isinstance(c, Respond) and c.key == "invite"]
    return response_in(oks[-1]).headers("session-expires")


# --- agreeing ----------------------------------------------------------------------------


def test_each_leg_agrees_for_itself() -> None:
    subject, invite = answered(
        near=ACCEPT,
        far=REQUEST,
        asks=("Supported: timer", "Session-Expires: 300"),
        grants=("Session-Expires: 350;refresher=uas",),
    )
    assert received(invite.draft).first("session-expires") == "600"
    assert ok_to_caller(subject) == ["300;refresher=uac"]
    assert subject.call.deadline == 105.0 + 300 - 32
    subject.caller_sends(
        "UPDATE", 200.0, headers=["Supported: timer", "Session-Expires: 300;refresher=uac"]
    )
    assert subject.call.deadline == 105.0 + 350 - 32


def test_a_vendor_s_422_is_obeyed_once() -> None:
    subject = machine(vendor=VendorSip(session_timer=REQUEST))
    invite = subject.dial()
    steps = subject.say(invite, 422, 100.2, headers=["Min-SE: 1200"])
    again = only(steps, Dial)
    assert again.owner is invite.owner
    sent = received(again.draft)
    assert (sent.first("session-expires"), sent.first("min-se")) == ("1200", "1200")
    assert (sent.cseq, sent.call_id) == ((2, "INVITE"), received(invite.draft).call_id)
    assert sent.from_tag == received(invite.draft).from_tag
    ok = subject.say(again, 200, 105.0, body=ANSWER)
    assert received(only(ok, Acknowledge).draft).cseq == (2, "ACK")
    subject.durable(105.0)
    subject.ack(105.0)
    bye = only(subject.caller_sends("BYE", 110.0), Dial)
    assert received(bye.draft).cseq == (3, "BYE")
    assert [a.sip_code for a in subject.record.attempts] == [200]


def test_a_second_422_is_a_refusal() -> None:
    subject = machine(vendor=VendorSip(session_timer=REQUEST))
    invite = subject.dial()
    again = only(subject.say(invite, 422, 100.2, headers=["Min-SE: 1200"]), Dial)
    steps = subject.say(again, 422, 100.3, headers=["Min-SE: 2400"])
    assert "A 503" in kinds(steps)


def test_options_at_their_defaults_cost_and_say_nothing() -> None:
    subject, invite = answered(asks=("Supported: timer", "Session-Expires: 300"))
    assert ok_to_caller(subject) == []
    assert not received(invite.draft).has("session-expires")
    assert subject.call._conversation is not None
    assert subject.call._conversation._vigil is None


# --- refreshing --------------------------------------------------------------------------


def test_the_vendor_is_refreshed_by_update_at_half_time() -> None:
    subject, _ = answered(far=REQUEST, grants=("Session-Expires: 600;refresher=uac", ALLOW))
    refresh = only(on_timer(subject, 405.0), Dial)
    sent = received(refresh.draft)
    assert (refresh.leg, sent.method, sent.body) == ("B1", "UPDATE", b"")
    assert sent.first("session-expires") == "600;refresher=uac"
    assert sent.headers("supported") == ["timer"]
    assert subject.call.deadline == 105.0 + 600 - 32
    granted = ["Session-Expires: 600;refresher=uac"]
    assert subject.reply(refresh, 200, 405.2, headers=granted) == []
    assert subject.call.deadline == 705.2


def test_the_caller_is_refreshed_by_invite_with_the_session_he_knows() -> None:
    subject, _ = answered(near=REQUEST)
    refresh = only(on_timer(subject, 405.0), Dial)
    sent = received(refresh.draft)
    assert (refresh.leg, sent.method, sent.body) == ("A", "INVITE", ANSWER)
    steps = subject.reply(refresh, 200, 405.2, body=OFFER)
    assert received(only(steps, Acknowledge).draft).cseq == (sent.cseq.number, "ACK")
    assert subject.call.deadline == 705.2


def test_a_refresh_never_crosses_but_an_offer_does() -> None:
    subject, _ = answered(near=ACCEPT, asks=("Supported: timer", "Session-Expires: 300"))
    timer = ["Supported: timer", "Session-Expires: 300;refresher=uac"]
    steps = subject.caller_sends("UPDATE", 200.0, headers=timer)
    assert kinds(steps) == ["A 200"]
    ok = response_in(only(steps, Respond))
    assert ok.first("session-expires") == "300;refresher=uac"
    assert ok.first("contact") == "<sip:203.0.113.1:5060>"
    forwarded = only(subject.caller_sends("INVITE", 300.0, body=OFFER, headers=timer), Dial)
    assert not received(forwarded.draft).has("session-expires")
    steps = subject.reply(forwarded, 200, 300.5, body=ANSWER)
    passed = response_in(only(steps, Respond))
    assert passed.first("session-expires") == "300;refresher=uac"
    assert passed.headers("require") == ["timer"]
    assert subject.call.deadline == 300.0 + 300 - 32


def test_a_reinvite_that_crosses_refreshes_the_leg_it_goes_to() -> None:
    subject, _ = answered(far=REQUEST, grants=("Session-Expires: 600;refresher=uac", ALLOW))
    forwarded = only(subject.caller_sends("INVITE", 300.0, body=OFFER), Dial)
    assert received(forwarded.draft).first("session-expires") == "600;refresher=uac"
    subject.reply(forwarded, 200, 300.5, body=ANSWER, headers=["Session-Expires: 600"])
    assert subject.call.deadline == 600.5


def test_a_refresh_asked_for_too_often_is_422() -> None:
    subject, _ = answered(near=SessionTimer(mode="accept", min_se_s=300))
    steps = subject.caller_sends(
        "UPDATE", 200.0, headers=["Supported: timer", "Session-Expires: 120"]
    )
    assert kinds(steps) == ["A 422"]
    assert response_in(only(steps, Respond)).first("min-se") == "300"
    assert subject.call.state is CallState.ANSWERED


@pytest.mark.parametrize("status", [405, 501])
def test_who_has_no_update_after_all_is_sent_invite(status: int) -> None:
    subject, _ = answered(far=REQUEST, grants=(ALLOW,))
    update = only(on_timer(subject, 405.0), Dial)
    assert subject.reply(update, status, 405.1) == []
    again = only(on_timer(subject, 405.1), Dial)
    assert (again.draft.method, received(again.draft).body) == ("INVITE", OFFER)


def test_a_422_to_a_refresh_is_obeyed() -> None:
    subject, _ = answered(far=REQUEST, grants=(ALLOW,))
    update = only(on_timer(subject, 405.0), Dial)
    subject.reply(update, 422, 405.1, headers=["Min-SE: 900"])
    again = only(on_timer(subject, 405.1), Dial)
    assert received(again.draft).first("session-expires") == "900;refresher=uac"
    assert received(again.draft).first("min-se") == "900"


def test_another_refusal_is_tried_again_before_the_session_ends() -> None:
    subject, _ = answered(far=REQUEST, grants=(ALLOW,))
    update = only(on_timer(subject, 405.0), Dial)
    subject.reply(update, 500, 405.0)
    assert subject.call.deadline == 405.0 + (673.0 - 405.0) / 2


# --- glare -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leg", "wait_s"),
    [("near", 1.0), ("far", 3.05)],
)
def test_a_491_is_waited_out_by_who_owns_the_call_id(leg: str, wait_s: float) -> None:
    by_invite = SessionTimer(mode="request", expires_s=600, refresh="invite")
    near, far = (by_invite, None) if leg == "near" else (None, by_invite)
    subject, _ = answered(near=near, far=far)
    refresh = only(on_timer(subject, 405.0), Dial)
    assert subject.reply(refresh, 491, 406.0) == []
    assert subject.call.deadline == 406.0 + wait_s
    assert kinds(on_timer(subject, 406.0 + wait_s))[0].endswith("INVITE")


def test_offers_of_the_parties_meet_491_while_we_reinvite() -> None:
    subject, invite = answered(near=SessionTimer(mode="request", expires_s=600, refresh="invite"))
    refresh = only(on_timer(subject, 405.0), Dial)
    assert kinds(subject.caller_sends("INVITE", 405.1, body=OFFER)) == ["A 491"]
    assert kinds(subject.callee_sends(invite, "INVITE", 405.1, body=OFFER)) == ["B1 491"]
    subject.reply(refresh, 200, 405.2, body=OFFER)
    assert kinds(subject.callee_sends(invite, "INVITE", 405.3, body=OFFER)) == ["A INVITE"]


def test_a_refresh_by_invite_that_only_draws_100_is_cancelled_and_tried_again() -> None:
    by_invite = SessionTimer(mode="request", expires_s=3600, refresh="invite")
    subject, invite = answered(near=by_invite)
    refresh = only(on_timer(subject, 1905.0), Dial)
    assert subject.reply(refresh, 100, 1905.1) == []
    cancel = only(on_timer(subject, 2085.0), Cancel)
    assert (cancel.key, cancel.leg) == (refresh.owner.key, "A")
    assert kinds(subject.callee_sends(invite, "INVITE", 2085.1, body=OFFER)) == ["B1 491"]
    assert subject.reply(refresh, 487, 2085.2) == []
    assert kinds(subject.callee_sends(invite, "INVITE", 2085.3, body=OFFER)) == ["A INVITE"]


def test_a_refresh_under_way_is_cancelled_when_its_call_ends() -> None:
    by_invite = SessionTimer(mode="request", expires_s=600, refresh="invite")
    subject, invite = answered(near=by_invite)
    refresh = only(on_timer(subject, 405.0), Dial)
    steps = subject.callee_sends(invite, "BYE", 406.0)
    assert kinds(steps)[:3] == ["B1 200", "Cancel", "A BYE"]
    assert only(steps, Cancel).key == refresh.owner.key


def test_we_do_not_reinvite_while_the_parties_do() -> None:
    subject, _ = answered(far=SessionTimer(mode="request", expires_s=600, refresh="invite"))
    subject.caller_sends("INVITE", 404.9, body=OFFER)
    assert on_timer(subject, 405.0) == []
    assert subject.call.deadline == 406.5


# --- when nobody refreshes ---------------------------------------------------------------


def test_a_refresh_that_fails_ends_the_call_when_the_party_was_last_heard() -> None:
    subject, invite = answered(far=REQUEST, grants=(ALLOW,))
    subject.callee_sends(invite, "INFO", 250.0)
    refresh = only(on_timer(subject, 405.0), Dial)
    steps = subject.fail(refresh.owner, 408, 437.0)
    assert kinds(steps)[-3:] == ["A BYE", "B1 BYE", "CallEnded"]
    record = subject.record
    assert (record.end_reason, record.end_side) == (EndReason.SESSION_TIMEOUT, "server")
    assert record.talk_ms == 145_000
    assert record.q850_out == 102
    assert record.attempts[0].ended_at == record.ended_at


@pytest.mark.parametrize("status", [408, 481])
def test_a_party_that_knows_the_dialog_no_more_ends_it_the_same_way(status: int) -> None:
    subject, _ = answered(far=REQUEST, grants=(ALLOW,))
    refresh = only(on_timer(subject, 405.0), Dial)
    assert kinds(subject.reply(refresh, status, 405.1))[:2] == ["A BYE", "B1 BYE"]
    assert subject.record.talk_ms == 0  # nothing was heard of him after the answer
    assert subject.record.end_reason == EndReason.SESSION_TIMEOUT


def test_a_refresh_that_never_comes() -> None:
    subject, _ = answered(near=ACCEPT, asks=("Supported: timer", "Session-Expires: 300"))
    timer = ["Supported: timer", "Session-Expires: 300;refresher=uac"]
    subject.caller_sends("UPDATE", 250.0, headers=timer)
    steps = on_timer(subject, 250.0 + 300 - 32)
    assert kinds(steps)[:2] == ["A BYE", "B1 BYE"]
    assert subject.record.talk_ms == 145_000


def test_audio_proves_life_beyond_the_last_message() -> None:
    subject = machine(
        customer=CustomerSip(session_timer=ACCEPT),
        media_proxy=True,
        invite=wire_request("INVITE", headers=["Supported: timer", "Session-Expires: 300"]),
    )
    invite = subject.dial()
    subject.say(invite, 200, 105.0)
    subject.durable(105.0)
    subject.ack(105.0)
    subject.call.has_media = True
    on_timer(subject, 105.0 + 300 - 32)
    heard = StreamStats(packets=1, last_at=WALL + dt.timedelta(seconds=205))
    other = StreamStats(packets=1, last_at=WALL + dt.timedelta(seconds=260))
    subject.take(subject.call.on_media_stats(MediaStats(caller=heard, callee=other), 373.1))
    record = subject.record
    assert (record.end_reason, record.talk_ms) == (EndReason.SESSION_TIMEOUT, 200_000)
    assert record.media_caller == heard


def test_audio_after_the_end_is_no_proof_of_more_talk() -> None:
    subject = machine(
        customer=CustomerSip(session_timer=ACCEPT),
        invite=wire_request("INVITE", headers=["Supported: timer", "Session-Expires: 300"]),
    )
    invite = subject.dial()
    subject.say(invite, 200, 105.0)
    subject.durable(105.0)
    subject.ack(105.0)
    subject.call.has_media = True
    on_timer(subject, 373.0)
    late = StreamStats(packets=1, last_at=WALL + dt.timedelta(seconds=999))
    subject.take(subject.call.on_media_stats(MediaStats(caller=late), 373.1))
    assert subject.record.talk_ms == 268_000


# --- peers without timers ----------------------------------------------------------------


def test_a_silent_peer_without_a_timer_is_probed() -> None:
    subject, invite = answered(far=SessionTimer(probe_s=60))
    subject.callee_sends(invite, "INFO", 150.0)
    assert on_timer(subject, 165.0) == []
    probe = only(on_timer(subject, 210.0), Dial)
    assert (probe.leg, probe.draft.method) == ("B1", "OPTIONS")
    assert subject.reply(probe, 200, 210.2) == []
    probe = only(on_timer(subject, 270.2), Dial)
    assert subject.reply(probe, 500, 270.4) == []  # whatever it says, it lives
    probe = only(on_timer(subject, 330.4), Dial)
    assert kinds(subject.reply(probe, 481, 330.6))[1:3] == ["A BYE", "B1 BYE"]
    record = subject.record
    assert (record.end_reason, record.talk_ms) == (EndReason.SESSION_TIMEOUT, 165_400)


def test_a_probe_that_is_not_answered_ends_the_call_and_one_not_sent_proves_nothing() -> None:
    subject, _ = answered(near=SessionTimer(probe_s=60))
    probe = only(on_timer(subject, 165.0), Dial)
    assert subject.fail(probe.owner, 503, 165.0) == []
    probe = only(on_timer(subject, 225.0), Dial)
    subject.fail(probe.owner, 408, 257.0)
    assert subject.record.end_reason == EndReason.SESSION_TIMEOUT


def test_who_has_a_timer_is_not_probed() -> None:
    options = SessionTimer(mode="accept", probe_s=60, longest_without_timer_s=120)
    subject, _ = answered(near=options, asks=("Supported: timer", "Session-Expires: 300"))
    assert subject.call.deadline == 105.0 + 300 - 32


def test_the_longest_call_of_who_has_no_timer() -> None:
    options = SessionTimer(mode="accept", longest_without_timer_s=120)
    subject, _ = answered(near=options)
    steps = on_timer(subject, 225.0)
    assert kinds(steps)[:2] == ["A BYE", "B1 BYE"]
    assert (subject.record.end_reason, subject.record.talk_ms) == (
        EndReason.MAX_DURATION, 120_000,
    )  # fmt: skip


# --- the end -----------------------------------------------------------------------------


def test_a_refresh_answered_after_the_end_is_acknowledged() -> None:
    subject, _ = answered(far=SessionTimer(mode="request", expires_s=600, refresh="invite"))
    refresh = only(on_timer(subject, 405.0), Dial)
    subject.caller_sends("BYE", 405.1)
    assert kinds(subject.reply(refresh, 200, 405.2, body=OFFER)) == ["Acknowledge"]
    assert kinds(subject.history).count("CallEnded") == 1


def test_a_refresh_is_not_sent_before_the_ack() -> None:
    subject = machine(
        customer=CustomerSip(session_timer=SessionTimer(mode="request", expires_s=90))
    )
    invite = subject.dial()
    subject.say(invite, 200, 105.0, body=ANSWER)
    subject.durable(105.0)
    assert on_timer(subject, 150.0) == []
    subject.ack(150.1)
    assert kinds(on_timer(subject, 151.5)) == ["A INVITE"]
