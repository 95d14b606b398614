"""Requests of who is not who he should be: nothing is done for him, and no call is hurt.

Raw bytes go into a whole switch; what comes out, and what lives on, is looked at.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

import pytest

from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import CallState
from services.signaling.sip.actions import Peer
from services.signaling.sip.message import Request, Response, parse
from tests.bench import bench_signaling as messages
from tests.bench.bench_signaling import CALLER, VENDOR, Bench

STRANGER = Peer("udp", "203.0.113.66", 5060, 1)
OUTSIDE = ("MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "INFO", "UPDATE", "REGISTER",
           "PRACK", "BYE")  # fmt: skip


def on_loop(test: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: object, **named: object) -> None:
        async def inside() -> None:
            test(*args, **named)

        asyncio.run(inside())

    return run


def request(
    method: str,
    *,
    call_id: str = "nobody@127.0.0.1",
    from_tag: str = "t",
    to_tag: str = "",
    cseq: int = 9,
    branch: str = "z9hG4bKimpostor",
    body: bytes = b"",
    extra: str = "",
) -> bytes:
    to = f"To: <sip:2000@{messages.HOST}>" + (f";tag={to_tag}" if to_tag else "")
    head = (
        f"{method} sip:2000@{messages.HOST} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:25070;branch={branch}{method}\r\n"
        f"From: <sip:sipp@127.0.0.1>;tag={from_tag}\r\n{to}\r\nCall-ID: {call_id}\r\n"
        f"CSeq: {cseq} {method}\r\nContact: <sip:sipp@127.0.0.1:25070>\r\nMax-Forwards: 70\r\n"
        f"{extra}Content-Length: {len(body)}\r\n"
    )
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return f"{head}{kind}\r\n".encode() + body


def statuses(sent: list[bytes]) -> list[int]:
    return [m.status for m in map(parse, sent) if isinstance(m, Response) and m.status > 100]


def forwarded(sent: list[bytes]) -> list[str]:
    return [m.method for m in map(parse, sent) if isinstance(m, Request)]


def bench(*, reply_to_unknown: bool = False) -> Bench:
    subject = Bench()
    subject.switch.trunks = TrunkTable(
        {CALLER.host: CustomerTrunk(id="ctr_1", account_id="acc_1")},
        reply_to_unknown=reply_to_unknown,
    )
    return subject


# --- bug class 7: methods that nobody may use without a dialog ---------------------------


@pytest.mark.parametrize("method", OUTSIDE)
@on_loop
def test_bug_class_7_a_method_outside_a_dialog_is_refused_even_to_a_customer(method: str) -> None:
    subject = bench()
    extra = "Event: presence\r\nRefer-To: <sip:9@x>\r\nExpires: 60\r\nRAck: 1 1 INVITE\r\n"
    sent = subject.feed(request(method, extra=extra, body=b"x"), CALLER)
    assert statuses(sent)[0] in (401, 403, 405, 415, 481)
    assert forwarded(sent) == []
    assert subject.switch.calls == {}


@pytest.mark.parametrize("method", [*OUTSIDE, "INVITE", "OPTIONS"])
@on_loop
def test_bug_class_7_a_stranger_hears_nothing(method: str) -> None:
    subject = bench()
    assert subject.feed(request(method), STRANGER) == []
    assert subject.switch.counters.unknown_dropped == 1


@pytest.mark.parametrize("method", OUTSIDE)
@on_loop
def test_bug_class_7_a_stranger_who_is_answered_learns_nothing(method: str) -> None:
    subject = bench(reply_to_unknown=True)
    sent = subject.feed(request(method), STRANGER)
    assert statuses(sent)[0] in (401, 403, 405, 481)
    assert forwarded(sent) == []
    assert not any(b"Tandem" in data for data in sent)


@pytest.mark.parametrize(
    "method", ["MESSAGE", "INFO", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE", "PUBLISH"]
)
@on_loop
def test_bug_class_7_in_the_dialog_of_somebody_else(method: str) -> None:
    subject = bench()
    tag = to_tag_of(subject)
    extra = "Event: refer\r\nRefer-To: <sip:9@x>\r\n"
    stolen = request(method, call_id="1-1@127.0.0.1", from_tag="t1", to_tag=tag, extra=extra)
    sent = subject.feed(stolen, STRANGER)
    assert statuses(sent)[0] in (405, 481)
    assert forwarded(sent) == []
    assert lives(subject)


# --- bug class 28: Call-ID known, the rest guessed ---------------------------------------


def to_tag_of(subject: Bench) -> str:
    """The tag we gave to the caller of call 1, now answered."""
    ok = parse(subject.answered(1)[0])
    assert isinstance(ok, Response)
    return ok.to_tag


def lives(subject: Bench) -> bool:
    (call,) = subject.switch.calls.values()
    return call.state is CallState.ANSWERED


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO"])
@pytest.mark.parametrize(
    ("tags", "source"),
    [
        ({"from_tag": "wrong"}, CALLER),
        ({"to_tag": "wrong"}, CALLER),
        ({"call_id": "2-1@127.0.0.1"}, CALLER),
        ({}, STRANGER),
    ],
)
@on_loop
def test_bug_class_28_who_does_not_fit_gets_481_and_the_call_lives(
    method: str, tags: dict[str, str], source: Peer
) -> None:
    subject = bench()
    facts = {"call_id": "1-1@127.0.0.1", "from_tag": "t1", "to_tag": to_tag_of(subject)} | tags
    body = messages.SDP if method in ("INVITE", "UPDATE") else b""
    sent = subject.feed(request(method, body=body, **facts), source)  # type: ignore[arg-type]
    assert statuses(sent) == [481]
    assert forwarded(sent) == []
    assert lives(subject)


@on_loop
def test_bug_class_28_a_cancel_needs_branch_and_source() -> None:
    subject = bench()
    raw = messages._invite(1)
    subject.feed(raw, CALLER)
    cancel = raw.replace(b"INVITE sip", b"CANCEL sip").replace(b"1 INVITE", b"1 CANCEL")
    cancel = cancel[: cancel.index(b"Content-Type")] + b"Content-Length: 0\r\n\r\n"
    guessed = cancel.replace(b"branch=z9hG4bK-i-1", b"branch=z9hG4bK-i-2")
    assert statuses(subject.feed(guessed, CALLER)) == [481]
    subject.switch.trunks = TrunkTable(
        {"127.0.0.1": CustomerTrunk(id="ctr_1", account_id="acc_1")}, reply_to_unknown=True
    )
    assert statuses(subject.feed(cancel, STRANGER)) == [481]
    (call,) = subject.switch.calls.values()
    assert call.state is CallState.DIALLING
    assert statuses(subject.feed(cancel, CALLER)) == [200, 487]


@on_loop
def test_bug_class_28_a_response_needs_our_branch() -> None:
    subject = bench()
    invite = subject.feed(messages._invite(1), CALLER)[-1]
    forged = messages._reply(invite, b"200 OK", messages.SDP)
    branch = parse(invite).via.branch.encode()
    assert subject.feed(forged.replace(branch, b"z9hG4bKguess"), STRANGER) == []
    (call,) = subject.switch.calls.values()
    assert call.state is CallState.DIALLING


@on_loop
def test_the_vendor_s_own_bye_still_ends_the_call() -> None:
    subject = bench()
    _, invite = subject.answered(1)
    ours = parse(invite)
    vendor_tag = "vendor" + ours.call_id[:8]
    bye = request("BYE", call_id=ours.call_id, from_tag=vendor_tag, to_tag=ours.from_tag)
    assert statuses(subject.feed(bye, VENDOR)) == [200]
