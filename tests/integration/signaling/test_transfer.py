"""Transfers by REFER over real sockets: who talks to whom afterwards, and who pays for what."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from urllib.parse import quote

import pytest

from services.common.sip_options.transfer import Transfer
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.call import Call
from services.signaling.core.commands import FindRoutes
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import Candidate, Plan
from services.signaling.sip.build import response_to
from services.signaling.sip.message import Request
from tests.support.signaling.machine import ANSWER, OFFER
from tests.support.signaling.party import Party, message, on_uvloop, reply, until
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import (
    CALLER,
    VENDOR,
    LoopbackSwitch,
    running,
    to_vendor,
)

OTHER = "127.0.0.5"
STRANGER = "127.0.0.9"
HONOUR = CustomerTrunk(
    id="ctr_1", account_id="acc_1", sip=CustomerSip(transfer=Transfer(mode="honour"))
)
SDP_B = ANSWER.replace(b"o=a", b"o=b")
SDP_C = ANSWER.replace(b"o=a", b"o=c")
_calls = count(1)


class ByNumber(FixedPlanner):
    """Sends each number to a vendor of its own."""

    def __init__(self, vendors: dict[str, Candidate]) -> None:
        super().__init__()
        self._vendors = vendors

    def plan(
        self, question: FindRoutes, at_unix_ms: int, on_plan: Callable[[Plan | None], None]
    ) -> None:
        del at_unix_ms
        self.asked.append(question)
        vendor = self._vendors.get(question.called)
        if vendor is None:
            on_plan(Plan(account_id="acc_1", refused="no_route"))
        else:
            on_plan(Plan(account_id="acc_1", candidates=(vendor,)))


@dataclass
class Dialog:
    """The caller's side of one call."""

    stage: Stage
    call_id: str
    to_tag: str
    invite: Request
    """As the vendor received it."""
    cseq: int = 1

    def say(self, method: str, *headers: str, body: bytes = b"") -> None:
        self.cseq += 1
        data = message(
            self.stage.caller, method, self.stage.address, call_id=self.call_id,
            cseq=self.cseq, to_tag=self.to_tag, body=body,
        )  # fmt: skip
        lines = "".join(f"{header}\r\n" for header in headers).encode()
        data = data.replace(b"Max-Forwards", lines + b"Max-Forwards", 1)
        self.stage.caller.send(data, self.stage.address)

    async def refer(self, target: str, status: int = 202) -> None:
        self.say("REFER", f"Refer-To: <{target}>")
        await self.stage.caller.response(status)

    async def notified(self) -> str:
        """The next NOTIFY: its sipfrag and what is said of the subscription."""
        notify = await self.stage.caller.request("NOTIFY")
        assert notify.first("content-type") == "message/sipfrag;version=2.0"
        assert (notify.first("event") or "").startswith("refer;id=")
        self.stage.caller.send(response_to(notify, 200).data, self.stage.address)
        state = (notify.first("subscription-state") or "").partition(";")[0]
        return f"{notify.body.decode().split()[1]} {state}"


@dataclass
class Stage:
    """One customer and two vendors; 2000 is at the first, 3000 at the second."""

    caller: Party
    b: Party
    c: Party
    switch: LoopbackSwitch

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.switch.port)

    async def talk(self, number: str = "2000", vendor: Party | None = None) -> Dialog:
        """An answered call."""
        far, call_id = vendor or self.b, f"ref-{next(_calls)}"
        invite = message(
            self.caller, "INVITE", self.address, call_id=call_id, body=OFFER, number=number
        )
        self.caller.send(invite, self.address)
        received = await far.request("INVITE")
        sdp = SDP_B if far is self.b else SDP_C
        far.send(reply(far, received, 200, sdp), self.address)
        ok = await self.caller.response(200)
        await far.request("ACK")
        ack = message(
            self.caller, "ACK", self.address, call_id=call_id, to_tag=ok.to_tag, number=number
        )
        self.caller.send(ack, self.address)
        return Dialog(self, call_id, ok.to_tag, received)

    def answer(self, party: Party, request: Request, status: int = 200, body: bytes = b"") -> None:
        party.send(reply(party, request, status, body), self.address)

    async def hang_up(self, party: Party, invite: Request, cseq: int = 50) -> None:
        """The vendor that got ``invite`` sends BYE."""
        bye = message(
            party, "BYE", self.address, call_id=invite.call_id, cseq=cseq,
            from_tag="callee", to_tag=invite.from_tag,
        )  # fmt: skip
        party.send(bye, self.address)
        await party.response(200)

    async def over(self, calls: int) -> None:
        ended = self.switch.events
        await until(lambda: len(ended.ended) == calls and not self.switch.switch.calls)
        assert self.switch.context.transfers == {}
        assert self.switch.context.dialogs == {}
        assert self.switch.context.customer_limits.calls("ctr_1") == 0
        assert self.switch.observations.errors == []


