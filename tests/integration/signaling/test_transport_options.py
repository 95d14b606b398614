"""Large messages, and the options of trunks about transports, NATs and signs of life."""

from __future__ import annotations

import asyncio
import socket

import pytest

from services.common.causes import EndReason
from services.common.sip_options.keepalive import KeepAlive
from services.common.sip_options.nat import Nat
from services.common.sip_options.transport import VendorTransport
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.app import keep_alive
from services.signaling.core.addressing import vendor_peer
from services.signaling.core.values import Candidate
from services.signaling.sip.stream import PING
from tests.support.ports import free_port
from tests.support.signaling.machine import ANSWER, OFFER
from tests.support.signaling.party import (
    PATIENCE_S,
    Party,
    StreamParty,
    Talk,
    message,
    on_uvloop,
    reply,
    until,
)
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.secure import Authority, TlsParty
from tests.support.signaling.switch import (
    CALLER,
    HOST,
    VENDOR,
    LoopbackSwitch,
    running,
    secured,
    serving,
    settled,
    table,
    to_vendor,
)

# --- large messages -----------------------------------------------------------------------------


def large_offer(size: int) -> bytes:
    line = b"a=x-padding:" + b"p" * 100 + b"\r\n"
    return OFFER + line * (size // len(line))


@on_uvloop
async def test_bug_class_29_an_invite_of_20_kb_passes_whole() -> None:
    """In two dozen IP fragments where the MTU is 1500; here the loopback carries it at once."""
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        switch = LoopbackSwitch(FixedPlanner(to_vendor(vendor.address)))
        switch.switch.trunks = table()
        sock = switch.udp._socket
        # No "do not fragment": a router with a smaller MTU cuts it instead of losing it.
        assert sock.getsockopt(socket.IPPROTO_IP, 10) == 0
        async with serving(switch):
            to, offer = (HOST, switch.port), large_offer(20_000)
            caller.send(message(caller, "INVITE", to, call_id="29", body=offer), to)
            invite = await vendor.request("INVITE")
            assert invite.body == offer
            vendor.send(reply(vendor, invite, 200, large_offer(20_000)), to)
            assert (await caller.response(200)).body == large_offer(20_000)


@on_uvloop
async def test_bug_class_29_what_no_datagram_can_carry_moves_on_to_the_next_vendor() -> None:
    async with Party.at(VENDOR) as vendor, StreamParty.serving(VENDOR) as (stream, _):
        candidates = to_vendor(vendor.address), to_vendor(stream.address, "tcp")
        switch = LoopbackSwitch(FixedPlanner(*candidates), sip=f"{HOST}:{free_port()}")
        switch.switch.trunks = table()
        async with serving(switch):
            to = (HOST, switch.port)
            _, caller = await asyncio.get_running_loop().create_connection(
                StreamParty, *to, local_addr=(CALLER, 0)
            )
            # A stream brings what a datagram cannot take on: 65,507 bytes are its limit.
            frame = len(message(caller, "INVITE", to, call_id="x", body=OFFER)) - len(OFFER)
            offer = OFFER + b"a=x:" + b"p" * (65_530 - frame - len(OFFER) - 8) + b"\r\n"
            caller.send(message(caller, "INVITE", to, call_id="x", body=offer), to)
            asked = await stream.request("INVITE")
            assert asked.body == offer
            stream.send(reply(stream, asked, 486), to)
            await caller.response(486)
            await settled(switch)
            first, second = switch.events.ended[0].attempts
            assert first.end_reason == EndReason.VENDOR_UNREACHABLE
            assert second.sip_code == 486
            assert vendor.nothing_came()


@on_uvloop
async def test_large_requests_go_by_tcp_where_the_trunk_says_so() -> None:
    """And by UDP after all, when nobody takes the connection."""
    oversize = VendorSip(transport=VendorTransport(oversize="tcp"))
    async with (
        Party.at(CALLER) as caller,
        Party.at(VENDOR) as vendor,
        StreamParty.serving(VENDOR, vendor.address[1]) as (stream, server),
    ):
        switch = LoopbackSwitch(
            FixedPlanner(to_vendor(vendor.address)), sip=f"{HOST}:{free_port()}"
        )
        switch.switch.trunks = table(oversize)
        async with serving(switch):
            to, offer = (HOST, switch.port), large_offer(2_000)
            caller.send(message(caller, "INVITE", to, call_id="t", body=offer), to)
            asked = await stream.request("INVITE")
            assert asked.via.transport == "TCP"
            stream.send(reply(stream, asked, 486), to)
            await caller.response(486)
            server.close()
            stream.transport.close()
            await until(lambda: switch.tcp.connections == 0)
            caller.send(message(caller, "INVITE", to, call_id="u", body=offer), to)
            asked = await vendor.request("INVITE")
            assert asked.via.transport == "UDP"
            vendor.send(reply(vendor, asked, 486), to)
            await caller.response(486)
            await settled(switch, 2)
            assert [attempt.sip_code for attempt in switch.events.ended[1].attempts] == [486]


# --- options of trunks ----------------------------------------------------------------------


@on_uvloop
async def test_calls_come_by_the_transports_of_their_trunk(authority: Authority) -> None:
    async with (
        Party.at(VENDOR) as vendor,
        Party.at(CALLER) as plain,
        secured(authority, to_vendor(vendor.address)) as (switch, to),
    ):
        switch.switch.trunks = table(customer=CustomerSip(transports=("tls",)))
        udp = (HOST, switch.port)
        plain.send(message(plain, "INVITE", udp, call_id="plain", body=OFFER), udp)
        await plain.response(403)
        await settled(switch)
        assert switch.events.ended[0].end_reason == EndReason.TRANSPORT_REFUSED
        caller = await TlsParty.connect(to, authority.client(), CALLER)
        caller.send(message(caller, "INVITE", to, call_id="tls", body=OFFER), to)
        await vendor.request("INVITE")


@on_uvloop
async def test_answers_and_requests_by_the_rules_of_the_trunk() -> None:
    rules = CustomerSip(nat=Nat(reply_to="source", request_to="source"))
    async with (
        Party.at(CALLER) as caller,
        Party.at(VENDOR) as vendor,
        Party.at(CALLER) as elsewhere,
    ):
        switch = LoopbackSwitch(FixedPlanner(to_vendor(vendor.address)))
        switch.switch.trunks = table(customer=rules)
        async with serving(switch):
            to = (HOST, switch.port)
            # It writes another port into Via and Contact than it sends from, and no rport.
            real, caller.address = caller.address, elsewhere.address
            talk = Talk(caller, vendor, to)
            await talk.ring()
            await talk.answer()
            assert talk.invite is not None
            bye = message(
                vendor, "BYE", to, call_id=talk.invite.call_id, cseq=1,
                to_tag=talk.invite.from_tag, from_tag="callee",
            )  # fmt: skip
            vendor.send(bye, to)
            passed = await caller.request("BYE")
            caller.address = real
            caller.send(reply(caller, passed, 200), to)
            await settled(switch)
            assert elsewhere.nothing_came()


@on_uvloop
async def test_who_wants_it_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_alive, "LOOK_EVERY_S", 0.01)
    customer = CustomerSip(keepalive=KeepAlive(crlf_s=1))
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        switch = LoopbackSwitch(FixedPlanner(), sip=f"{HOST}:{free_port()}")
        host, port = vendor.address
        kept = [(vendor_peer(host, host, port, "udp", VendorSip()), 1.0)]
        switch.switch.trunks = table(customer=customer, kept_alive=kept)
        async with serving(switch):
            to = (HOST, switch.port)
            loop = asyncio.get_running_loop()
            _, stream = await loop.create_connection(StreamParty, *to, local_addr=(CALLER, 0))
            for party in (caller, stream):
                party.send(message(party, "INVITE", to, call_id="k", body=OFFER), to)
                await party.response(503)
            for party in (caller, vendor):
                pings = 0
                while pings < 2:  # between repetitions of the 503
                    pings += await asyncio.wait_for(party.inbox.get(), PATIENCE_S) == PING
            heard = switch.context.keep_alives._heard
            assert {peer.transport for peer in heard} == {"udp", "tcp"}
            stream.transport.close()
            await until(lambda: len(heard) == 1)  # nothing is opened for a sign of life


