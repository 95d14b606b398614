"""Ways in which other switches were broken by one message, over real sockets.

After each of them a call goes through, and the vendor has seen nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from services.signaling.sip.message import UNLIMITED, Response, parse
from services.signaling.sip.names import METHODS
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import (
    PATIENCE_S,
    Party,
    StreamParty,
    Talk,
    message,
    reply,
    until,
)
from tests.support.signaling.switch import CALLER, LoopbackSwitch, two_parties

Edit = Callable[[bytes], bytes]


def put(old: bytes, new: bytes) -> Edit:
    """A change of a message; what is to be changed must be there."""

    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    return change


class Stage:
    """A switch, and a customer who says what no customer says."""

    def __init__(self, caller: Party, vendor: Party, switch: LoopbackSwitch, talk: Talk) -> None:
        self.caller = caller
        self.vendor = vendor
        self.switch = switch
        self.talk = talk

    def write(self, method: str, name: str, *, body: bytes = b"") -> bytes:
        return message(self.caller, method, self.talk.switch, call_id=name, body=body)

    async def answer_to(self, data: bytes) -> Response:
        """The first answer that is not 100."""
        self.caller.send(data, self.talk.switch)
        while True:
            async with asyncio.timeout(PATIENCE_S):
                # What is refused for its size is echoed with it.
                heard = parse(await self.caller.inbox.get(), limits=UNLIMITED)
            if isinstance(heard, Response) and heard.status != 100:
                return heard

    async def refused(self, data: bytes, status: int) -> Response:
        answer = await self.answer_to(data)
        assert (answer.status, answer.body) == (status, b"")
        return answer


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    async with two_parties() as (caller, vendor, switch, talk):
        yield Stage(caller, vendor, switch, talk)
        assert vendor.nothing_came()
        await talk.ring()
        await talk.answer()
        await talk.hang_up()
        await until(lambda: not switch.switch.calls)
        assert switch.context.dialogs == {}


@pytest.mark.parametrize(
    "edit",
    [
        put(b"SIP/2.0/UDP ", b"SIP/2.0/UDP \x16"),
        put(b";branch=", b"\x16;branch="),
        put(b";branch=", b';x="unterminated;branch='),
        put(b";branch=", b";=;branch="),
        put(b"To: <sip:2000@127.0.0.1>", b'To: <sip:2000@127.0.0.1>;tag="x'),
        put(b"To: <sip:2000@127.0.0.1>", b"To: <sip:2000@127.0.0.1>;tag=a\x00b"),
        put(b"To: <sip:2000@127.0.0.1>", b"To: <sip:2000@127.0.0.1>;tag=" + b"t" * 60_000),
        put(b";tag=caller", b";tag=" + b"t" * 60_000),
        put(b";tag=caller", b";tag=a;tag=b"),
        put(b";tag=caller", b';tag="'),
        put(b";branch=", b";branch=" + b"b" * 60_000),
    ],
)
def test_12_malformed_via_and_tags(edit: Edit) -> None:
    async def run() -> None:
        async with staged() as stage:
            await stage.refused(edit(stage.write("INVITE", "bad", body=OFFER)), 400)
            for record in stage.switch.events.ended:
                assert len(record.caller + record.called + record.sip_call_id) < 1_000

    uvloop.run(run())


@pytest.mark.parametrize(
    "edit",
    [
        put(b";tag=caller", b";tag=" + b"t" * 1_024),
        put(b";branch=z9hG4bK", b";branch=z9hG4bK" + b"b" * 1_024),
        put(b"Max-Forwards", b"Authorization: Digest username=x,realm\r\nMax-Forwards"),
        put(b"Max-Forwards", b"Proxy-Authorization: Digest ,,,=\r\nMax-Forwards"),
        put(b"Max-Forwards", b"Authorization: " + b"A" * 7_000 + b"\r\nMax-Forwards"),
    ],
)
def test_12_17_odd_but_legal_is_a_call_and_stays_on_its_side(edit: Edit) -> None:
    async def run() -> None:
        async with staged() as stage:
            stage.caller.send(edit(stage.write("INVITE", "odd", body=OFFER)), stage.talk.switch)
            invite = await stage.vendor.request("INVITE")
            assert max(map(len, invite.lines)) < 200
            assert not invite.has("authorization")
            assert not invite.has("proxy-authorization")
            stage.vendor.send(reply(stage.vendor, invite, 486), stage.talk.switch)
            busy = await stage.answer_to(b"\r\n\r\n")
            assert busy.status == 486
            await stage.vendor.request("ACK")

    uvloop.run(run())


LENGTHS = [
    b"99999999", b"-1", b"-0", b"4294967301", b"18446744073709551617", b"5x", b"", b"\xb2",
    b"0x10", b"+5", b"1 1", b"9" * 5_000, b"1e3",
]  # fmt: skip


@pytest.mark.parametrize("length", LENGTHS, ids=lambda length: repr(length[:24]))
def test_13_content_length_of_a_datagram(length: bytes) -> None:
    async def run() -> None:
        async with staged() as stage:
            bad = put(b"Content-Length: 0", b"Content-Length: " + length)
            await stage.refused(bad(stage.write("OPTIONS", "bad")), 400)
            twice = put(b"Content-Length: 0", b"l: 0\r\nContent-Length: " + length)
            await stage.refused(twice(stage.write("OPTIONS", "twice")), 400)

    uvloop.run(run())


@pytest.mark.parametrize("length", LENGTHS, ids=lambda length: repr(length[:24]))
def test_13_content_length_in_a_stream(length: bytes) -> None:
    """The stream is closed at once: nothing is awaited or kept for a length that cannot be."""

    async def run() -> None:
        async with staged() as stage:
            await stage.switch.tcp.listen(("127.0.0.1", 0))
            address = stage.switch.tcp._listeners[0].sockets[0].getsockname()
            _, caller = await asyncio.get_running_loop().create_connection(
                StreamParty, *address, local_addr=(CALLER, 0)
            )
            bad = put(b"Content-Length: 0", b"Content-Length: " + length)
            caller.send(bad(message(caller, "OPTIONS", stage.talk.switch, call_id="b")), ("", 0))
            async with asyncio.timeout(PATIENCE_S):
                await caller.closed.wait()
            assert caller.nothing_came()
            await until(lambda: stage.switch.tcp.connections == 0)

    uvloop.run(run())


@pytest.mark.parametrize("method", sorted(METHODS - {"ACK", "CANCEL"}))
@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization"])
def test_17_unasked_authorization_on_every_method(method: str, name: str) -> None:
    async def run() -> None:
        async with staged() as stage:
            for number, value in enumerate(
                ("Digest realm=never.challenged", 'Digest username="' + "x" * 9_000 + '"', "", "?")
            ):
                line = f"{name}: {value}\r\nMax-Forwards".encode()
                data = put(b"Max-Forwards", line)(stage.write(method, f"a{number}"))
                if method == "INVITE" and number != 1:
                    continue  # a call like any other: see the odd but legal ones
                answer = await stage.answer_to(data)
                assert answer.status in {200, 400, 401, 403, 404, 405, 407, 481, 489}
                assert answer.status == 400 or number != 1 or method not in {"INVITE", "BYE"}

    uvloop.run(run())


MULTIPART = (
    b"--b\r\nContent-Type: application/sdp\r\nContent-Length: 99999\r\n\r\nv=0\r\n",
    b"--b--b--b--\r\n" * 100,
    b"--" * 20_000,
    b"",
)


@pytest.mark.parametrize(
    ("edit", "status"),
    [
        (put(b"CSeq: 1 INVITE", b"CSeq: " + b"1" * 5_000 + b" INVITE"), 400),
        (put(b"CSeq: 1 INVITE", b"CSeq: 1 INVITE" + b"A" * 5_000), 400),
        (put(b"CSeq: 1 INVITE", b"CSeq: 1 " + b"\xff" * 300), 400),
        (put(b"CSeq: 1 INVITE", b"CSeq: -1 INVITE"), 400),
        (put(b"CSeq: 1 INVITE", b"CSeq: 4294967297 INVITE"), 400),
        (put(b"Max-Forwards", b"Accept: " + b"a/b," * 3_000 + b"\r\nMax-Forwards"), 400),
        (put(b"Max-Forwards", b"Accept: a/b\r\n" * 300 + b"Max-Forwards"), 400),
        *((put(OFFER, body), 400) for body in MULTIPART if len(body) < len(OFFER)),
    ],
)
def test_18_overflows_of_cseq_accept_and_multipart(edit: Edit, status: int) -> None:
    async def run() -> None:
        async with staged() as stage:
            await stage.refused(edit(stage.write("INVITE", "bad", body=OFFER)), status)

    uvloop.run(run())


@pytest.mark.parametrize("body", [body for body in MULTIPART if body], ids=lambda body: len(body))
def test_18_multipart_is_refused_unread(body: bytes) -> None:
    async def run() -> None:
        async with staged() as stage:
            for kind in (b"multipart/mixed", b"multipart/mixed;boundary=b", b'multipart/x;a="'):
                data = stage.write("INVITE", kind.decode().replace('"', ""), body=body)
                data = put(b"application/sdp", kind)(data)
                answer = await stage.refused(data, 415)
                assert answer.headers("accept") == ["application/sdp"]

    uvloop.run(run())


def test_18_a_subscription_with_more_accepts_than_anyone_has_room_for() -> None:
    async def run() -> None:
        async with staged() as stage:
            many = put(b"Max-Forwards", b"Accept: a/b\r\n" * 100 + b"Max-Forwards")
            await stage.refused(many(stage.write("SUBSCRIBE", "some")), 405)
            more = put(b"Max-Forwards", b"Accept: a/b\r\n" * 1_000 + b"Max-Forwards")
            await stage.refused(more(stage.write("SUBSCRIBE", "many")), 400)

    uvloop.run(run())