@asynccontextmanager
async def stage(trunk: CustomerTrunk = HONOUR) -> AsyncIterator[Stage]:
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as b, Party.at(OTHER) as c:
        planner = ByNumber({"2000": to_vendor(b.address), "3000": to_vendor(c.address)})
        switch = LoopbackSwitch(planner)
        switch.switch.trunks = TrunkTable({CALLER: trunk}, vendor_hosts=[VENDOR, OTHER])
        with running(switch):
            yield Stage(caller, b, c, switch)


def calls_alive() -> int:
    return sum(isinstance(each, Call) for each in gc.get_objects())


async def to_answer(subject: Stage, dialog: Dialog) -> Request:
    """Transfer to 3000, up to its answer and the ACKs; the INVITE it got."""
    await dialog.refer("sip:3000@203.0.113.99")
    assert await dialog.notified() == "100 active"
    invite = await subject.c.request("INVITE")
    assert invite.body == b""
    subject.answer(subject.c, invite, 180)
    assert await dialog.notified() == "180 active"
    subject.answer(subject.c, invite, 200, SDP_C)
    again = await subject.b.request("INVITE")
    assert (again.body, again.to_tag) == (SDP_C, "callee")
    subject.answer(subject.b, again, 200, SDP_B)
    await subject.b.request("ACK")
    ack = await subject.c.request("ACK")
    assert ack.body == SDP_B
    return invite


@on_uvloop
async def test_a_blind_transfer_joins_transferee_and_target() -> None:
    async with stage() as subject:
        dialog = await subject.talk()
        invite = await to_answer(subject, dialog)
        assert await dialog.notified() == "200 terminated"
        bye = await subject.caller.request("BYE")
        subject.answer(subject.caller, bye)
        # What is asked inside either call reaches the other end.
        info = message(
            subject.c, "INFO", subject.address, call_id=invite.call_id, cseq=7,
            from_tag="callee", to_tag=invite.from_tag, body=b"Signal=5",
        )  # fmt: skip
        subject.c.send(info, subject.address)
        passed = await subject.b.request("INFO")
        assert passed.body == b"Signal=5"
        subject.answer(subject.b, passed)
        await subject.c.response(200)
        await subject.hang_up(subject.c, invite)
        bye = await subject.b.request("BYE")
        subject.answer(subject.b, bye)
        await subject.over(2)
        second, first = sorted(subject.switch.events.ended, key=lambda e: e.called, reverse=True)
        assert (first.called, second.called) == ("2000", "3000")
        assert second.sip_call_id == f"{first.call_id}.1@transfer"
        assert {first.customer_trunk_id, second.customer_trunk_id} == {"ctr_1"}
        assert second.caller == first.caller == "1000"
        assert [len(first.attempts), len(second.attempts)] == [1, 1]
        assert second.source == first.source
        assert (first.end_reason, second.end_reason) == ("normal", "normal")
        assert (first.end_side, second.end_side) == ("caller", "callee")


@on_uvloop
async def test_the_transferee_hangs_up_on_the_target() -> None:
    async with stage() as subject:
        dialog = await subject.talk()
        invite = await to_answer(subject, dialog)
        assert await dialog.notified() == "200 terminated"
        subject.answer(subject.caller, await subject.caller.request("BYE"))
        await subject.hang_up(subject.b, dialog.invite)
        bye = await subject.c.request("BYE")
        assert bye.call_id == invite.call_id
        subject.answer(subject.c, bye)
        await subject.over(2)


