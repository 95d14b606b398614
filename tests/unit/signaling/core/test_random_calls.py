"""Calls with everything switched on, and parties who say anything at any time.

Whatever happens: no exception, one record, and nothing left once time has passed.
"""

from __future__ import annotations

from random import Random

import pytest

from services.common.causes import EndReason
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.transfer import Transfer
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import (
    AnswerMedia,
    Command,
    Extend,
    OfferMedia,
    Persist,
    Respond,
)
from services.signaling.core.commands import Request as Dial
from services.signaling.core.loop import LOOP, Onward
from services.signaling.core.values import Credit
from services.signaling.sip.refer import Replaces
from tests.support.signaling.machine import (
    ANSWER,
    CALLER,
    OFFER,
    STRANGER,
    Machine,
    kinds,
    response_in,
    wire_request,
)
from tests.support.signaling.options import machine

TIMER = SessionTimer(mode="request", expires_s=90, probe_s=30)
NEAR = CustomerSip(
    reliable=Reliable(mode="supported"), session_timer=TIMER, transfer=Transfer(mode="honour")
)
FAR = VendorSip(reliable=Reliable(mode="supported"), session_timer=TIMER)
ALLOW = "Allow: INVITE, ACK, BYE, UPDATE, PRACK"
METHODS = ("INVITE", "UPDATE", "INFO", "BYE", "OPTIONS", "PRACK", "REFER", "MESSAGE")
STATUSES = (100, 180, 183, 183, 200, 200, 202, 404, 408, 422, 481, 486, 488, 491, 500, 503)


