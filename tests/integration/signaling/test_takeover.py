"""One switch dies, another takes its calls over at the same address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from services.common.causes import EndReason
from services.signaling.core.takeover import Left
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.message import Request
from tests.support.signaling.machine import ANSWER, OFFER
from tests.support.signaling.party import Party, Talk, message, on_uvloop, reply, until
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import (
    CALLER,
    TABLE,
    VENDOR,
    LoopbackSwitch,
    to_vendor,
)


class Lives:
    """A switch, and those that come after it."""

    def __init__(self, caller: Party, vendor: Party) -> None:
        self.caller = caller
        self.vendor = vendor
        self.now = self._born(0, None)
        self.talk = Talk(caller, vendor, ("127.0.0.1", self.now.port))

    def _born(self, port: int, before: LoopbackSwitch | None) -> LoopbackSwitch:
        switch = LoopbackSwitch(
            FixedPlanner(to_vendor(self.vendor.address)),
            port=port,
            left=before.journal.left() if before else None,
        )
        switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR])
        switch.start()
        return switch

    def die(self) -> None:
        """Kill the switch; another starts."""
        before = self.now
        before.close()
        self.now = self._born(before.port, before)


@asynccontextmanager
async def lives() -> AsyncIterator[Lives]:
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        each = Lives(caller, vendor)
        try:
            yield each
        finally:
            each.now.close()
        assert each.now.observations.errors == []


@on_uvloop
async def test_the_vendor_hangs_up_after_the_switch_has_died() -> None:
    async with lives() as each:
        await each.talk.ring()
        await each.talk.answer()
        await until(lambda: not each.now.switch._invites)
        each.die()
        assert len(each.now.switch.calls) == 1
        invite = each.talk.invite
        assert invite is not None
        each.vendor.send(
            message(
                each.vendor,
                "BYE",
                each.talk.switch,
                call_id=invite.call_id,
                to_tag=invite.from_tag,
                from_tag="callee",
            ),
            each.talk.switch,
        )
        bye = await each.caller.request("BYE")
        each.caller.send(reply(each.caller, bye, 200), each.talk.switch)
        await until(lambda: not each.now.switch.calls)
        (record,) = each.now.events.ended
        assert (record.end_reason, record.end_side) == (EndReason.NORMAL, "callee")
        assert each.now.journal.left() == Left([], [])
        assert each.now.context.dialogs == {}


@on_uvloop
async def test_a_200_that_was_not_acknowledged_is_sent_again_by_the_next_process() -> None:
    async with lives() as each:
        await each.talk.ring()
        assert each.talk.invite is not None
        ok = reply(each.vendor, each.talk.invite, 200, ANSWER)
        each.vendor.send(ok, each.talk.switch)
        first = await each.caller.response(200)
        await each.vendor.request("ACK")
        each.die()
        again = await each.caller.response(200)
        assert (again.to_tag, again.body) == (first.to_tag, first.body)
        each.talk.to_tag = again.to_tag
        # Whoever repeats himself is not taken for somebody new.
        each.vendor.send(ok, each.talk.switch)
        await each.vendor.request("ACK")
        each.talk.say("ACK", 1)
        await until(lambda: not each.now.switch._invites)
        await each.talk.hang_up()
        await until(lambda: not each.now.switch.calls)
        assert len(each.now.events.ended) == 1


@on_uvloop
async def test_a_repeated_invite_of_an_answered_call_makes_no_second_one() -> None:
    async with lives() as each:
        invite = message(
            each.caller, "INVITE", each.talk.switch, call_id="c", body=OFFER, branch="same"
        )
        each.caller.send(invite, each.talk.switch)
        heard = await each.vendor.request("INVITE")
        each.vendor.send(reply(each.vendor, heard, 200, ANSWER), each.talk.switch)
        await each.caller.response(200)
        each.die()
        await each.caller.response(200)
        each.caller.send(invite, each.talk.switch)
        each.caller.send(invite, each.talk.switch)
        await each.caller.response(200)
        assert each.now.switch.counters.invites == 0


@on_uvloop
async def test_in_dialog_requests_find_their_call_twice_over() -> None:
    async with lives() as each:
        await each.talk.ring()
        await each.talk.answer()
        await until(lambda: not each.now.switch._invites)
        each.die()
        each.die()
        for cseq, method in ((2, "OPTIONS"), (3, "INFO")):
            each.talk.say(method, cseq)
            if method == "INFO":
                info = await each.vendor.request("INFO")
                each.vendor.send(reply(each.vendor, info, 200), each.talk.switch)
            await each.caller.response(200)
        each.talk.say("BYE", 4)
        bye = await each.vendor.request("BYE")
        each.vendor.send(reply(each.vendor, bye, 200), each.talk.switch)
        await each.caller.response(200)
        await until(lambda: not each.now.switch.calls)
        each.talk.say("BYE", 5)
        assert (await each.caller.response(481)).status == 481


@on_uvloop
async def test_a_call_whose_audio_is_lost_ends() -> None:
    async with lives() as each:
        await each.talk.ring()
        await each.talk.answer()
        (call,) = each.now.switch.calls.values()
        call.has_media = True
        each.now.media.is_known = False
        each.now.takeover.attach()
        ends = [await each.caller.request("BYE"), await each.vendor.request("BYE")]
        for party, bye in zip((each.caller, each.vendor), ends, strict=True):
            assert isinstance(bye, Request)
            party.send(reply(party, bye, 200), each.talk.switch)
        await until(lambda: not each.now.switch.calls)
        assert each.now.events.ended[0].end_reason == EndReason.MEDIA_UNAVAILABLE


@on_uvloop
async def test_a_call_that_rang_is_refused_on_one_side_and_cancelled_on_the_other() -> None:
    async with lives() as each:
        await each.talk.ring()
        assert each.talk.invite is not None
        each.die()
        assert (await each.caller.response(503)).to_tag
        cancel = await each.vendor.request("CANCEL")
        assert cancel.via.branch == each.talk.invite.via.branch
        assert cancel.uri == each.talk.invite.uri
        each.vendor.send(reply(each.vendor, cancel, 200), each.talk.switch)
        each.vendor.send(reply(each.vendor, each.talk.invite, 487), each.talk.switch)
        await each.vendor.request("ACK")
        (record,) = each.now.events.ended
        assert (record.end_reason, record.sip_code_out) == (EndReason.NODE_SHUTDOWN, 503)
        assert (record.caller, record.called) == ("1000", "2000")
        assert record.customer_trunk_id == "ctr_1"
        assert record.sip_call_id == each.talk.call_id
        assert each.now.journal.left() == Left([], [])
        assert each.now.switch.calls == {}


@on_uvloop
async def test_a_vendor_that_answers_nobody_s_call_any_more_is_hung_up() -> None:
    async with lives() as each:
        await each.talk.ring()
        assert each.talk.invite is not None
        each.die()
        await each.caller.response(503)
        each.vendor.send(reply(each.vendor, each.talk.invite, 200, ANSWER), each.talk.switch)
        await each.vendor.request("ACK")
        bye = await each.vendor.request("BYE")
        each.vendor.send(reply(each.vendor, bye, 200), each.talk.switch)
        assert len(each.now.events.ended) == 1


@on_uvloop
async def test_a_call_that_failed_leaves_nothing_behind() -> None:
    async with lives() as each:
        await each.talk.ring()
        assert each.talk.invite is not None
        each.vendor.send(reply(each.vendor, each.talk.invite, 486), each.talk.switch)
        await each.caller.response(486)
        await until(lambda: not each.now.switch.calls)
        assert each.now.journal.left() == Left([], [])


@on_uvloop
async def test_a_call_that_makes_no_sense_costs_the_others_nothing() -> None:
    async with lives() as each:
        await each.talk.ring()
        await each.talk.answer()
        await until(lambda: not each.now.switch._invites)
        left = each.now.journal.left()
        (good,) = left.answered
        facts = good.snapshot.record | {"call_id": "cal_0", "answered_at": None}
        bad = good._replace(snapshot=msgspec.structs.replace(good.snapshot, record=facts))
        each.now.close()
        each.now = LoopbackSwitch(
            FixedPlanner(to_vendor(each.vendor.address)),
            port=each.now.port,
            left=Left([bad, good], []),
        )
        each.now.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR])
        each.now.start()
        assert len(each.now.switch.calls) == 1
        assert (each.now.takeover.calls, each.now.takeover.failed) == (1, 1)
        await each.talk.hang_up()
        await until(lambda: not each.now.switch.calls)