@on_uvloop
async def test_a_transferor_who_hangs_up_at_once() -> None:
    async with stage() as subject:
        dialog = await subject.talk()
        await dialog.refer("tel:3000")
        invite = await subject.c.request("INVITE")
        dialog.say("BYE")
        await until(lambda: not subject.b.nothing_came() or not subject.caller.nothing_came())
        subject.answer(subject.c, invite, 200, SDP_C)
        again = await subject.b.request("INVITE")
        subject.answer(subject.b, again, 200, SDP_B)
        await subject.c.request("ACK")
        await subject.hang_up(subject.b, dialog.invite)
        subject.answer(subject.c, await subject.c.request("BYE"))
        await subject.over(2)
        first = next(e for e in subject.switch.events.ended if e.called == "2000")
        assert first.end_side == "callee"


@pytest.mark.parametrize("status", [486, 503])
def test_a_target_that_refuses_leaves_the_old_call_as_it_was(status: int) -> None:
    @on_uvloop
    async def run() -> None:
        async with stage() as subject:
            dialog = await subject.talk()
            await dialog.refer("sip:3000@anywhere.example")
            assert await dialog.notified() == "100 active"
            invite = await subject.c.request("INVITE")
            subject.answer(subject.c, invite, status)
            assert await dialog.notified() == f"{status} terminated"
            dialog.say("INFO")
            passed = await subject.b.request("INFO")
            subject.answer(subject.b, passed)
            await subject.caller.response(200)
            dialog.say("BYE")
            subject.answer(subject.b, await subject.b.request("BYE"))
            await subject.over(2)

    run()


@on_uvloop
async def test_a_target_that_refuses_ends_the_call_of_a_transferor_who_has_gone() -> None:
    async with stage() as subject:
        dialog = await subject.talk()
        await dialog.refer("sip:3000@x")
        invite = await subject.c.request("INVITE")
        dialog.say("BYE")
        await until(lambda: not subject.caller.nothing_came())
        subject.answer(subject.c, invite, 486)
        subject.answer(subject.b, await subject.b.request("BYE"))
        await subject.over(2)


@on_uvloop
async def test_a_number_nobody_routes() -> None:
    async with stage() as subject:
        dialog = await subject.talk()
        await dialog.refer("sip:9999@x")
        assert await dialog.notified() == "100 active"
        assert await dialog.notified() == "503 terminated"
        dialog.say("BYE")
        subject.answer(subject.b, await subject.b.request("BYE"))
        await subject.over(2)


@on_uvloop
async def test_the_transferee_hangs_up_while_the_target_rings() -> None:
    async with stage() as subject:
        dialog = await subject.talk()
        await dialog.refer("sip:3000@x")
        invite = await subject.c.request("INVITE")
        subject.answer(subject.c, invite, 180)
        await until(lambda: not subject.caller.nothing_came())
        await subject.hang_up(subject.b, dialog.invite)
        cancel = await subject.c.request("CANCEL")
        subject.answer(subject.c, cancel)
        subject.answer(subject.c, invite, 487)
        subject.answer(subject.caller, await subject.caller.request("BYE"))
        await subject.over(2)


# --- attended ----------------------------------------------------------------------------


def replacing(dialog: Dialog, **changes: str) -> str:
    tags = {"to-tag": dialog.to_tag, "from-tag": "caller"} | changes
    call_id = tags.pop("call-id", dialog.call_id)
    named = ";".join([call_id, *(f"{k}={v}" if v else k for k, v in tags.items())])
    return f"sip:3000@x?Replaces={quote(named, safe='')}"


@on_uvloop
async def test_an_attended_transfer_joins_two_calls_of_one_customer() -> None:
    async with stage() as subject:
        one = await subject.talk()
        two = await subject.talk("3000", subject.c)
        await one.refer(replacing(two))
        assert await one.notified() == "100 active"
        again_c = await subject.c.request("INVITE")
        assert (again_c.body, again_c.to_tag) == (b"", "callee")
        subject.answer(subject.c, again_c, 200, SDP_C)
        again_b = await subject.b.request("INVITE")
        assert again_b.body == SDP_C
        subject.answer(subject.b, again_b, 200, SDP_B)
        await subject.b.request("ACK")
        assert (await subject.c.request("ACK")).body == SDP_B
        byes: dict[str, Request] = {}
        while len(byes) < 2:
            bye = await subject.caller.request("BYE")
            byes[bye.call_id] = bye
            subject.answer(subject.caller, bye)
        assert set(byes) == {one.call_id, two.call_id}
        await subject.hang_up(subject.b, one.invite)
        subject.answer(subject.c, await subject.c.request("BYE"))
        await subject.over(2)
        assert sorted(e.called for e in subject.switch.events.ended) == ["2000", "3000"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"to-tag": "wrong"}, "481"),
        ({"from-tag": "wrong"}, "481"),
        ({"call-id": "wrong"}, "481"),
        ({"early-only": ""}, "486"),
    ],
)
def test_only_the_dialog_named_exactly_is_replaced(changes: dict[str, str], status: str) -> None:
    @on_uvloop
    async def run() -> None:
        async with stage() as subject:
            one = await subject.talk()
            two = await subject.talk("3000", subject.c)
            await one.refer(replacing(two, **changes))
            seen = [await one.notified()]
            while "active" in seen[-1]:
                seen.append(await one.notified())
            assert seen[-1] == f"{status} terminated"
            for dialog, vendor in ((one, subject.b), (two, subject.c)):
                dialog.say("BYE")
                subject.answer(vendor, await vendor.request("BYE"))
            await subject.over(2)

    run()


