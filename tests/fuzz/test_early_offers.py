"""The same courses between parties who ring reliably, offer early and update before the answer."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, ClassVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.sip_options.reliable import Reliable
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.sip.message import Request, Response, parse
from tests.fuzz.course import Course
from tests.fuzz.scene import STEPS, Scene
from tests.fuzz.slow import VENDOR_HOST
from tests.fuzz.wire import SDP, in_dialog

RELIABLE = Reliable(mode="supported")
TAKES = b"\r\nSupported: 100rel\r\nAllow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"


class RingingScene(Scene):
    """A scene whose INVITEs and ringing speak of 100rel, and are acknowledged by PRACK."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: Counter[bytes] = Counter()
        self.updates = 0

    def deliver(self, data: bytes, source: Any) -> None:
        if data.startswith(b"INVITE "):
            data = data.replace(b"\r\nCSeq", TAKES + b"\r\nCSeq", 1)
        elif data.startswith(b"SIP/2.0 18") and source.host == VENDOR_HOST:
            about = re.search(rb"\r\nTo: .*", data)
            tag = about[0] if about else b""
            self.numbers[tag] += 1
            lines = TAKES + b"\r\nRequire: 100rel\r\nRSeq: %d" % self.numbers[tag]
            data = data.replace(b"\r\nCSeq", lines + b"\r\nCSeq", 1)
        super().deliver(data, source)

    def acknowledge(self, course: Course) -> None:
        """The caller acknowledges reliable ringing, with SDP or without."""
        found = [sent for sent in self.sent if b"\r\nRSeq: " in sent.data]
        if not found:
            return
        about = found[-1 - course.below(len(found)) if course.chance(3) else -1]
        rung = parse(about.data)
        assert isinstance(rung, Response)
        body = SDP if course.byte() % 2 else b""
        prack = in_dialog(about.data, "PRACK", 1 + self.updates, body)
        rack = f"RAck: {rung.first('rseq')} {rung.cseq.number} INVITE\r\nCSeq: ".encode()
        self._perhaps_damaged(course, prack.replace(b"CSeq: ", rack, 1), about.peer)

    def update(self, course: Course) -> None:
        """Either party offers."""
        found = [sent for sent in self.sent if not sent.data.startswith((b"ACK", b"CANCEL"))]
        if not found:
            return
        about = found[-1 - course.below(len(found))]
        self.updates += 1
        data = in_dialog(about.data, "UPDATE", 2 + self.updates, SDP)
        if data:
            self._perhaps_damaged(course, data, about.peer)

    def agree(self, course: Course) -> None:
        """An UPDATE of ours is answered."""
        found = [sent for sent in self.sent if sent.data.startswith(b"UPDATE ")]
        if not found:
            return
        asked = parse(found[-1].data)
        assert isinstance(asked, Request)
        status = course.pick((200, 200, 200, 491, 488, 481, 504))
        lines = [f"SIP/2.0 {status} x", *(f"Via: {via}" for via in asked.headers("via"))]
        lines += [f"{name}: {asked.first(name.lower())}" for name in ("From", "To", "Call-ID")]
        lines += [f"CSeq: {asked.cseq.number} UPDATE", "Content-Type: application/sdp"]
        body = SDP if status == 200 else b""
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        self._perhaps_damaged(course, head.encode("latin-1") + body, found[-1].peer)

    steps: ClassVar[tuple[Any, ...]] = (
        *STEPS, acknowledge, update, agree, acknowledge, update, agree, acknowledge,
        Scene.answer_question, Scene.answer_question, Scene.respond,
    )  # fmt: skip


INVITE, LATE = b"\x00\x00\x00\x00", b"\x00\x01\x00\x00"
YES, PROXY = b"\x01\x00\x00", b"\x01\x00\x82"
RING = b"\x02\x00\x02\x00\x01\x00"
PRACK = bytes((len(STEPS), 0, 1, 0))
COURSES = (
    INVITE + YES + YES + RING + PRACK,
    INVITE + PROXY + YES + YES + RING + YES + PRACK,
    LATE + YES + YES + RING + PRACK,
    LATE + PROXY + YES + RING + YES + PRACK + YES,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(COURSES), st.binary(max_size=200), st.booleans())
def test_early_offers_break_nothing(course: bytes, tail: bytes, takes: bool) -> None:
    scene = RingingScene()
    customer = CustomerSip(reliable=RELIABLE if takes else Reliable())
    scene.switch.trunks = TrunkTable(
        {"127.0.0.1": CustomerTrunk(id="ctr_1", account_id="acc_1", sip=customer)},
        vendors={f"vtr_{number}": VendorSip(reliable=RELIABLE) for number in range(4)},
        vendor_hosts=[VENDOR_HOST],
    )
    scene.play(course + tail)
