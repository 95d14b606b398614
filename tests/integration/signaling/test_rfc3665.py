"""The basic call flows of RFC 3665 section 3, as a back-to-back user agent takes part in them.

What stands between the phones there are proxies; here their paths are Record-Routes.
"""

from __future__ import annotations

from services.common.causes import EndReason
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.build import response_to
from services.signaling.sip.message import Request
from services.signaling.sip.transaction.timers import TimerValues
from tests.support.signaling.machine import ANSWER, OFFER
from tests.support.signaling.party import Party, message, on_uvloop, reply, until
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import (
    TABLE,
    VENDOR,
    LoopbackSwitch,
    to_vendor,
    two_parties,
)

SECOND, PROXY, MOVED = "127.0.0.5", "127.0.0.6", "127.0.0.7"


async def settled(switch: LoopbackSwitch) -> None:
    await until(lambda: len(switch.events.ended) == 1 and not switch.switch.calls)


def routed(data: bytes, *routes: str) -> bytes:
    """A message that came through proxies that want to stay on the path."""
    lines = "".join(f"Record-Route: <sip:{route};lr>\r\n" for route in routes)
    return data.replace(b"Max-Forwards", lines.encode() + b"Max-Forwards", 1)


def through(party: Party, request: Request, status: int, route: str, body: bytes = b"") -> bytes:
    """A response that came through a proxy that wants to stay on the path."""
    host, port = party.address
    headers = [f"Contact: <sip:2000@{host}:{port}>", f"Record-Route: <sip:{route};lr>"]
    return response_to(request, status, to_tag="callee", headers=headers, body=body).data