# --- from which address -------------------------------------------------------------------------

INSIDE, OUTSIDE = "127.0.0.11", "127.0.0.12"


def two_sides(candidate: Candidate) -> tuple[LoopbackSwitch, int, int]:
    inner, outer = free_port(INSIDE), free_port(OUTSIDE)
    sip = f"udp:{HOST}:{free_port()},in@{INSIDE}:{inner},out@{OUTSIDE}:{outer}"
    return LoopbackSwitch(FixedPlanner(candidate), sip=sip), inner, outer


@on_uvloop
async def test_either_leg_leaves_from_the_listener_of_its_trunk() -> None:
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        switch, inner, outer = two_sides(to_vendor(vendor.address))
        switch.switch.trunks = table(VendorSip(listener="out"), CustomerSip(listener=INSIDE))
        with running(switch):
            talk = Talk(caller, vendor, (HOST, switch.port))
            await talk.ring()
            assert talk.invite is not None
            assert talk.invite.contact is not None
            assert talk.invite.contact.uri == f"sip:{OUTSIDE}:{outer}"
            assert talk.invite.via.sent_by == f"{OUTSIDE}:{outer}"
            assert vendor.source == (OUTSIDE, outer)
            vendor.send(reply(vendor, talk.invite, 200, ANSWER), vendor.source)
            ok = await caller.response(200)
            assert caller.source == (HOST, switch.port)  # answers go back the way they came
            assert ok.contact is not None
            assert ok.contact.uri == f"sip:{INSIDE}:{inner}"
            talk.to_tag = ok.to_tag
            ack = await vendor.request("ACK")
            assert (ack.via.sent_by, vendor.source) == (f"{OUTSIDE}:{outer}", (OUTSIDE, outer))
            talk.say("ACK", 1)
            fork = reply(vendor, talk.invite, 200, ANSWER).replace(b"tag=callee", b"tag=fork")
            vendor.send(fork, (OUTSIDE, outer))
            await vendor.request("ACK")
            stray = await vendor.request("BYE")
            assert (stray.to_tag, vendor.source) == ("fork", (OUTSIDE, outer))
            vendor.send(reply(vendor, stray, 200), vendor.source)
            bye = message(
                vendor, "BYE", (OUTSIDE, outer), call_id=talk.invite.call_id,
                from_tag="callee", to_tag=talk.invite.from_tag,
            )  # fmt: skip
            vendor.send(bye, (OUTSIDE, outer))
            passed = await caller.request("BYE")
            assert caller.source == (INSIDE, inner)
            assert passed.via.sent_by == f"{INSIDE}:{inner}"
            caller.send(reply(caller, passed, 200), caller.source)
            await settled(switch)
            assert switch.events.ended[-1].end_reason == EndReason.NORMAL