class Walk:
    """One call, and what may happen to it next."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        choose = self.random.choice
        headers = [
            "Supported: 100rel, timer", choose(["Session-Expires: 90", "Subject: x"]),
            choose([ALLOW, ALLOW, "Subject: y"]),
        ]  # fmt: skip
        self.machine: Machine = machine(
            customer=NEAR, vendor=FAR, media_proxy=choose([True, False]),
            invite=wire_request("INVITE", body=choose([OFFER, OFFER, b""]), headers=headers),
        )  # fmt: skip
        self.now = 100.0
        self.keys = 0
        self.requests: list[Dial] = []
        self.media: list[int] = []
        self.take(self.machine.start())
        self.take(self.machine.take(self.machine.call.on_plan(self.machine.plan, 100.0)))
        self.take(self.machine.take(self.machine.call.on_credit(self.machine.credit, 100.0)))
        begin = choose([self.begin, self.begin, self.ring, None])
        if begin is not None:
            begin()

    def ring(self) -> None:
        """Some have agreed on a session before the answer."""
        while self.media:
            self.take(self.machine.media(self.media.pop(), ANSWER, self.now))
        headers = ["Require: 100rel", "RSeq: 1", ALLOW]
        ringing = self.machine.say(self.requests[0], 183, self.now, body=ANSWER, headers=headers)
        self.take(ringing)
        while self.media:
            self.take(self.machine.media(self.media.pop(), ANSWER, self.now))
        self.take(self.pracks())

    def begin(self) -> None:
        """Two of three calls are answered before anything strange happens."""
        while self.media:
            self.take(self.machine.media(self.media.pop(), ANSWER, self.now))
        granted = ["Session-Expires: 90;refresher=uac", "Allow: UPDATE"]
        response = self.machine.say(self.requests[0], 200, self.now, body=ANSWER, headers=granted)
        self.take(response)
        while self.media:
            self.take(self.machine.media(self.media.pop(), ANSWER, self.now))
        self.take(self.machine.ack(self.now, body=ANSWER))

    def take(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Dial):
                self.requests.append(command)
            elif isinstance(command, (OfferMedia, AnswerMedia)):
                self.media.append(command.token)
            elif isinstance(command, Respond):
                response_in(command)  # what we say can be read
            elif isinstance(command, Persist) and self.random.random() < 0.9:
                self.take(self.machine.durable(self.now))
            elif isinstance(command, Extend):
                more = Credit(reservation_id="r", paid_ms=command.paid_ms + 60_000)
                self.machine.call.on_extended(more, self.now)

    def step(self) -> None:
        self.now += self.random.choice([0.0, 0.1, 0.5, 5.0])
        what = self.random.choice(
            [self.vendor_responds, self.vendor_responds, self.vendor_responds, self.vendor_agrees,
             self.vendor_agrees, self.caller_asks, self.callee_asks, self.media_answers,
             self.media_answers, self.time_passes, self.acks, self.acks, self.gives_up,
             self.enters, self.pracks, self.fails, self.refers]
        )  # fmt: skip
        self.take(what())

    def vendor_agrees(self) -> list[Command]:
        """The last thing we asked is accepted."""
        if not self.requests:
            return []
        request = self.requests[-1]
        body = ANSWER if request.draft.method in ("INVITE", "UPDATE") else b""
        return self.machine.reply(request, 200, self.now, body=body)

    def refers(self) -> list[Command]:
        headers = ["Refer-To: <sip:3000@x>"]
        return self.machine.caller_sends("REFER", self.now, headers=headers, key=self._key())

    def vendor_responds(self) -> list[Command]:
        if not self.requests:
            return []
        request = self.random.choice(self.requests[-6:])
        status = self.random.choice(STATUSES)
        headers = self.random.choice(
            [[], ["Require: 100rel", f"RSeq: {self.random.randint(1, 3)}", ALLOW], ["Min-SE: 120"],
             ["Session-Expires: 90;refresher=uas", "Allow: UPDATE"]]
        )  # fmt: skip
        body = self.random.choice([b"", ANSWER])
        if request.draft.method == "INVITE" and status == 202:
            status = 200
        if request.leg.startswith("B") and request.draft.method == "INVITE":
            tag = self.random.choice(["callee", "callee", "fork"])
            return self.machine.say(request, status, self.now, body=body, headers=headers, tag=tag)
        return self.machine.reply(request, status, self.now, body=body, headers=headers)

    def fails(self) -> list[Command]:
        if not self.requests or self.random.random() < 0.9:
            return []
        request = self.random.choice(self.requests[-4:])
        return self.machine.fail(request.owner, self.random.choice([408, 503]), self.now)

    def _said(self) -> tuple[str, list[str], bytes]:
        method = self.random.choice(METHODS)
        headers = {
            "REFER": ["Refer-To: <sip:3000@x>"],
            "PRACK": [f"RAck: {self.random.randint(1, 9)} 1 INVITE"],
        }.get(method, self.random.choice([[], ["Session-Expires: 90", "Supported: timer"]]))
        body = self.random.choice([b"", OFFER]) if method != "REFER" else b""
        if method == "BYE" and self.random.random() < 0.9:
            method = "INFO"
        return method, headers, body

    def _key(self) -> str:
        self.keys += 1
        return f"in{self.keys}"

    def caller_asks(self) -> list[Command]:
        method, headers, body = self._said()
        tag = self.random.choice(["tag1", "tag1", "tag1-1", "tag1-t1", "other"])
        source = self.random.choice([CALLER, CALLER, CALLER, STRANGER])
        return self.machine.caller_sends(
            method, self.now, body=body, headers=headers, key=self._key(), to_tag=tag,
            source=source,
        )  # fmt: skip

    def callee_asks(self) -> list[Command]:
        invite = next((r for r in self.requests if r.leg == "B1"), None)
        if invite is None:
            return []
        method, headers, body = self._said()
        return self.machine.callee_sends(
            invite, method, self.now, body=body, headers=headers, key=self._key()
        )

    def pracks(self) -> list[Command]:
        given = [c for c in self.machine.history if isinstance(c, Respond) and c.reply.rseq]
        if not given:
            return []
        rack = f"RAck: {given[-1].reply.rseq} 1 INVITE"
        return self.machine.caller_sends(
            "PRACK", self.now, headers=[rack], key=self._key(), to_tag=given[-1].reply.to_tag,
            body=self.random.choice([b"", ANSWER, ANSWER]),
        )  # fmt: skip

    def media_answers(self) -> list[Command]:
        if not self.media:
            return []
        token = self.media.pop()
        error = self.random.choice(["", "", "", "codec_mismatch"])
        return self.machine.media(token, b"" if error else ANSWER, self.now, error=error)

    def time_passes(self) -> list[Command]:
        deadline = self.machine.call.deadline
        if deadline < float("inf"):
            self.now = max(self.now, deadline)
        return self.machine.take(self.machine.call.on_timer(self.now))

    def acks(self) -> list[Command]:
        key = self.random.choice(["invite", f"in{self.keys}"])
        return self.machine.ack(self.now, key=key, body=self.random.choice([b"", ANSWER]))

    def gives_up(self) -> list[Command]:
        call, roll = self.machine.call, self.random.random()
        if roll < 0.1:
            return self.machine.take(call.on_cancel(wire_request("CANCEL"), "invite", self.now))
        if roll < 0.15:
            return self.machine.take(call.hang_up(EndReason.NO_PRACK, self.now))
        if roll < 0.2:
            return self.machine.take(call.on_no_ack("invite", self.now))
        return []

    def enters(self) -> list[Command]:
        if self.random.random() < 0.7:
            return []
        named = Replaces("ingress@192.0.2.10", "tag1", "caller", early_only=False)
        self.machine.context.transfers["x@transfer"] = Onward("ctr_1", "acc_1", "", named)
        invite = wire_request("INVITE", call_id="x@transfer", from_tag=self._key())
        return self.machine.take(
            self.machine.call.on_request(invite, f"in{self.keys}", LOOP, self.now)
        )

    def finish(self) -> None:
        """Everybody is silent from now on: what waits is told so, and time passes."""
        ended = self.machine.call.hang_up(EndReason.ADMIN_DISCONNECT, self.now)
        self.take(self.machine.take(ended))
        self.take(self.machine.take(self.machine.call.on_no_ack("invite", self.now + 32.0)))
        for request in list(self.requests):
            self.take(self.machine.fail(request.owner, 408, self.now + 33.0))
        self.take(self.machine.take(self.machine.call.on_media_stats(None, self.now + 34.0)))
        self.take(self.machine.take(self.machine.call.on_timer(self.now + 100.0)))


@pytest.mark.parametrize("block", range(10))
def test_whatever_is_said_and_whenever(block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        walk = Walk(seed)
        for _ in range(40):
            walk.step()
        walk.finish()
        told = kinds(walk.machine.history)
        assert told.count("CallEnded") == 1, seed
        assert told.count("Finished") == 1, (seed, told[-12:])
        assert told.count("Persist") <= 1, seed
        assert walk.machine.record.talk_ms >= 0
        assert walk.machine.context.dialogs == {}
        assert walk.machine.context.customer_limits.calls("ctr_1") == 0
        assert walk.machine.context.vendor_limits.calls("vtr_1") == 0
        finals = [
            c.reply.status for c in walk.machine.history
            if isinstance(c, Respond) and c.key == "invite" and c.reply.status >= 200
        ]  # fmt: skip
        assert len(finals) == 1, (seed, finals)