@on_uvloop
async def test_3_1_successful_session_establishment() -> None:
    async with two_parties() as (_, _vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        await talk.hang_up()
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.NORMAL


@on_uvloop
async def test_3_2_through_two_proxies() -> None:
    async with two_parties() as (caller, vendor, switch, talk), Party.at(PROXY) as proxy:
        path = f"{PROXY}:{proxy.address[1]}"
        invite = message(caller, "INVITE", talk.switch, call_id="3.2", body=OFFER)
        caller.send(routed(invite, path), talk.switch)
        heard = await vendor.request("INVITE")
        assert not heard.has("record-route")  # each leg has a path of its own
        vendor.send(through(vendor, heard, 200, path, ANSWER), talk.switch)
        ack = await proxy.request("ACK")  # ours goes where the vendor's Record-Route says
        assert ack.headers("route") == [f"<sip:{path};lr>"]
        ok = await caller.response(200)
        assert ok.headers("record-route") == [f"<sip:{path};lr>"]
        switch.switch.hang_up(next(iter(switch.switch.calls)), EndReason.ADMIN_DISCONNECT)
        assert (await proxy.request("BYE")).call_id == heard.call_id
        caller.send(
            message(caller, "ACK", talk.switch, call_id="3.2", to_tag=ok.to_tag), talk.switch
        )
        bye = await proxy.request("BYE")
        assert (bye.call_id, bye.headers("route")) == ("3.2", [f"<sip:{path};lr>"])


@on_uvloop
async def test_3_3_a_challenge_for_us_is_not_passed_to_the_caller() -> None:
    # "Multiple proxy authentication" has one challenge per hop: each is between two neighbours.
    async with two_parties() as (caller, vendor, switch, talk):
        talk.say("INVITE", 1, OFFER)
        heard = await vendor.request("INVITE")
        challenge = 'Proxy-Authenticate: Digest realm="vendor", nonce="1"'
        refusal = response_to(heard, 407, to_tag="proxy", headers=[challenge])
        vendor.send(refusal.data, talk.switch)
        assert (await vendor.request("ACK")).to_tag == "proxy"
        final = await caller.response(503)
        assert not final.has("proxy-authenticate")
        await settled(switch)
        assert switch.events.ended[0].attempts[0].sip_code == 407


@on_uvloop
async def test_3_4_a_proxy_that_has_failed_is_followed_by_the_next() -> None:
    timers = TimerValues(t1=0.01)
    async with two_parties(timers) as (_, vendor, switch, talk), Party.at(SECOND) as dead:
        first, second = to_vendor(dead.address), to_vendor(vendor.address)
        switch.planner.plan_now = FixedPlanner(first, second).plan_now
        await talk.ring()
        copies = 0
        while not dead.nothing_came():
            assert isinstance(await dead.hear(), Request)
            copies += 1
        assert copies >= 2  # timer A, up to timer B
        await talk.answer()
        await talk.hang_up()
        await settled(switch)
        reasons = [attempt.end_reason for attempt in switch.events.ended[0].attempts]
        assert reasons == [EndReason.VENDOR_TIMEOUT, EndReason.NORMAL]


@on_uvloop
async def test_3_5_through_an_alg_everything_carries_our_address() -> None:
    async with two_parties() as (_, vendor, switch, talk):
        await talk.ring()
        await talk.answer()
        ours = f"127.0.0.1:{switch.port}"
        assert talk.invite is not None
        contact = talk.invite.contact
        assert contact is not None
        assert ours in contact.uri
        assert ours in talk.invite.via.text
        assert talk.invite.call_id != talk.call_id
        await talk.hang_up()
        await settled(switch)
        assert vendor.nothing_came()


@on_uvloop
async def test_3_6_redirected_and_with_the_sdp_in_the_ack() -> None:
    async with two_parties() as (caller, vendor, switch, talk), Party.at(SECOND) as first:
        planner = FixedPlanner(to_vendor(first.address), to_vendor(vendor.address))
        switch.planner.plan_now = planner.plan_now
        talk.say("INVITE", 1)
        heard = await first.request("INVITE")
        assert heard.body == b""
        moved = response_to(heard, 302, to_tag="r", headers=["Contact: <sip:2000@203.0.113.7>"])
        first.send(moved.data, talk.switch)
        await first.request("ACK")
        heard = await vendor.request("INVITE")  # an address nobody configured is not called
        vendor.send(reply(vendor, heard, 200, ANSWER), talk.switch)
        ok = await caller.response(200)
        assert ok.body == ANSWER
        talk.to_tag = ok.to_tag
        talk.say("ACK", 1, OFFER)
        assert (await vendor.request("ACK")).body == OFFER
        await talk.hang_up()
        await settled(switch)


@on_uvloop
async def test_3_7_reinvite_with_a_new_address() -> None:
    async with two_parties() as (caller, vendor, switch, talk), Party.at(MOVED) as moved:
        switch.switch.trunks = TrunkTable(TABLE, vendor_hosts=[VENDOR, MOVED])
        await talk.ring()
        await talk.answer()
        assert talk.invite is not None
        offer = ANSWER.replace(b"198.51.100.1", b"198.51.100.9")
        reinvite = message(
            vendor, "INVITE", talk.switch, call_id=talk.invite.call_id, cseq=14,
            from_tag="callee", to_tag=talk.invite.from_tag, body=offer,
        )  # fmt: skip
        host, port = vendor.address
        there = f"{MOVED}:{moved.address[1]}".encode()
        here = f"sip:1000@{host}:{port};transport=udp".encode()
        vendor.send(reinvite.replace(here, b"sip:2000@" + there), talk.switch)
        again = await caller.request("INVITE")
        assert again.body == offer
        caller.send(reply(caller, again, 200, OFFER), talk.switch)
        await caller.request("ACK")
        assert (await vendor.response(200)).body == OFFER
        ack = message(
            vendor, "ACK", talk.switch, call_id=talk.invite.call_id, cseq=14,
            from_tag="callee", to_tag=talk.invite.from_tag,
        )  # fmt: skip
        vendor.send(ack, talk.switch)
        talk.say("BYE", 2)
        bye = await moved.request("BYE")  # to where he is now
        moved.send(reply(moved, bye, 200), talk.switch)
        await caller.response(200)
        await settled(switch)


@on_uvloop
async def test_3_8_no_answer() -> None:
    async with two_parties() as (caller, vendor, switch, talk):
        invite = message(caller, "INVITE", talk.switch, call_id="3.8", body=OFFER, branch="38")
        caller.send(invite, talk.switch)
        heard = await vendor.request("INVITE")
        vendor.send(reply(vendor, heard, 180), talk.switch)
        await caller.response(180)
        cancel = message(caller, "CANCEL", talk.switch, call_id="3.8", branch="38")
        caller.send(cancel, talk.switch)
        assert (await caller.response(200)).cseq.method == "CANCEL"
        await caller.response(487)
        got = await vendor.request("CANCEL")
        assert got.via.branch == heard.via.branch
        vendor.send(reply(vendor, got, 200), talk.switch)
        vendor.send(reply(vendor, heard, 487), talk.switch)
        assert (await vendor.request("ACK")).via.branch == heard.via.branch
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.CANCELLED


async def refused(status: int) -> LoopbackSwitch:
    """A call the vendor refuses, up to the caller's ACK."""
    async with two_parties() as (caller, vendor, switch, talk):
        talk.say("INVITE", 1, OFFER)
        heard = await vendor.request("INVITE")
        vendor.send(reply(vendor, heard, status), talk.switch)
        assert (await vendor.request("ACK")).cseq.number == 1
        await caller.response(status)
        await settled(switch)
        return switch


@on_uvloop
async def test_3_9_busy() -> None:
    switch = await refused(486)
    assert switch.events.ended[0].end_reason == EndReason.BUSY


@on_uvloop
async def test_3_10_no_response_from_the_user_agent() -> None:
    timers = TimerValues(t1=0.005)
    async with two_parties(timers) as (caller, vendor, switch, talk):
        talk.say("INVITE", 1, OFFER)
        await caller.response(503)
        copies = 0
        while not vendor.nothing_came():
            assert (await vendor.hear()).via.branch
            copies += 1
        assert copies >= 2
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.VENDOR_TIMEOUT


@on_uvloop
async def test_3_11_temporarily_unavailable() -> None:
    switch = await refused(480)
    assert switch.events.ended[0].end_reason == EndReason.NO_ANSWER


def test_every_flow_has_its_test() -> None:
    numbers = {name.split("_")[2] for name in globals() if name.startswith("test_3_")}
    assert numbers == {str(number) for number in range(1, 12)}
