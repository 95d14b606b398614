"""The hunt for a vendor: admission, timeouts, failover, stop codes."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.timeouts import CustomerTimeouts, VendorTimeouts
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.code_policy import known_reason
from services.signaling.core.commands import AnswerMedia, FindRoutes, OfferMedia
from services.signaling.core.commands import Request as Dial
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import CallState, Candidate
from tests.support.signaling.machine import (
    ANSWER,
    Machine,
    candidate,
    context,
    kinds,
    only,
    received,
)


def test_the_invite_is_made_of_the_candidate() -> None:
    machine = Machine(
        candidate(1, host="2001:db8::7", port=5070, transport="tcp", caller="+49", called="0049#1")
    )
    dial = machine.dial()
    invite = received(dial.draft)
    assert dial.peer[:3] == ("tcp", "2001:db8::7", 5070)
    assert invite.uri == "sip:0049%231@[2001:db8::7]:5070;transport=tcp"
    assert invite.first("from") == "<sip:+49@203.0.113.1:5060>;tag=tag2"
    assert invite.first("to") == "<sip:0049%231@[2001:db8::7]>"
    assert invite.first("contact") == "<sip:203.0.113.1:5060;transport=tcp>"
    assert invite.call_id == "egress1"


def test_an_anonymous_caller_has_no_user_part() -> None:
    invite = received(Machine(candidate(1, caller="")).dial().draft)
    assert invite.first("from") == "<sip:203.0.113.1:5060>;tag=tag2"


def test_a_vendor_that_says_nothing_is_left_for_the_next() -> None:
    machine = Machine(candidate(1, trying_timeout_ms=2_000), candidate(2))
    first = machine.dial()
    assert machine.call.deadline == 102.0
    assert machine.take(machine.call.on_timer(101.9)) == []
    assert kinds(machine.take(machine.call.on_timer(102.0))) == ["Cancel", "B2 INVITE"]
    # Its CANCEL is held back until it says something; then its 487 is nobody's business.
    assert machine.say(first, 100, 102.5) == []
    assert machine.say(first, 487, 102.6) == []
    assert machine.call.deadline == 107.0


def test_a_vendor_that_makes_no_progress_is_left_for_the_next() -> None:
    machine = Machine(candidate(1), candidate(2))
    options = VendorSip(timeouts=VendorTimeouts(progress_ms=7_000))
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": options})
    first = machine.dial()
    machine.say(first, 100, 101.0)
    assert machine.call.deadline == 107.0
    assert kinds(machine.take(machine.call.on_timer(107.0))) == ["Cancel", "B2 INVITE"]


def test_progress_in_time_leaves_only_ringing_to_wait_for() -> None:
    machine = Machine(candidate(1, ringing_timeout_ms=30_000))
    options = VendorSip(timeouts=VendorTimeouts(progress_ms=7_000))
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": options})
    first = machine.dial()
    machine.say(first, 180, 106.0)
    machine.say(first, 100, 106.5)
    assert machine.call.deadline == 130.0


def limited(*candidates: Candidate, setup_ms: int) -> Machine:
    """A call whose customer allows only so long for all vendors together."""
    sip = CustomerSip(timeouts=CustomerTimeouts(setup_ms=setup_ms))
    return Machine(*candidates, trunk=CustomerTrunk(id="ctr_1", account_id="acc_1", sip=sip))


def test_a_call_is_set_up_in_time_or_not_at_all() -> None:
    machine = limited(candidate(1), candidate(2), setup_ms=8_000)
    machine.dial()
    assert machine.call.deadline == 105.0  # the vendor's own comes first
    assert kinds(machine.take(machine.call.on_timer(105.0))) == ["Cancel", "B2 INVITE"]
    assert machine.call.deadline == 108.0
    assert machine.take(machine.call.on_timer(107.9)) == []
    assert kinds(machine.take(machine.call.on_timer(108.0))) == [
        "Cancel", "A 408", "ReleaseCredit",
    ]  # fmt: skip
    machine.take(machine.call.on_timer(machine.call.deadline))
    record = machine.assert_ended(EndReason.SETUP_TIMEOUT, 408)
    assert (record.end_side, record.q850_out) == ("server", 102)
    reasons = [attempt.end_reason for attempt in record.attempts]
    assert reasons == ["vendor_timeout", "setup_timeout"]


def test_ringing_does_not_lengthen_the_setup_but_an_answer_ends_it() -> None:
    machine = limited(candidate(1), setup_ms=8_000)
    invite = machine.dial()
    machine.say(invite, 180, 107.0)
    assert machine.call.deadline == 108.0
    machine.say(invite, 200, 107.9, body=ANSWER)
    assert machine.call.deadline == float("inf")
    assert machine.take(machine.call.on_timer(108.0)) == []
    machine.durable(108.1)
    assert machine.call.state is CallState.ANSWERED


def test_setup_ends_while_media_is_asked() -> None:
    machine = limited(candidate(1, media_proxy=True), setup_ms=8_000)
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    machine.take(machine.call.on_credit(machine.credit, 100.0))
    assert kinds(machine.take(machine.call.on_timer(108.0)))[0] == "A 408"


def test_a_provisional_stops_the_trying_timeout_and_ringing_has_its_own() -> None:
    machine = Machine(candidate(1, trying_timeout_ms=2_000, ringing_timeout_ms=30_000))
    invite = machine.dial()
    machine.say(invite, 100, 101.0)
    assert machine.call.deadline == 130.0
    assert kinds(machine.take(machine.call.on_timer(130.0))) == [
        "Cancel", "A 480", "ReleaseCredit",
    ]  # fmt: skip
    machine.say(invite, 487, 130.1)
    record = machine.assert_ended(EndReason.RINGING_TIMEOUT, 480)
    assert record.attempts[0].end_reason == "ringing_timeout"


def test_no_vendor_says_anything() -> None:
    machine = Machine()
    machine.dial()
    machine.take(machine.call.on_timer(105.0))
    machine.take(machine.call.on_timer(machine.call.deadline))
    record = machine.assert_ended(EndReason.VENDOR_TIMEOUT, 503)
    assert record.attempts[0].sip_code == 0
    assert record.end_side == "server"


@pytest.mark.parametrize(
    ("status", "reason"), [(503, EndReason.VENDOR_UNREACHABLE), (408, EndReason.VENDOR_TIMEOUT)]
)
def test_an_unreachable_vendor_is_left_at_once(status: int, reason: EndReason) -> None:
    machine = Machine(candidate(1), candidate(2))
    first = machine.dial()
    second = only(machine.fail(first.owner, status, 100.1), Dial)
    assert second.leg == "B2"
    machine.fail(second.owner, status, 100.2)
    record = machine.assert_ended(reason, 503)
    assert [attempt.end_reason for attempt in record.attempts] == [reason, reason]


def test_a_vendor_whose_name_nobody_knows_is_unreachable() -> None:
    machine = Machine(
        candidate(1, host="gone.example"),
        candidate(2, host="Known.example"),
        shared=context({"known.example": "198.51.100.77"}),
    )
    assert machine.dial().peer.host == "198.51.100.77"
    assert machine.call.record.attempts[0].end_reason == EndReason.VENDOR_UNREACHABLE


def test_a_full_vendor_is_skipped_and_recorded() -> None:
    shared = context()
    for _ in range(2):
        assert shared.vendor_limits.take("vtr_1", max_calls=2, max_cps=None, now=1.0) is None
    machine = Machine(candidate(1, max_calls=2), candidate(2), shared=shared)
    assert machine.dial().leg == "B2"
    skipped = machine.call.record.attempts[0]
    assert (skipped.end_reason, skipped.sip_call_id) == (EndReason.VENDOR_CAPACITY, "")


def test_all_vendors_full() -> None:
    shared = context()
    shared.vendor_limits.take("vtr_1", max_calls=None, max_cps=1, now=99.5)
    machine = Machine(candidate(1, max_cps=1), shared=shared)
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    machine.take(machine.call.on_credit(machine.credit, 100.0))
    machine.assert_ended(EndReason.VENDOR_CPS, 503)


def test_full_vendors_are_named_to_routing() -> None:
    shared = context()
    shared.vendor_limits.take("vtr_9", max_calls=1, max_cps=None, now=1.0)
    machine = Machine(shared=shared)
    assert only(machine.start(), FindRoutes).busy == {"vtr_9"}


def test_what_a_vendor_said_outweighs_one_that_was_skipped() -> None:
    shared = context()
    shared.vendor_limits.take("vtr_2", max_calls=1, max_cps=None, now=1.0)
    machine = Machine(candidate(1), candidate(2, max_calls=1), shared=shared)
    machine.say(machine.dial(), 480, 101.0)
    machine.assert_ended(EndReason.NO_ANSWER, 480)


@pytest.mark.parametrize("status", [404, 484, 486, 600, 603, 604])
def test_statuses_that_stop_by_default(status: int) -> None:
    machine = Machine(candidate(1), candidate(2))
    machine.say(machine.dial(), status, 101.0)
    assert machine.final_response() == status


@pytest.mark.parametrize("status", [300, 401, 403, 408, 480, 488, 500, 503])
def test_statuses_that_do_not(status: int) -> None:
    machine = Machine(candidate(1), candidate(2))
    assert "B2 INVITE" in kinds(machine.say(machine.dial(), status, 101.0))


def test_a_vendor_s_own_stop_codes_replace_the_defaults() -> None:
    machine = Machine(candidate(1, stop_codes=(503,)), candidate(2))
    machine.say(machine.dial(), 503, 101.0)
    machine.assert_ended(EndReason.REJECTED, 503)
    other = Machine(candidate(1, stop_codes=(503,)), candidate(2))
    assert "B2 INVITE" in kinds(other.say(other.dial(), 486, 101.0))


@pytest.mark.parametrize(
    ("status", "out"), [(401, 503), (407, 503), (302, 503), (488, 488), (606, 606), (500, 503)]
)
def test_what_the_caller_hears_of_a_refusal(status: int, out: int) -> None:
    machine = Machine()
    machine.say(machine.dial(), status, 101.0)
    assert machine.final_response() == out
    assert machine.record.sip_code_in == status


def test_failover_continues_after_early_media() -> None:
    machine = Machine(candidate(1), candidate(2))
    invite = machine.dial()
    machine.say(invite, 183, 101.0, body=ANSWER)
    assert "B2 INVITE" in kinds(machine.say(invite, 503, 102.0))


def test_late_offer_takes_no_sdp_from_a_provisional() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.call._ingress.invite.body = b""  # type: ignore[union-attr]  # there is one
    invite = machine.dial()
    assert received(invite.draft).body == b""
    passed = machine.say(invite, 183, 101.0, body=ANSWER)
    assert kinds(passed) == ["A 183"]
    asked = only(machine.say(invite, 200, 102.0, body=ANSWER), OfferMedia)
    assert not asked.from_caller
    assert kinds(machine.media(asked.token, b"offer", 102.1)) == ["Persist"]


def test_a_200_without_sdp_takes_that_of_its_183() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.0)), OfferMedia)
    invite = only(machine.media(offer.token, b"x", 100.1), Dial)
    early = only(machine.say(invite, 183, 101.0, body=ANSWER), AnswerMedia)
    machine.media(early.token, b"early", 101.1)
    final = only(machine.say(invite, 200, 102.0), AnswerMedia)
    assert (final.sdp, final.provisional) == (ANSWER, False)


def test_an_unusable_answer_hangs_the_vendor_up() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.0)), OfferMedia)
    invite = only(machine.media(offer.token, b"x", 100.1), Dial)
    answer = only(machine.say(invite, 200, 102.0, body=b"rubbish"), AnswerMedia)
    steps = machine.media(answer.token, b"", 102.1, error="codec_mismatch")
    assert kinds(steps) == ["Acknowledge", "B1 BYE", "A 488", "ReleaseCredit", "ReleaseMedia"]


def test_early_media_that_cannot_be_rewritten_rings_all_the_same() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.0)), OfferMedia)
    invite = only(machine.media(offer.token, b"x", 100.1), Dial)
    early = only(machine.say(invite, 180, 102.0, body=b"rubbish"), AnswerMedia)
    steps = machine.media(early.token, b"", 102.1, error="codec_mismatch")
    assert kinds(steps) == ["A 180", "CallRinging"]


def test_media_away_is_503() -> None:
    machine = Machine(candidate(1, media_proxy=True), candidate(2))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.0)), OfferMedia)
    machine.take(machine.call.on_media(offer.token, None, 100.1))
    machine.take(machine.call.on_media_stats(None, 100.2))
    machine.assert_ended(EndReason.MEDIA_UNAVAILABLE, 503)


def test_cancel_while_the_answer_is_rewritten_hangs_the_vendor_up() -> None:
    machine = Machine(candidate(media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.0)), OfferMedia)
    invite = only(machine.media(offer.token, b"x", 100.1), Dial)
    answer = only(machine.say(invite, 200, 102.0, body=ANSWER), AnswerMedia)
    steps = kinds(machine.take(machine.call.hang_up(EndReason.ADMIN_DISCONNECT, 102.1)))
    assert steps[:3] == ["Acknowledge", "B1 BYE", "A 503"]
    assert machine.media(answer.token, b"late", 102.2) == []


def test_late_rewriting_of_an_earlier_attempt_fits_nowhere() -> None:
    machine = Machine(candidate(1, media_proxy=True), candidate(2, media_proxy=True))
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    offer = only(machine.take(machine.call.on_credit(machine.credit, 100.0)), OfferMedia)
    invite = only(machine.media(offer.token, b"x", 100.1), Dial)
    early = only(machine.say(invite, 183, 101.0, body=ANSWER), AnswerMedia)
    machine.say(invite, 503, 101.1)
    assert machine.media(early.token, b"late", 101.2) == []


def test_silence_of_the_transport_after_giving_up_settles_the_record() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.take(machine.call.hang_up(EndReason.ADMIN_DISCONNECT, 101.0))
    machine.fail(invite.owner, 408, 103.0)
    machine.assert_ended(EndReason.ADMIN_DISCONNECT, 503)


def test_reasons_of_others() -> None:
    assert known_reason("no_rate") is EndReason.NO_RATE
    assert known_reason("whatever") is EndReason.INTERNAL_ERROR
