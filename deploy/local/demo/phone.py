"""A small SIP user agent over UDP: enough to place one call, and to take or refuse calls.

It shares no code with the switch, so that what it understands is what a stranger understands.
"""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.local.demo.audio import Audio, describe, target_of

Address = tuple[str, int]


@dataclass
class Message:
    """A SIP message, split."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str:
        """The first value of a header; empty when absent."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), "")

    @property
    def status(self) -> int:
        """Status code of a response, 0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Method of the request, or of the request this responds to."""
        return self.get("CSeq").split()[-1] if self.status else self.start.split(" ")[0]


def read(data: bytes) -> Message:
    """Split one datagram."""
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Message(start, [(name.strip(), value.strip()) for name, _, value in pairs], body)


def write(start: str, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    """One datagram."""
    extra = [("Content-Type", "application/sdp")] if body else []
    lines = [f"{n}: {v}" for n, v in [*headers, *extra, ("Content-Length", str(len(body)))]]
    return "\r\n".join([start, *lines, "", ""]).encode() + body


class Phone(asyncio.DatagramProtocol):
    """One UDP socket that speaks SIP."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.port = 0
        self.log: list[str] = []
        """Start lines sent (``>``) and received (``<``), in order."""
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Bind a free port."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.host, 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        """Give the port back."""
        if self._transport is not None:
            self._transport.close()

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram."""
        assert self._transport is not None
        self.log.append("> " + data.split(b"\r\n", 1)[0].decode())
        self._transport.sendto(data, to)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Take one message; keep-alives are ignored."""
        if data.strip(b"\r\n\0 "):
            message = read(data)
            self.log.append("< " + message.start)
            self.on_message(message, addr)

    def on_message(self, message: Message, source: Address, /) -> None:
        """Act on one message."""


@dataclass
class Leg:
    """A call as its vendor sees it."""

    invite: Message
    source: Address
    audio: Audio
    tag: str = field(default_factory=lambda: secrets.token_hex(4))
    target: Address = ("", 0)


class Vendor(Phone):
    """Takes every call, or refuses every call with ``refuse_with``."""

    def __init__(self, host: str, *, refuse_with: str = "", ring_s: float = 0.3) -> None:
        super().__init__(host)
        self.leg: Leg | None = None
        self.acked = asyncio.Event()
        self.ended = asyncio.Event()
        self.calls = 0
        self._refuse_with = refuse_with
        self._ring_s = ring_s
        self._actions: dict[str, Callable[[Message, Address], None]] = {
            "INVITE": self._on_invite,
            "ACK": self._on_ack,
            "BYE": self._on_bye,
        }

    def on_message(self, message: Message, source: Address, /) -> None:
        """Serve one request."""
        if not message.status and message.method in self._actions:
            self._actions[message.method](message, source)

    def _reply(
        self, request: Message, to: Address, status: str, tag: str = "", body: bytes = b""
    ) -> None:
        echoed = [(n, v) for n, v in request.headers if n.lower() in ("via", "record-route")]
        called = request.get("To")
        if tag and ";tag=" not in called:
            called += f";tag={tag}"
        echoed += [(n, request.get(n)) for n in ("From", "Call-ID", "CSeq")] + [("To", called)]
        if tag:
            echoed.append(("Contact", f"<sip:vendor@{self.host}:{self.port}>"))
        self.send(write(f"SIP/2.0 {status}", echoed, body), to)

    def _on_invite(self, request: Message, source: Address) -> None:
        if self.leg and self.leg.invite.get("Via") == request.get("Via"):
            return
        self.calls += 1
        self._reply(request, source, "100 Trying")
        if self._refuse_with:
            self._reply(request, source, self._refuse_with, secrets.token_hex(4))
            return
        self.leg = Leg(request, source, Audio(self.host), target=target_of(request.body))
        self._reply(request, source, "180 Ringing", self.leg.tag)
        asyncio.get_running_loop().call_later(self._ring_s, self._answer, self.leg)

    def _answer(self, leg: Leg) -> None:
        body = describe(self.host, leg.audio.port)
        self._reply(leg.invite, leg.source, "200 OK", leg.tag, body)

    def _on_ack(self, _request: Message, _source: Address) -> None:
        if self.leg:
            self.acked.set()

    def _on_bye(self, request: Message, source: Address) -> None:
        self._reply(request, source, "200 OK")
        self.ended.set()


class Refused(Exception):
    """The call was not answered."""


class Caller(Phone):
    """Places one call at a time through ``switch``."""

    def __init__(self, host: str, switch: Address) -> None:
        super().__init__(host)
        self.audio = Audio(host)
        self.target: Address = ("", 0)
        self.ringing = False
        self._switch = switch
        self._responses: asyncio.Queue[Message] = asyncio.Queue()
        self.call_id = f"{secrets.token_hex(8)}@{host}"
        """Of the next call, or the present one."""
        self._tag = secrets.token_hex(4)
        self._answer: Message | None = None

    def on_message(self, message: Message, _source: Address, /) -> None:
        """Queue responses for whoever waits."""
        if message.status:
            self._responses.put_nowait(message)

    def _request(
        self, method: str, sequence: int, uri: str, to: str, caller: str, body: bytes = b""
    ) -> bytes:
        branch = f"z9hG4bK{secrets.token_hex(6)}"
        return write(
            f"{method} {uri} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {self.host}:{self.port};branch={branch};rport"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{caller}@{self.host}>;tag={self._tag}"),
                ("To", to),
                ("Call-ID", self.call_id),
                ("CSeq", f"{sequence} {method}"),
                ("Contact", f"<sip:{caller}@{self.host}:{self.port}>"),
            ],
            body,
        )

    async def wait_known(self, *, timeout_s: float = 15.0) -> None:
        """Ask with OPTIONS until the switch answers: it is silent to addresses it does not know.

        Raises:
            TimeoutError: it never does.
        """
        uri = f"sip:{self._switch[0]}:{self._switch[1]}"
        async with asyncio.timeout(timeout_s):
            for sequence in itertools.count(1):
                ping = self._request("OPTIONS", sequence, uri, f"<{uri}>", "ping")
                self.send(ping, self._switch)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._responses.get()
                        break
        self.log.clear()
        self.call_id = f"{secrets.token_hex(8)}@{self.host}"

    async def call(self, caller: str, called: str, *, timeout_s: float = 20.0) -> None:
        """Dial and wait for the answer.

        Raises:
            Refused: with the start line of the final response.
            TimeoutError: no final response came.
        """
        self._caller = caller
        uri = f"sip:{called}@{self._switch[0]}:{self._switch[1]}"
        offer = describe(self.host, self.audio.port)
        self.send(self._request("INVITE", 1, uri, f"<{uri}>", caller, offer), self._switch)
        async with asyncio.timeout(timeout_s):
            while (response := await self._responses.get()).status < 200:
                self.ringing = self.ringing or response.status in (180, 183)
        self._answer = response
        contact = response.get("Contact").split("<")[-1].split(">")[0] or uri
        self.send(self._request("ACK", 1, contact, response.get("To"), caller), self._switch)
        if response.status >= 300:
            raise Refused(response.start)
        self.target = target_of(response.body)

    async def hang_up(self, *, timeout_s: float = 5.0) -> None:
        """End the call and wait until that is confirmed."""
        assert self._answer is not None
        contact = self._answer.get("Contact").split("<")[-1].split(">")[0]
        to = self._answer.get("To")
        self.send(self._request("BYE", 2, contact, to, self._caller), self._switch)
        async with asyncio.timeout(timeout_s):
            while True:
                response = await self._responses.get()
                if response.method == "BYE" and response.status >= 200:
                    return