@on_uvloop
async def test_a_stream_leaves_from_the_listener_of_its_trunk() -> None:
    async with Party.at(CALLER) as caller, StreamParty.serving(VENDOR) as (vendor, _):
        switch, _, outer = two_sides(to_vendor(vendor.address, "tcp"))
        switch.switch.trunks = table(VendorSip(listener="out"))
        async with serving(switch):
            talk = Talk(caller, vendor, (HOST, switch.port))
            await talk.ring()
            assert talk.invite is not None
            assert talk.invite.via.sent_by == f"{OUTSIDE}:{outer}"
            assert vendor.transport.get_extra_info("peername")[0] == OUTSIDE
            await talk.answer()
            await talk.hang_up()
            await settled(switch)


@on_uvloop
async def test_without_its_listener_a_vendor_is_unreachable() -> None:
    async with Party.at(CALLER) as caller, Party.at(VENDOR) as vendor:
        switch, _, _ = two_sides(to_vendor(vendor.address))
        switch.switch.trunks = table(VendorSip(listener="upstairs"))
        with running(switch):
            Talk(caller, vendor, (HOST, switch.port)).say("INVITE", 1, OFFER)
            await caller.response(503)
            await settled(switch)
            (attempt,) = switch.events.ended[-1].attempts
            assert attempt.end_reason == EndReason.LISTENER_MISSING
            assert vendor.nothing_came()
