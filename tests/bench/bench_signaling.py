"""CPU of one complete billed call inside the signaling process, sockets left out.

The same messages a SIPp pair exchanges, fed to the driver by hand; prints microseconds per
call, and bytes per concurrent answered call.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

from services.common.clock import monotonic, utc_now
from services.common.ids import CALL, new_id
from services.signaling.app.services import Services
from services.signaling.app.switch import Switch
from services.signaling.core.context import CAPABILITIES, Context
from services.signaling.core.ladder import Ladders
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import Candidate
from services.signaling.server import random_token
from services.signaling.sip.actions import Peer
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request, Response, parse
from tests.support.signaling.ports import (
    EchoMedia,
    FixedCredits,
    FixedPlanner,
    FixedRouteServers,
    MemoryEvents,
    MemoryJournal,
    MemoryLocations,
    Observations,
)

CALLER = Peer("udp", "127.0.0.1", 25070, 1)
VENDOR = Peer("udp", "127.0.0.1", 25080, 1)
SDP = (
    b"v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
    b"t=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
HOST = "127.0.0.1:25060"


class Wire:
    """Takes what would be sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        del peer, key
        self.sent.append(data)
        return True

    def send_alike(self, messages: list[bytes], peer: Peer) -> bool:
        del peer
        self.sent += messages
        return True


class Bench:
    """One switch and both parties of its calls."""

    def __init__(
        self,
        now: Callable[[], float] = monotonic,
        candidate: Candidate | None = None,
        media: EchoMedia | None = None,
    ) -> None:
        self.wire = Wire()
        context = Context(
            node="bench",
            advertised=HOST,
            new_tag=random_token,
            new_call_id=lambda: os.urandom(12).hex(),
            chance=lambda: 0.5,
        )
        candidate = candidate or Candidate(
            vendor_trunk_id="vtr_1",
            account_id="acc_2",
            host="127.0.0.1",
            port=25080,
            caller="1000",
            called="2000",
        )
        events = MemoryEvents(keep=False)
        self.journal = MemoryJournal(keep=False)
        self.switch = Switch(
            context=context,
            layer=TransactionLayer(sent_by=HOST, ids=random_token, capabilities=CAPABILITIES),
            network=self.wire,
            services=Services(
                FixedPlanner(candidate),
                FixedCredits(),
                media or EchoMedia(),
                events,
                self.journal,
                FixedRouteServers(),
            ),
            events=events,
            observer=Observations(),
            locations=MemoryLocations(),
            ladders=Ladders(calls=100),
            new_call_id=partial(new_id, CALL),
            monotonic=now,
            utc_now=utc_now,
        )
        self.switch.trunks = TrunkTable(
            {"127.0.0.1": CustomerTrunk(id="ctr_1", account_id="acc_1")}
        )
        self.spent_s = 0.0

    def feed(self, data: bytes, source: Peer) -> list[bytes]:
        """Deliver one datagram; what was sent because of it. Only the switch's time counts."""
        self.wire.sent = []
        before = time.thread_time()
        self.switch.receive([(data, source)])
        self.spent_s += time.thread_time() - before
        return self.wire.sent

    def answered(self, number: int) -> tuple[bytes, bytes]:
        """Set one call up; the 200 the caller got and the INVITE the vendor got."""
        sent = self.feed(_invite(number), CALLER)
        invite = sent[-1]
        self.feed(_reply(invite, b"180 Ringing"), VENDOR)
        sent = self.feed(_reply(invite, b"200 OK", SDP), VENDOR)
        ok = next(data for data in sent if data.startswith(b"SIP/2.0 200"))
        self.feed(_in_dialog(b"ACK", number, ok, 1), CALLER)
        return ok, invite

    def call(self, number: int) -> None:
        """One call from INVITE to the last 200."""
        ok, _ = self.answered(number)
        sent = self.feed(_in_dialog(b"BYE", number, ok, 2), CALLER)
        bye = next(data for data in sent if data.startswith(b"BYE"))
        self.feed(_reply(bye, b"200 OK"), VENDOR)


def _invite(number: int) -> bytes:
    return (
        b"INVITE sip:2000@%b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK-i-%d\r\n"
        b"From: sipp <sip:sipp@127.0.0.1:25070>;tag=t%d\r\nTo: 2000 <sip:2000@%b>\r\n"
        b"Call-ID: %d-1@127.0.0.1\r\nCSeq: 1 INVITE\r\nContact: sip:sipp@127.0.0.1:25070\r\n"
        b"Max-Forwards: 70\r\nSubject: Performance Test\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: %d\r\n\r\n%b"
    ) % (HOST.encode(), number, number, HOST.encode(), number, len(SDP), SDP)


def _in_dialog(method: bytes, number: int, ok: bytes, cseq: int) -> bytes:
    response = parse(ok)
    assert isinstance(response, Response)
    return (
        b"%b sip:%b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25070;branch=z9hG4bK-%b-%d\r\n"
        b"From: sipp <sip:sipp@127.0.0.1:25070>;tag=t%d\r\nTo: %b\r\n"
        b"Call-ID: %d-1@127.0.0.1\r\nCSeq: %d %b\r\nContact: sip:sipp@127.0.0.1:25070\r\n"
        b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ) % (
        method, HOST.encode(), method, number, number,
        (response.first("to") or "").encode(), number, cseq, method,
    )  # fmt: skip


def _reply(data: bytes, status: bytes, sdp: bytes = b"") -> bytes:
    request = parse(data)
    assert isinstance(request, Request)
    echoed = ("via", "from", "call-id", "cseq")
    kept = [line for name in echoed for line in request.raw_lines(name)]
    to = (request.first("to") or "").encode()
    if b"tag=" not in to:
        to += b";tag=vendor" + request.call_id.encode()[:8]
    head = b"SIP/2.0 " + status + b"\r\n" + "\r\n".join(kept).encode() + b"\r\nTo: " + to + b"\r\n"
    head += b"Contact: <sip:127.0.0.1:25080;transport=UDP>\r\n"
    if sdp:
        head += b"Content-Type: application/sdp\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(sdp) + sdp


async def measure(calls: int = 4_000, concurrent: int = 2_000) -> dict[str, float]:
    """The figures."""
    bench = Bench()
    for number in range(200):
        bench.call(number)
    gc.collect()
    gc.freeze()
    bench.spent_s = 0.0
    for number in range(1_000, 1_000 + calls):
        bench.call(number)
    us_per_call = bench.spent_s / calls * 1e6
    bench.switch.close()
    gc.unfreeze()

    held = Bench()
    for number in range(150):
        held.answered(number)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10_000, 10_000 + concurrent):
        held.answered(number)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    held.switch.close()
    assert len(held.switch.calls) == concurrent + 150
    return {"us_per_call": us_per_call, "bytes_per_call": (after - before) / concurrent}


def run() -> dict[str, float]:
    """Measure and print."""
    figures = asyncio.run(measure())
    for name, value in figures.items():
        print(f"{name:>16} {value:10.1f}")  # noqa: T201
    return figures


if __name__ == "__main__":
    run()