@on_uvloop
async def test_a_call_of_somebody_else_is_not_replaced() -> None:
    async with stage() as subject:
        one = await subject.talk()
        two = await subject.talk("3000", subject.c)
        for call in subject.switch.switch.calls.values():
            if call.record.called == "3000":
                call.record.account_id = "acc_other"
        await one.refer(replacing(two))
        assert await one.notified() == "100 active"
        assert await one.notified() == "481 terminated"
        for dialog, vendor in ((one, subject.b), (two, subject.c)):
            dialog.say("BYE")
            subject.answer(vendor, await vendor.request("BYE"))
        await subject.over(2)


@on_uvloop
async def test_replaces_outside_a_refer_is_refused() -> None:
    async with stage() as subject:
        one = await subject.talk()
        invite = message(
            subject.caller, "INVITE", subject.address, call_id="thief", body=OFFER, number="3000"
        )
        replaces = f"Replaces: {one.call_id};to-tag={one.to_tag};from-tag=caller\r\n".encode()
        subject.caller.send(
            invite.replace(b"Max-Forwards", replaces + b"Max-Forwards"), subject.address
        )
        await subject.caller.response(481)
        one.say("BYE")
        subject.answer(subject.b, await subject.b.request("BYE"))
        await subject.over(2)


# --- who may -----------------------------------------------------------------------------


@on_uvloop
async def test_refer_is_405_where_the_trunk_does_not_honour_it() -> None:
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1")
    async with stage(trunk) as subject:
        dialog = await subject.talk()
        await dialog.refer("sip:3000@x", 405)
        dialog.say("BYE")
        subject.answer(subject.b, await subject.b.request("BYE"))
        await subject.over(1)


@on_uvloop
async def test_refer_of_the_vendor_or_of_a_stranger_is_refused() -> None:
    async with stage() as subject, Party.at(STRANGER) as stranger:
        dialog = await subject.talk()
        refer = message(
            subject.b, "REFER", subject.address, call_id=dialog.invite.call_id, cseq=9,
            from_tag="callee", to_tag=dialog.invite.from_tag,
        )  # fmt: skip
        refer = refer.replace(b"Max-Forwards", b"Refer-To: <sip:3000@x>\r\nMax-Forwards")
        subject.b.send(refer, subject.address)
        await subject.b.response(405)
        stolen = message(
            stranger, "REFER", subject.address, call_id=dialog.call_id, cseq=9,
            to_tag=dialog.to_tag,
        )  # fmt: skip
        stolen = stolen.replace(b"Max-Forwards", b"Refer-To: <sip:3000@x>\r\nMax-Forwards")
        stranger.send(stolen, subject.address)
        await stranger.response(481)
        dialog.say("BYE")
        subject.answer(subject.b, await subject.b.request("BYE"))
        await subject.over(1)


@on_uvloop
async def test_a_finished_transfer_leaves_no_cycle() -> None:
    async with stage() as subject:
        dialog = await subject.talk()
        invite = await to_answer(subject, dialog)
        assert await dialog.notified() == "200 terminated"
        subject.answer(subject.caller, await subject.caller.request("BYE"))
        gc.collect()
        before = calls_alive()
        gc.disable()
        try:
            await subject.hang_up(subject.c, invite)
            subject.answer(subject.b, await subject.b.request("BYE"))
            await subject.over(2)
            assert calls_alive() == before - 2
        finally:
            gc.enable()
