"""The transferred call, step by step; whole transfers are in the integration tests."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.transfer import Transfer
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Command,
    OfferMedia,
    Respond,
)
from services.signaling.core.commands import Request as Dial
from services.signaling.core.loop import LOOP, Onward
from services.signaling.core.transfer import BUSY_S, MOST_LOOKS
from services.signaling.sip.actions import Peer
from services.signaling.sip.refer import Replaces
from tests.support.signaling.machine import (
    ANSWER,
    CALLER,
    OFFER,
    Machine,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)
from tests.support.signaling.options import machine

HONOUR = CustomerSip(transfer=Transfer(mode="honour"))
SDP_C = ANSWER.replace(b"o=a", b"o=c")


def refer(subject: Machine, target: str = "sip:3000@x", now: float = 110.0) -> list[Command]:
    return subject.caller_sends("REFER", now, headers=[f"Refer-To: <{target}>"])


def to_loop(commands: list[Command]) -> Dial:
    return next(c for c in commands if isinstance(c, Dial) and c.peer == LOOP)


def status_of(commands: list[Command]) -> str:
    """What the one NOTIFY says."""
    notifies = [c for c in commands if isinstance(c, Dial) and c.draft.method == "NOTIFY"]
    assert len(notifies) == 1, kinds(commands)
    state = received(notifies[0].draft).first("subscription-state") or ""
    return f"{notifies[0].draft.body.decode().split()[1]} {state.partition(';')[0]}"


def started(*, media_proxy: bool = False) -> tuple[Machine, Dial, Dial]:
    """A call, the INVITE its vendor got, and the one to ourselves."""
    subject = machine(customer=HONOUR, media_proxy=media_proxy)
    if media_proxy:
        subject.start()
        subject.take(subject.call.on_plan(subject.plan, 100.0))
        offer = only(subject.take(subject.call.on_credit(subject.credit, 100.0)), OfferMedia)
        invite = only(subject.media(offer.token, b"x", 100.1), Dial)
        answer = only(subject.say(invite, 200, 105.0, body=ANSWER), AnswerMedia)
        subject.media(answer.token, b"y", 105.0)
        subject.durable(105.0)
        subject.ack(105.1)
    else:
        invite = subject.answer()
    return subject, invite, to_loop(refer(subject))


def test_a_refer_is_accepted_and_told_of() -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    steps = refer(subject)
    assert kinds(steps) == ["A 202", "A NOTIFY", "A2 INVITE"]
    assert response_in(only(steps, Respond)).has("contact")
    assert status_of(steps) == "100 active"
    invite = received(to_loop(steps).draft)
    assert (invite.uri, invite.body) == ("sip:3000@203.0.113.1:5060", b"")
    assert invite.call_id == "cal_1.1@transfer"
    assert invite.from_.uri == "sip:1000@203.0.113.1:5060"
    assert subject.context.transfers[invite.call_id] == Onward(
        "ctr_1", "acc_1", "192.0.2.10:5060;udp"
    )


def test_the_new_call_is_by_the_number_the_old_one_was_billed_by() -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    subject.call.record.caller_billed = "4930123"  # as read from P-Asserted-Identity
    assert received(to_loop(refer(subject)).draft).from_.uri == "sip:4930123@203.0.113.1:5060"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("Privacy: id;user", "id;user"),
        ("Remote-Party-ID: <sip:1000@x>;privacy=full", "id"),
        ("Privacy: none", "none"),
        ("Subject: x", None),
    ],
)
def test_who_was_withheld_from_the_old_vendor_is_from_the_new_one(
    asked: str, said: str | None
) -> None:
    invite = wire_request("INVITE", body=OFFER, headers=[asked])
    subject = machine(customer=HONOUR, invite=invite)
    subject.answer()
    assert received(to_loop(refer(subject)).draft).first("privacy") == said


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://x", 400),
        ("sip:3000@x?Replaces=rubbish", 400),
        ("sip:3000@x;method=SUBSCRIBE", 603),
        ("sip:x.example", 484),
    ],
)
def test_a_refer_nobody_can_follow(target: str, status: int) -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    assert kinds(refer(subject, target)) == [f"A {status}"]


def test_who_may_not_transfer() -> None:
    subject = machine()
    invite = subject.answer()
    steps = refer(subject)
    assert kinds(steps) == ["A 405"]
    assert "REFER" not in (response_in(only(steps, Respond)).first("allow") or "REFER")
    other = machine(customer=HONOUR)
    invite = other.answer()
    steps = other.callee_sends(invite, "REFER", 110.0, headers=["Refer-To: <sip:3000@x>"])
    assert kinds(steps) == ["B1 405"]


def test_who_may_transfer_is_told_so() -> None:
    for customer, may in ((HONOUR, True), (CustomerSip(), False)):
        subject = machine(customer=customer)
        invite = subject.dial()
        ringing = next(c for c in subject.say(invite, 180, 101.0) if isinstance(c, Respond))
        assert ("REFER" in (response_in(ringing).first("allow") or "")) is may


def test_a_transferor_who_has_gone_is_refreshed_no_more() -> None:
    timed = CustomerSip(
        transfer=Transfer(mode="honour"),
        session_timer=SessionTimer(mode="request", expires_s=90),
    )
    subject = machine(customer=timed)
    subject.answer()
    refer(subject)
    assert subject.call.deadline == 150.0
    subject.caller_sends("BYE", 111.0)
    assert subject.call.deadline > 1000.0


def test_one_transfer_at_a_time() -> None:
    subject, _, invite = started()
    assert kinds(refer(subject)) == ["A 491"]
    subject.reply(invite, 486, 111.0)
    assert kinds(refer(subject))[0] == "A 202"


def test_the_steps_of_a_transfer_with_media_in_between() -> None:
    subject, _, invite = started(media_proxy=True)
    assert status_of(subject.reply(invite, 180, 111.0)) == "180 active"
    assert subject.reply(invite, 180, 111.5) == []  # told already
    offer = only(subject.reply(invite, 200, 112.0, body=SDP_C), OfferMedia)
    assert (offer.from_caller, offer.sdp, offer.attempt) == (True, SDP_C, 1)
    again = only(subject.media(offer.token, b"for b", 112.1), Dial)
    assert (again.leg, again.draft.method, again.draft.body) == ("B1", "INVITE", b"for b")
    steps = subject.reply(again, 200, 112.2, body=ANSWER)
    assert kinds(steps) == ["Acknowledge", "AnswerMedia"]
    ask = only(steps, AnswerMedia)
    assert (ask.from_caller, ask.sdp, ask.provisional) == (False, ANSWER, False)
    steps = subject.media(ask.token, b"for c", 112.3)
    assert kinds(steps) == ["Acknowledge", "A NOTIFY", "A BYE"]
    ack = only(steps, Acknowledge)
    assert (ack.peer, received(ack.draft).body, ack.key) == (LOOP, b"for c", invite.owner.key)
    assert status_of(steps) == "200 terminated"


def joined() -> tuple[Machine, Dial]:
    subject, vendor, invite = started()
    again = next(c for c in subject.reply(invite, 200, 112.0, body=SDP_C) if isinstance(c, Dial))
    subject.reply(again, 200, 112.2, body=ANSWER)
    return subject, vendor


def test_what_the_transferee_asks_goes_to_the_target_and_the_transferor_is_no_party() -> None:
    subject, vendor = joined()
    steps = subject.callee_sends(vendor, "INVITE", 120.0, body=OFFER)
    assert only(steps, Dial).peer == LOOP
    assert kinds(subject.caller_sends("INFO", 121.0)) == ["A 481"]
    assert kinds(subject.caller_sends("BYE", 122.0)) == ["A 200"]
    assert not subject.ended_events
    bye = subject.callee_sends(vendor, "BYE", 130.0)
    assert to_loop(bye).draft.method == "BYE"
    assert subject.record.talk_ms == 25_000


def test_the_target_hangs_up() -> None:
    subject, _ = joined()
    invite = next(c for c in subject.history if isinstance(c, Dial) and c.peer == LOOP)
    ours = received(invite.draft)
    bye = wire_request(
        "BYE", to_tag=ours.from_tag, from_tag="callee", call_id=ours.call_id, cseq=2
    )
    steps = subject.take(subject.call.on_request(bye, "k", LOOP, 130.0))
    assert kinds(steps)[:2] == ["A2 200", "B1 BYE"]
    assert (subject.record.end_side, subject.record.end_reason) == ("caller", EndReason.NORMAL)


def test_a_target_without_session_is_hung_up() -> None:
    subject, _, invite = started()
    steps = subject.reply(invite, 200, 112.0)
    assert kinds(steps) == ["Acknowledge", "A2 BYE", "A NOTIFY"]
    assert status_of(steps) == "488 terminated"


@pytest.mark.parametrize("status", [488, 491, 408])
def test_a_transferee_who_refuses_stays_with_the_transferor(status: int) -> None:
    subject, vendor, invite = started()
    again = next(c for c in subject.reply(invite, 200, 112.0, body=SDP_C) if isinstance(c, Dial))
    steps = subject.reply(again, status, 112.2)
    assert kinds(steps) == ["Acknowledge", "A2 BYE", "A NOTIFY"]
    assert status_of(steps) == f"{status} terminated"
    assert kinds(subject.callee_sends(vendor, "INFO", 120.0)) == ["A INFO"]
    assert kinds(subject.callee_sends(vendor, "INVITE", 120.0, body=OFFER)) == ["A INVITE"]


def test_a_transferee_who_answers_without_session() -> None:
    subject, _, invite = started()
    again = next(c for c in subject.reply(invite, 200, 112.0, body=SDP_C) if isinstance(c, Dial))
    steps = subject.reply(again, 200, 112.2)
    assert kinds(steps) == ["Acknowledge", "Acknowledge", "A2 BYE", "A NOTIFY", "B1 INVITE"]
    assert status_of(steps) == "488 terminated"


def test_a_reinvite_nobody_answers() -> None:
    subject, _, invite = started()
    again = next(c for c in subject.reply(invite, 200, 112.0, body=SDP_C) if isinstance(c, Dial))
    assert status_of(subject.fail(again.owner, 408, 144.0)) == "408 terminated"


def test_a_transferee_who_says_nothing_but_100_is_given_up() -> None:
    subject, _, invite = started()
    again = next(c for c in subject.reply(invite, 200, 112.0, body=SDP_C) if isinstance(c, Dial))
    subject.reply(again, 100, 112.1)
    assert subject.call.deadline == 292.0
    assert kinds(subject.take(subject.call.on_timer(292.0))) == ["Cancel"]
    steps = subject.reply(again, 487, 292.1)
    assert kinds(steps) == ["Acknowledge", "A2 BYE", "A NOTIFY"]
    assert status_of(steps) == "408 terminated"


@pytest.mark.parametrize("at", ["offer", "answer"])
def test_media_that_refuses(at: str) -> None:
    subject, _, invite = started(media_proxy=True)
    offer = only(subject.reply(invite, 200, 112.0, body=SDP_C), OfferMedia)
    if at == "offer":
        steps = subject.media(offer.token, b"", 112.1, error="codec_mismatch")
    else:
        again = only(subject.media(offer.token, b"for b", 112.1), Dial)
        ask = only(subject.reply(again, 200, 112.2, body=ANSWER), AnswerMedia)
        steps = subject.take(subject.call.on_media(ask.token, None, 112.3))
    brought_back = ["OfferMedia"] if at == "answer" else []
    assert kinds(steps) == ["Acknowledge", "A2 BYE", "A NOTIFY", *brought_back]
    assert status_of(steps) == "488 terminated"


def test_a_target_that_cannot_be_called() -> None:
    subject, _, invite = started()
    assert status_of(subject.fail(invite.owner, 503, 111.0)) == "503 terminated"
    assert subject.context.transfers == {}


def test_it_waits_for_an_offer_of_the_parties() -> None:
    subject, _, invite = started()
    hold = next(
        c for c in subject.caller_sends("INVITE", 111.0, body=OFFER, key="re")
        if isinstance(c, Dial)
    )  # fmt: skip
    assert subject.reply(invite, 200, 112.0, body=SDP_C) == []
    assert subject.call.deadline == 112.0 + BUSY_S
    assert subject.take(subject.call.on_timer(112.5)) == []
    subject.reply(hold, 200, 112.6, body=ANSWER)
    subject.ack(112.7, key="re")
    assert kinds(subject.take(subject.call.on_timer(113.0))) == ["B1 INVITE"]


def test_it_does_not_wait_for_ever() -> None:
    subject, _, invite = started()
    subject.caller_sends("INVITE", 111.0, body=OFFER, key="re")
    subject.reply(invite, 200, 112.0, body=SDP_C)
    looks = 0
    while not (steps := subject.take(subject.call.on_timer(subject.call.deadline))):
        looks += 1
    assert looks == MOST_LOOKS - 1
    assert status_of(steps) == "491 terminated"


def test_a_transferor_who_hangs_up_leaves_the_transferee_waiting() -> None:
    subject, vendor, invite = started()
    assert kinds(subject.caller_sends("BYE", 111.0)) == ["A 200"]
    assert kinds(subject.callee_sends(vendor, "INFO", 111.5)) == ["B1 500"]
    steps = subject.reply(invite, 486, 113.0)
    assert kinds(steps)[:2] == ["A NOTIFY", "B1 BYE"]
    assert (subject.record.end_side, subject.record.talk_ms) == ("caller", 8_000)


def test_the_end_of_the_old_call_cancels_the_new_one() -> None:
    subject, vendor, invite = started()
    steps = subject.callee_sends(vendor, "BYE", 111.0)
    assert kinds(steps)[:4] == ["B1 200", "Cancel", "A NOTIFY", "A BYE"]
    assert status_of(steps) == "487 terminated"
    crossed = subject.reply(invite, 200, 111.1, body=SDP_C)
    assert kinds(crossed) == ["Acknowledge", "A2 BYE"]


def test_the_end_while_the_transferee_is_asked() -> None:
    subject, _, invite = started()
    again = next(c for c in subject.reply(invite, 200, 112.0, body=SDP_C) if isinstance(c, Dial))
    steps = subject.take(subject.call.hang_up(EndReason.ADMIN_DISCONNECT, 112.1))
    assert kinds(steps)[:3] == ["Acknowledge", "A2 BYE", "A NOTIFY"]
    assert kinds(subject.reply(again, 200, 112.2, body=ANSWER)) == ["Acknowledge"]
    assert kinds(subject.history).count("CallEnded") == 1


# --- the call that lets somebody in ------------------------------------------------------


def entering(subject: Machine, replaces: Replaces, account: str = "acc_1") -> list[Command]:
    call_id = "cal_9.1@transfer"
    subject.context.transfers[call_id] = Onward("ctr_1", account, "", replaces)
    invite = wire_request("INVITE", call_id=call_id, from_tag="theirs")
    return subject.take(subject.call.on_request(invite, "in", LOOP, 110.0))


MINE = Replaces("ingress@192.0.2.10", "tag1", "caller", early_only=False)


def test_it_takes_the_caller_s_place_once_the_callee_agrees() -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    forwarded = only(entering(subject, MINE), Dial)
    assert (forwarded.leg, forwarded.draft.method, forwarded.draft.body) == ("B1", "INVITE", b"")
    steps = subject.reply(forwarded, 200, 110.5, body=SDP_C)
    assert kinds(steps) == ["A2 200"]
    ok = response_in(only(steps, Respond))
    assert (ok.to_tag, ok.body) == ("tag1-r1", SDP_C)
    ack = wire_request("ACK", call_id="cal_9.1@transfer", to_tag="tag1-r1", body=ANSWER)
    steps = subject.take(subject.call.on_ack(ack, "in", 110.6))
    assert kinds(steps) == ["Acknowledge", "A BYE"]
    assert received(only(steps, Acknowledge).draft).body == ANSWER


def accepted() -> tuple[Machine, Dial]:
    """A call whose callee has let somebody in, who has not acknowledged it."""
    subject = machine(customer=HONOUR)
    invite = subject.answer()
    forwarded = only(entering(subject, MINE), Dial)
    assert kinds(subject.reply(forwarded, 200, 110.5, body=SDP_C)) == ["A2 200"]
    return subject, invite


def enters(subject: Machine, method: str = "ACK", body: bytes = b"") -> list[Command]:
    message = wire_request(
        method, call_id="cal_9.1@transfer", to_tag="tag1-r1", from_tag="theirs", body=body, cseq=2
    )
    if method == "ACK":
        return subject.take(subject.call.on_ack(message, "in", 110.6))
    return subject.take(subject.call.on_request(message, "k", LOOP, 110.7))


def test_who_thinks_better_of_it_leaves_the_caller_where_he_was() -> None:
    subject, _ = accepted()
    steps = enters(subject)
    # The callee's offer has its answer all the same: what he was sent before.
    assert received(only(steps, Acknowledge).draft).body == OFFER
    assert kinds(enters(subject, "BYE")) == ["A2 200"]
    assert kinds(subject.caller_sends("INFO", 112.0)) == ["B1 INFO"]


def test_a_caller_who_hangs_up_while_his_place_is_taken() -> None:
    subject, _ = accepted()
    assert kinds(subject.caller_sends("BYE", 110.6)) == ["A 200"]
    assert kinds(enters(subject, body=ANSWER)) == ["Acknowledge"]
    assert kinds(enters(subject, "BYE"))[:2] == ["A2 200", "B1 BYE"]


def test_a_caller_who_has_hung_up_and_nobody_took_his_place() -> None:
    subject, _ = accepted()
    subject.caller_sends("BYE", 110.6)
    assert kinds(enters(subject))[:2] == ["Acknowledge", "B1 BYE"]
    assert subject.record.end_side == "caller"


def test_the_end_while_somebody_enters() -> None:
    subject, invite = accepted()
    assert kinds(subject.callee_sends(invite, "BYE", 111.0))[:4] == [
        "B1 200", "A2 BYE", "Acknowledge", "A BYE",
    ]  # fmt: skip


def test_a_callee_who_refuses_stays_with_the_caller() -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    forwarded = only(entering(subject, MINE), Dial)
    assert kinds(subject.reply(forwarded, 488, 110.5)) == ["A2 488"]
    assert kinds(subject.caller_sends("INFO", 111.0)) == ["B1 INFO"]


@pytest.mark.parametrize(
    ("replaces", "account", "status"),
    [
        (MINE._replace(call_id="other"), "acc_1", 481),
        (MINE._replace(to_tag="tag1-1"), "acc_1", 481),
        (MINE._replace(from_tag="CALLER"), "acc_1", 481),
        (MINE, "acc_2", 481),
        (MINE._replace(early_only=True), "acc_1", 486),
    ],
)
def test_who_is_not_let_in(replaces: Replaces, account: str, status: int) -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    assert kinds(entering(subject, replaces, account)) == [f"A2 {status}"]


def test_nobody_is_let_in_during_an_offer_or_after_the_end() -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    subject.caller_sends("INVITE", 109.0, body=OFFER)
    assert kinds(entering(subject, MINE)) == ["A2 491"]
    subject.caller_sends("BYE", 109.5)
    assert kinds(entering(subject, MINE)) == ["A2 603"]


def test_nobody_enters_from_outside() -> None:
    subject = machine(customer=HONOUR)
    subject.answer()
    subject.context.transfers["x"] = Onward("ctr_1", "acc_1", "", MINE)
    for source in (CALLER, Peer("udp", "loop", 0)):
        invite = wire_request("INVITE", call_id="x", from_tag="theirs")
        assert kinds(subject.call.on_request(invite, "in", source, 110.0)) == ["B1 481"]


def test_an_unanswered_call_lets_nobody_in() -> None:
    subject = machine(customer=HONOUR)
    subject.dial()
    assert kinds(entering(subject, MINE)) == ["A 481"]
