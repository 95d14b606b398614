"""Telephones that talk: calls with real audio both ways, and a record of every packet heard."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from services.media.core.sdp import parse
from services.signaling.sip.message import Request, Response
from tests.integration.media.parties import Party as Audio
from tests.support.signaling.party import Party, message, reply

Address = tuple[str, int]
T = TypeVar("T")
PACKET_S = 0.02


@dataclass
class Ear:
    """What one telephone has heard."""

    sequences: list[int] = field(default_factory=list)
    longest_gap_s: float = 0.0
    _last_at: float = 0.0

    def hear(self, packet: bytes, now: float) -> None:
        if self._last_at:
            self.longest_gap_s = max(self.longest_gap_s, now - self._last_at)
        self._last_at = now
        self.sequences.append(struct.unpack_from("!H", packet, 2)[0])

    @property
    def missing(self) -> int:
        """Packets lost between the first and the last heard."""
        if not self.sequences:
            return 1_000_000
        return self.sequences[-1] - self.sequences[0] + 1 - len(set(self.sequences))


class Phone(Party):
    """Acknowledges its 200 again whenever that is repeated (RFC 3261 section 13.2.2.4)."""

    acknowledges = b""

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.acknowledges and data.startswith(b"SIP/2.0 200") and b" INVITE\r\n" in data:
            self.send(self.acknowledges, addr)
        else:
            super().datagram_received(data, addr)


class PhoneCall:
    """One call, from a caller of its own to the vendor all calls share."""

    def __init__(self, caller: Phone, number: int) -> None:
        self.caller = caller
        self.call_id = f"phone-{number}-{caller.address[1]}"
        self.audio = (Audio(caller.address[0]), Audio(caller.address[0]))
        self.ears = (Ear(), Ear())
        self.to_tag = ""
        self.invite: Request | None = None
        self.answered_at = self.ended_at = 0.0


class Phones:
    """Runs on a loop of its own, in a thread, so that a test can kill servers meanwhile."""

    def __init__(self, switch: Address, caller_host: str, vendor: Address) -> None:
        self._switch = switch
        self._caller_host = caller_host
        self._vendor_address = vendor
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._talking: asyncio.Task[None] | None = None
        self._transports: list[asyncio.DatagramTransport] = []
        self.calls: list[PhoneCall] = []

    def start(self, count: int, called: str) -> None:
        """Set ``count`` calls up and let them talk."""
        self._run(self._start(count, called))

    def hang_up(self) -> None:
        """Every other call is ended by the caller, the rest by the vendor."""
        self._run(self._hang_up())

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)

    async def _phone(self, address: Address) -> Phone:
        transport, party = await self._loop.create_datagram_endpoint(Phone, local_addr=address)
        party.transport = transport
        party.address = transport.get_extra_info("sockname")
        self._transports.append(transport)
        return party

    async def _start(self, count: int, called: str) -> None:
        self._vendor = await self._phone(self._vendor_address)
        for number in range(count):
            call = PhoneCall(await self._phone((self._caller_host, 0)), number)
            self.calls.append(call)
            await self._set_up(call, called)
            for audio, ear in zip(call.audio, call.ears, strict=True):
                self._loop.add_reader(audio.rtp.fileno(), self._listen, audio, ear)
        self._talking = self._loop.create_task(self._talk())

    async def _set_up(self, call: PhoneCall, called: str) -> None:
        near, far = call.audio
        call.caller.send(self._request(call, "INVITE", 1, near.sdp(), called), self._switch)
        call.invite = await self._vendor.request("INVITE")
        far.relay = audio_of(call.invite)
        self._vendor.send(reply(self._vendor, call.invite, 200, far.sdp()), self._switch)
        ok = await call.caller.response(200)
        near.relay, call.to_tag, call.answered_at = audio_of(ok), ok.to_tag, monotonic()
        call.caller.acknowledges = self._request(call, "ACK", 1, called=called)
        call.caller.send(call.caller.acknowledges, self._switch)
        await self._vendor.request("ACK")

    def _request(
        self, call: PhoneCall, method: str, cseq: int, body: bytes = b"", called: str = "4963"
    ) -> bytes:
        return message(
            call.caller,
            method,
            self._switch,
            call_id=call.call_id,
            cseq=cseq,
            to_tag=call.to_tag,
            body=body,
            number=called,
        )

    def _listen(self, audio: Audio, ear: Ear) -> None:
        try:
            ear.hear(audio.rtp.recv(2048), monotonic())
        except BlockingIOError:
            return

    async def _talk(self) -> None:
        at = self._loop.time()
        while True:
            for call in self.calls:
                for audio in call.audio:
                    audio.talk()
            at += PACKET_S
            await asyncio.sleep(max(0.0, at - self._loop.time()))

    async def _hang_up(self) -> None:
        for number, call in enumerate(self.calls):
            call.ended_at = monotonic()
            if number % 2:
                await self._caller_ends(call)
            else:
                await self._vendor_ends(call)
        assert self._talking is not None
        self._talking.cancel()

    async def _caller_ends(self, call: PhoneCall) -> None:
        call.caller.send(self._request(call, "BYE", 2), self._switch)
        bye = await self._vendor.request("BYE")
        self._vendor.send(reply(self._vendor, bye, 200), self._switch)
        await final(call.caller, "BYE")

    async def _vendor_ends(self, call: PhoneCall) -> None:
        assert call.invite is not None
        bye = message(
            self._vendor,
            "BYE",
            self._switch,
            call_id=call.invite.call_id,
            to_tag=call.invite.from_tag,
            from_tag="callee",
        )
        self._vendor.send(bye, self._switch)
        heard = await call.caller.request("BYE")
        call.caller.send(reply(call.caller, heard, 200), self._switch)
        await final(self._vendor, "BYE")

    async def _close(self) -> None:
        if self._talking is not None:
            self._talking.cancel()
        for call in self.calls:
            for audio in call.audio:
                self._loop.remove_reader(audio.rtp.fileno())
                audio.close()
        for transport in self._transports:
            transport.close()


async def final(party: Party, method: str) -> None:
    """The 200 to a request of the party."""
    while True:
        heard = await party.hear()
        if isinstance(heard, Response) and heard.cseq.method == method:
            assert heard.status == 200, heard.status
            return


def audio_of(described: Request | Response) -> Address:
    """Where the SDP of a message wants its audio."""
    media = parse(described.body).media[0]
    assert media.connection is not None
    return media.connection.host, media.port
