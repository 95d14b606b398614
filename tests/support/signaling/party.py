"""SIP endpoints of a test: they say exactly what they are told, over UDP or TCP."""

from __future__ import annotations

import asyncio
import functools
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from typing import ParamSpec, Self, cast

import uvloop

from services.signaling.sip.build import response_to
from services.signaling.sip.message import UNLIMITED, Request, Response, parse
from services.signaling.sip.stream import Framed, Framer
from tests.support.signaling.machine import ANSWER, OFFER

PATIENCE_S = 10.0
_numbers = count(1)


P = ParamSpec("P")


def on_uvloop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a test on the loop signaling runs on: sockets behave differently on another."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what has no event of its own to wait for; fails when it never comes."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_true():  # noqa: ASYNC110 - the switch under test has no hooks for tests
            await asyncio.sleep(0.002)


class Endpoint:
    """What every endpoint can do, however its messages travel."""

    transport_name = ""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.address = ("", 0)

    @abstractmethod
    def send(self, data: bytes, to: tuple[str, int]) -> None:
        """Send one message."""

    async def hear(self) -> Request | Response:
        async with asyncio.timeout(PATIENCE_S):
            return parse(await self.inbox.get(), limits=UNLIMITED)

    async def request(self, method: str) -> Request:
        """The next request with this method; responses and repetitions are passed over."""
        while True:
            message = await self.hear()
            if isinstance(message, Request) and message.method == method:
                return message

    async def response(self, status: int) -> Response:
        """The next response other than a 100 must have this status."""
        while True:
            message = await self.hear()
            if isinstance(message, Response) and message.status != 100:
                assert message.status == status, message.lines
                return message

    def nothing_came(self) -> bool:
        return self.inbox.empty()


class Party(Endpoint, asyncio.DatagramProtocol):
    """One UDP endpoint."""

    transport_name = "UDP"

    @classmethod
    @asynccontextmanager
    async def at(cls, host: str, port: int = 0) -> AsyncIterator[Self]:
        loop = asyncio.get_running_loop()
        transport, party = await loop.create_datagram_endpoint(cls, local_addr=(host, port))
        party.transport = transport
        party.address = transport.get_extra_info("sockname")
        try:
            yield party
        finally:
            transport.close()

    transport: asyncio.DatagramTransport
    source = ("", 0)
    """Where the last datagram came from."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.source = addr
        self.inbox.put_nowait(data)

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.transport.sendto(data, to)


class StreamParty(Endpoint, asyncio.Protocol):
    """One TCP endpoint; connects, or is connected to."""

    transport_name = "TCP"
    transport: asyncio.Transport

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()
        self._framer = Framer(UNLIMITED)

    @classmethod
    @asynccontextmanager
    async def serving(cls, host: str, port: int = 0) -> AsyncIterator[tuple[Self, asyncio.Server]]:
        """Accept connections at ``host``; the last one accepted is who is spoken to."""
        party = cls()
        server = await asyncio.get_running_loop().create_server(lambda: party, host, port)
        party.address = server.sockets[0].getsockname()
        try:
            yield party, server
        finally:
            server.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self.address = self.address if self.address[1] else transport.get_extra_info("sockname")

    def data_received(self, data: bytes) -> None:
        for event in self._framer.feed(data):
            if isinstance(event, Framed):
                self.inbox.put_nowait(event.data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed.set()

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        del to
        self.transport.write(data)


def written(address: tuple[str, int]) -> tuple[str, int]:
    """An address as it stands in a URI; those of IPv6 sockets have more to them."""
    host, port = address[:2]
    return (f"[{host}]" if ":" in host else host, port)


def message(
    party: Endpoint,
    method: str,
    to: tuple[str, int],
    *,
    call_id: str,
    cseq: int = 1,
    to_tag: str = "",
    from_tag: str = "caller",
    body: bytes = b"",
    number: str = "2000",
    branch: str = "",
) -> bytes:
    """A request as a plain telephone would write it."""
    host, port = written(party.address)
    to = written(to)
    lines = [
        f"{method} sip:{number}@{to[0]}:{to[1]} SIP/2.0",
        f"Via: SIP/2.0/{party.transport_name} {host}:{port};"
        f"branch=z9hG4bK{branch or next(_numbers)}",
        f"From: <sip:1000@{host}>;tag={from_tag}",
        f"To: <sip:{number}@{to[0]}>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        f"Contact: <sip:1000@{host}:{port};transport={party.transport_name.lower()}>",
        "Max-Forwards: 70",
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def reply(party: Endpoint, request: Request, status: int, body: bytes = b"") -> bytes:
    """A response as a plain telephone would write it."""
    host, port = written(party.address)
    transport = party.transport_name.lower()
    contact = f"Contact: <sip:2000@{host}:{port};transport={transport}>"
    return response_to(request, status, to_tag="callee", headers=[contact], body=body).data


class Talk:
    """One call between two parties through the switch, step by step."""

    def __init__(self, caller: Endpoint, vendor: Endpoint, switch: tuple[str, int]) -> None:
        self.caller = caller
        self.vendor = vendor
        self.switch = switch
        self.call_id = f"call-{next(_numbers)}"
        self.to_tag = ""
        self.invite: Request | None = None

    def say(self, method: str, cseq: int, body: bytes = b"") -> None:
        """The caller sends a request."""
        self.caller.send(
            message(
                self.caller,
                method,
                self.switch,
                call_id=self.call_id,
                cseq=cseq,
                to_tag=self.to_tag,
                body=body,
            ),
            self.switch,
        )

    async def ring(self) -> None:
        """Up to the 180."""
        self.say("INVITE", 1, OFFER)
        self.invite = await self.vendor.request("INVITE")
        self.vendor.send(reply(self.vendor, self.invite, 180), self.switch)
        await self.caller.response(180)

    async def answer(self) -> None:
        """Up to the ACK on both sides."""
        assert self.invite is not None
        self.vendor.send(reply(self.vendor, self.invite, 200, ANSWER), self.switch)
        ok = await self.caller.response(200)
        assert ok.body == ANSWER
        self.to_tag = ok.to_tag
        await self.vendor.request("ACK")
        self.say("ACK", 1)

    async def hang_up(self) -> None:
        """The caller's BYE, through to both 200s."""
        self.say("BYE", 2)
        bye = await self.vendor.request("BYE")
        self.vendor.send(reply(self.vendor, bye, 200), self.switch)
        await self.caller.response(200)
