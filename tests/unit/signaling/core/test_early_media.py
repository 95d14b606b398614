"""What the customer hears before the answer."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.early_media import EarlyMedia
from services.signaling.core.commands import AnswerMedia, OfferMedia, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.early_media import EarlyDialogs, binds
from tests.support.signaling.machine import ANSWER, Machine, kinds, only, response_in
from tests.support.signaling.policies import Options, call

OTHER = ANSWER.replace(b"4000", b"6000")


def ladder(ringing: str, *responses: tuple[int, bytes]) -> list[tuple[int, bytes]]:
    """What the customer gets for these provisional responses."""
    machine = call({"early_media": {"ringing": ringing}})
    invite = machine.dial()
    for number, (status, sdp) in enumerate(responses):
        machine.say(invite, status, 101.0 + number, body=sdp)
    return got(machine)


def got(machine: Machine) -> list[tuple[int, bytes]]:
    responses = [response_in(one) for one in machine.history if isinstance(one, Respond)]
    return [(response.status, response.body) for response in responses]


RINGS = ((180, b""), (183, ANSWER), (180, b""), (182, b""))


@pytest.mark.parametrize(
    ("ringing", "heard"),
    [
        ("pass", [*RINGS]),
        ("183", [(180, b""), (183, ANSWER), (183, ANSWER), (183, ANSWER)]),
        ("180", [(180, b""), (180, ANSWER), (180, ANSWER), (180, ANSWER)]),
        ("180_without_sdp", [(180, b"")] * 4),
        ("none", []),
    ],
)
def test_ringing(ringing: str, heard: list[tuple[int, bytes]]) -> None:
    assert ladder(ringing, *RINGS) == heard


@pytest.mark.parametrize("ringing", ["none", "180_without_sdp", "180"])
def test_ringing_is_recorded_and_the_answer_unchanged_whatever_passes(ringing: str) -> None:
    machine = call({"early_media": {"ringing": ringing}})
    invite = machine.dial()
    said = machine.say(invite, 183, 101.0, body=ANSWER, headers=["P-Early-Media: sendrecv"])
    assert "CallRinging" in kinds(said)
    assert ("P-Early-Media" in str([one for one in said if isinstance(one, Respond)])) is (
        ringing == "180"
    )
    # the 200 has no SDP: the early one is the answer
    machine.say(invite, 200, 105.0)
    (answer,) = [one for one in machine.durable(105.0) if isinstance(one, Respond)]
    assert response_in(answer).body == ANSWER
    machine.ack(105.0)
    machine.caller_sends("BYE", 110.0)
    assert (machine.record.pdd_ms, machine.record.talk_ms) == (1000, 5000)


def forked(forks: str) -> list[tuple[int, str, bytes]]:
    machine = call({"early_media": {"forks": forks}})
    invite = machine.dial()
    machine.say(invite, 183, 101.0, tag="one", body=ANSWER)
    machine.say(invite, 183, 102.0, tag="two", body=OTHER)
    machine.say(invite, 180, 103.0, tag="two")
    machine.say(invite, 200, 104.0, tag="two", body=OTHER)
    machine.durable(104.0)
    responses = [response_in(one) for one in machine.history if isinstance(one, Respond)]
    return [(one.status, one.to_tag, one.body) for one in responses]


def test_forks_of_a_vendor_are_as_many_dialogs() -> None:
    assert forked("pass") == [
        (183, "tag1", ANSWER), (183, "tag1-1", OTHER), (180, "tag1-1", b""),
        (200, "tag1-1", OTHER),
    ]  # fmt: skip


def test_or_one_with_the_early_media_of_the_first() -> None:
    assert forked("one") == [
        (183, "tag1", ANSWER), (183, "tag1", b""), (180, "tag1", b""), (200, "tag1", OTHER),
    ]  # fmt: skip


def test_vendors_stay_apart_when_forks_do_not() -> None:
    machine = call({"early_media": {"forks": "one"}}, {}, {})
    invite = machine.dial()
    machine.say(invite, 183, 101.0, body=ANSWER)
    (second,) = [one for one in machine.say(invite, 503, 102.0) if isinstance(one, Dial)]
    machine.say(second, 183, 103.0, body=OTHER)
    responses = [response_in(one) for one in machine.history if isinstance(one, Respond)]
    assert [(one.to_tag, one.body) for one in responses] == [("tag1", ANSWER), ("tag1-1", OTHER)]


@pytest.mark.parametrize(
    ("after", "status", "sdp", "tries"),
    [
        ("never", 183, ANSWER, 2),
        ("sdp", 183, ANSWER, 1),
        ("sdp", 180, b"", 2),
        ("ringing", 180, b"", 1),
        ("ringing", 183, ANSWER, 1),
        ("ringing", 183, b"", 2),
    ],
)
def test_search_stops_once_media_or_ringing_was_heard(
    after: str, status: int, sdp: bytes, tries: int
) -> None:
    machine = call({"early_media": {"stop_hunting_after": after}}, {}, {})
    invite = machine.dial()
    machine.say(invite, status, 101.0, body=sdp)
    machine.say(invite, 503, 102.0)
    assert sum(isinstance(one, Dial) for one in machine.history) == tries
    if tries == 1:
        machine.assert_ended(EndReason.REJECTED, 503)


@pytest.mark.parametrize(
    ("is_asked", "heard", "tries"),
    [(True, (1,), 1), (True, (), 2), (True, (2,), 2), (False, (), 2)],
)
def test_search_stops_once_the_vendor_has_sent_audio(
    is_asked: bool, heard: tuple[int, ...], tries: int
) -> None:
    vendor: Options = {"early_media": {"stop_hunting_after_rtp": True}} if is_asked else {}
    machine = call({}, vendor, {}, media_proxy=True)
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    machine.take(machine.call.on_credit(machine.credit, 100.0))
    offer = machine.history[-1]
    assert isinstance(offer, OfferMedia)
    assert offer.awaits_rtp is is_asked
    invite = only(machine.media(offer.token, b"offer", 100.0), Dial)
    early = only(machine.say(invite, 183, 101.0, body=ANSWER), AnswerMedia)
    machine.media(early.token, b"answer", 101.0)
    for number in heard:
        machine.call.on_rtp(number)
    again = [one for one in machine.say(invite, 503, 102.0) if isinstance(one, OfferMedia)]
    assert 1 + len(again) == tries
    if again:
        assert not again[0].awaits_rtp, "the other vendor has no such option"
    else:
        machine.take(machine.call.on_media_stats(None, 102.0))
        machine.assert_ended(EndReason.REJECTED, 503)
    machine.call.on_rtp(1)  # late


def test_a_vendor_cannot_make_us_remember_dialogs_without_end() -> None:
    early = EarlyDialogs(EarlyMedia(ringing="183"))
    for number in range(40):
        early.pass_on(1, f"tag{number}", 183, ANSWER)
    assert early.pass_on(1, "tag1", 180, b"") == (183, ANSWER)
    assert early.pass_on(1, "tag39", 180, b"") == (180, b"")


def test_without_options_nothing_binds() -> None:
    assert not binds(None, 183, ANSWER)
    options: Options = {}
    assert got(call({"early_media": options})) == []
