"""RFC 4475 and RFC 5118 over real sockets: each message, its answer, what the vendor sees.

After every one of them the same switch serves a good call.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import uvloop

from services.common.causes import EndReason
from services.signaling.core.context import CAPABILITIES
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.sip.actions import Peer
from services.signaling.sip.message import Request, Response, parse
from services.signaling.sip.names import canonical_name
from services.signaling.sip.validate import validate
from tests.support.signaling.party import (
    PATIENCE_S,
    Endpoint,
    Party,
    StreamParty,
    Talk,
    message,
    reply,
    until,
)
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import VENDOR, LoopbackSwitch, running, to_vendor
from tests.support.signaling.torture import ARCHIVE_EXTRA, RFC4475, RFC5118, own_host, rfc4475

CALL = 1
"""The INVITE becomes a call: the vendor is asked, and its 486 passed back."""
NOTHING = 0
"""No answer: a response nobody waits for, or what cannot be answered."""
REGISTER = 401
"""A sound REGISTER is challenged: none of them has a password of ours."""

UDP = {
    # RFC 4475 section 3.1.1: valid
    "wsinv": 481,  # it has a To tag, of a dialog that is not ours; see WITHOUT_TAG
    "intmeth": 501, "esc01": CALL, "escnull": REGISTER, "esc02": 501, "lwsdisp": 200,
    "longreq": CALL, "dblreq": REGISTER, "semiuri": 200, "transports": 200, "mpart01": 405,
    "unreason": NOTHING, "noreason": NOTHING,
    # 3.1.2: invalid
    "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400, "scalarlg": NOTHING,
    "quotbal": 400, "ltgtruri": 400, "lwsruri": 400, "lwsstart": 400, "trws": 400,
    "escruri": 400, "baddate": CALL, "regbadct": 400, "badaspec": 400, "baddn": 400,
    "badvers": 505, "mismatch01": 400, "mismatch02": 501, "bigcode": NOTHING,
    # 3.2 to 3.4: transaction, application, RFC 2543
    "badbranch": 200, "insuf": 400, "unkscm": 416, "novelsc": 416, "unksm2": 400,
    "bext01": 420, "invut": 415, "regaut01": REGISTER, "multi01": 400, "mcl01": 400,
    "bcast": NOTHING, "zeromf": 200, "cparam01": REGISTER, "cparam02": REGISTER,
    "regescrt": REGISTER, "sdp01": CALL, "inv2543": CALL, "test": NOTHING,
    # RFC 5118
    "ipv6-good": REGISTER, "ipv6-bad": 400, "port-ambiguous": REGISTER,
    "port-unambiguous": REGISTER, "via-received-param-with-delim": 481,
    "via-received-param-no-delim": 200, "ipv6-in-sdp": CALL, "mult-ip-in-header": 481,
    "mult-ip-in-sdp": CALL, "ipv4-mapped-ipv6": CALL, "ipv6-bug-abnf-3-colons": 200,
    "ipv6-correct-abnf-2-colons": 200,
}  # fmt: skip
"""What each is answered over UDP."""

CLOSED = -1
"""The stream cannot be cut into messages after this one."""
WAITING = -2
"""The stream waits for the rest of the message, and is closed when none comes."""
TCP = UDP | {
    "clerr": WAITING, "ncl": CLOSED, "mcl01": CLOSED,
    "inv2543": CLOSED,  # no Content-Length, which only datagrams may lack
}  # fmt: skip
"""The same over TCP: no message may borrow bytes from the next."""

MESSAGES = {path.stem: path.read_bytes() for path in sorted(RFC4475.glob("*.dat"))}
MESSAGES |= RFC5118 | {"test": ARCHIVE_EXTRA}

EGRESS_HEADERS = {
    "via", "max-forwards", "from", "to", "call-id", "cseq", "contact", "allow", "user-agent",
    "subject", "content-type", "content-length",
}  # fmt: skip
"""All that may stand in the INVITE a vendor gets for any of them."""


class Recorder(Party):
    """A party that also keeps everything it ever got."""

    def __init__(self) -> None:
        super().__init__()
        self.everything: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.everything.append(data)
        super().datagram_received(data, addr)


@dataclass
class Bench:
    host: str
    switch: LoopbackSwitch
    vendor: Recorder
    address: tuple[str, int]
    ports: dict[int, int]
    """Where the customer really is, by the port he says: well-known ports may be taken here."""

    @asynccontextmanager
    async def caller(self, via_port: int = 0) -> AsyncIterator[Recorder]:
        """The customer; what is for ``via_port`` comes to him."""
        async with Recorder.at(self.host) as caller:
            self.ports[via_port] = caller.address[1]
            yield caller


async def listening(planner: FixedPlanner) -> LoopbackSwitch:
    """A switch at a port that is free for datagrams and for streams."""
    while True:
        switch = LoopbackSwitch(planner)
        try:
            await switch.tcp.listen(("127.0.0.1", switch.port))
        except OSError:
            switch.close()
        else:
            return switch


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    host = own_host()
    async with Recorder.at(VENDOR) as vendor:
        switch = await listening(FixedPlanner(to_vendor(vendor.address)))
        table = {host: CustomerTrunk(id="ctr_1", account_id="acc_1")}
        switch.switch.trunks = TrunkTable(table, vendor_hosts=[VENDOR])
        ports: dict[int, int] = {}
        send = switch.udp.send

        def forward(data: bytes, peer: Peer, key: str) -> None:
            port = ports.get(peer.port, peer.port) if peer.host == host else peer.port
            send(data, peer._replace(port=port), key)

        switch.udp.send = forward  # type: ignore[method-assign] # a network of this test's own
        with running(switch):
            yield Bench(host, switch, vendor, ("127.0.0.1", switch.port), ports)
        assert switch.observations.errors == []


def via_port(data: bytes) -> int:
    """Where the answer to a datagram goes, by its topmost Via (RFC 3261 section 18.2.2)."""
    found = re.search(rb"\nVia: +SIP/2.0/\w+ (?:\[[^]]+\]|[^:;\s]+):(\d+)", data)
    return int(found[1]) if found else 5060


async def exchange(bench: Bench, party: Endpoint, data: bytes) -> list[bytes]:
    """Everything ``data`` is answered at once: all that comes before the answer to an OPTIONS."""
    party.send(data, bench.address)
    party.send(message(party, "OPTIONS", bench.address, call_id="mark"), bench.address)
    answers: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while b"\r\nCall-ID: mark\r\n" not in (answer := await party.inbox.get()):
            answers.append(answer)
    return answers


def unfolded(data: bytes) -> list[str]:
    """The header lines of a message, each folded one joined by a space (section 7.3.1)."""
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
    return re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")[1:]


ECHOED = ("via", "from", "to", "call-id", "cseq")


def assert_echoed(data: bytes, answer: bytes) -> None:
    """Via, From, To, Call-ID and CSeq stand in the answer as they came, byte for byte.

    All that may be added is a tag, and to the topmost Via where it came from. Of repeated
    headers the first is repeated.
    """
    lines = unfolded(answer)
    assert canonical_name(lines[0].partition(":")[0]) == "via"
    seen: set[str] = set()
    for line in unfolded(data):
        name = canonical_name(line.partition(":")[0])
        if name not in ECHOED or (name in seen and name != "via"):
            continue
        is_top_via = name == "via" and name not in seen
        seen.add(name)
        if is_top_via:
            mine = lines[0]
            noted = re.sub(r"(;rport)=\d+|;received=[0-9a-f.:\[\]]+", r"\1", mine)
            assert mine == line or noted == re.sub(r";received=[0-9a-f.:\[\]]+", "", line)
        elif name == "to":
            (to,) = [each for each in lines if canonical_name(each.partition(":")[0]) == "to"]
            assert re.fullmatch(re.escape(line) + r"(;tag=[0-9a-f]+)?", to)
        else:
            assert line in lines


def assert_sound(data: bytes) -> Request:
    """Nothing of a malformed message reaches the other leg."""
    invite = parse(data, stream=True)
    assert isinstance(invite, Request)
    assert validate(invite, CAPABILITIES) is None
    names = {canonical_name(line.partition(":")[0]) for line in invite.lines}
    assert names <= EGRESS_HEADERS, names
    assert b"\0" not in data.partition(b"\r\n\r\n")[0]
    return invite


async def becomes_a_call(bench: Bench, party: Endpoint, data: bytes) -> None:
    invite = await bench.vendor.request("INVITE")
    original = parse(data)
    assert invite.body == original.body
    bench.vendor.send(reply(bench.vendor, invite, 486), bench.address)
    busy = await party.response(486)
    async with asyncio.timeout(PATIENCE_S):
        await bench.vendor.request("ACK")
    assert busy.call_id == original.call_id
    await until(lambda: not bench.switch.switch.calls)


async def serves_a_call(bench: Bench, *, after: list[str]) -> None:
    """A good call goes through; with it the vendor has got this and nothing else."""
    async with bench.caller() as caller:
        talk = Talk(caller, bench.vendor, bench.address)
        await talk.ring()
        await talk.answer()
        await talk.hang_up()
    got = [assert_sound(data) for data in bench.vendor.everything if data[:7] == b"INVITE "]
    methods = [data.split(b" ", 1)[0].decode() for data in bench.vendor.everything]
    assert methods == [*after, "INVITE", "ACK", "BYE"]
    assert len(got) == methods.count("INVITE")
    await until(lambda: not bench.switch.switch.calls)
    assert bench.switch.events.ended[-1].end_reason == EndReason.NORMAL
    assert bench.switch.context.dialogs == {}


def statuses(answers: list[bytes]) -> list[int]:
    found = []
    for answer in answers:
        assert answer.startswith(b"SIP/2.0 ")
        assert answer.count(b"\r\n\r\n") == 1
        found.append(int(answer[8:11]))
    return [status for status in found if status != 100]


@pytest.mark.parametrize("name", MESSAGES)
def test_over_udp(name: str) -> None:
    async def run() -> None:
        data, expected = MESSAGES[name], UDP[name]
        async with bench() as stage:
            async with stage.caller(via_port(data)) as caller:
                answers = await exchange(stage, caller, data)
                assert statuses(answers) == ([expected] if expected > CALL else [])
                for answer in answers:
                    assert_echoed(data, answer)
                if expected == CALL:
                    await becomes_a_call(stage, caller, data)
            await serves_a_call(stage, after=["INVITE", "ACK"] if expected == CALL else [])

    uvloop.run(run())


@pytest.mark.parametrize("name", MESSAGES)
def test_over_tcp(name: str) -> None:
    async def run() -> None:
        data, expected = MESSAGES[name], TCP[name]
        async with bench() as stage:
            _, caller = await asyncio.get_running_loop().create_connection(
                StreamParty, *stage.address, local_addr=(stage.host, 0)
            )
            after: list[str] = []
            if expected == CLOSED:
                caller.send(data, stage.address)
                await closed(caller)
                assert caller.nothing_came()
            elif expected == WAITING:
                caller.send(data, stage.address)
                await until(lambda: stage.switch.tcp.connections == 1)
                (connection,) = stage.switch.tcp._by_number.values()
                await until(lambda: not connection._framing.is_idle)
                assert caller.nothing_came()
                assert connection.is_overdue(asyncio.get_running_loop().time() + 31.0)
            elif name == "dblreq":
                await two_requests(stage, caller, data)
            else:
                answers = await exchange(stage, caller, data)
                assert statuses(answers) == ([expected] if expected > CALL else [])
                for answer in answers:
                    assert_echoed(data, answer)
                if expected == CALL:
                    after = ["INVITE", "ACK"]
                    await becomes_a_call(stage, caller, data)
            caller.transport.abort()
            await serves_a_call(stage, after=after)

    uvloop.run(run())


async def closed(caller: StreamParty) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await caller.closed.wait()


async def two_requests(stage: Bench, caller: StreamParty, data: bytes) -> None:
    """What is rubbish after a datagram's message is the next request of a stream.

    It says it is shorter than it is, and what is left of it frames nothing: the stream is
    closed, once both have been answered.
    """
    caller.send(data, stage.address)
    first, second = await caller.hear(), await caller.hear()
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert (first.status, first.call_id[:9]) == (REGISTER, "dblreq.0h")
    assert (second.status, second.reason) == (400, "Missing Contact")
    assert second.cseq.method == "INVITE"
    await closed(caller)


def test_the_valid_invite_with_a_tag_is_routed_without_it() -> None:
    """``wsinv``, all its folding and blanks included, is a call when it begins one."""

    async def run() -> None:
        data = rfc4475("wsinv").replace(b" ;   tag    = 1918181833n", b"")
        async with bench() as stage:
            async with stage.caller(5060) as caller:
                answers = await exchange(stage, caller, data)
                assert statuses(answers) == []
                assert answers[0].startswith(b"SIP/2.0 100 ")
                assert_echoed(data, answers[0])
                await becomes_a_call(stage, caller, data)
            await serves_a_call(stage, after=["INVITE", "ACK"])

    uvloop.run(run())


def test_what_some_refusals_say() -> None:
    """420 lists what is not understood, 415 what is, 405 what may be asked."""

    async def run() -> None:
        async with bench() as stage, stage.caller(5060) as caller:
            said = {}
            for name in ("bext01", "invut", "mpart01", "badvers"):
                if via_port(MESSAGES[name]) == 5060:
                    said[name] = (await exchange(stage, caller, MESSAGES[name]))[0]
            assert parse(said["bext01"]).headers("unsupported") == [
                "nothingSupportsThis", "nothingSupportsThisEither", "noProxiesSupportThis",
                "norDoAnyProxiesSupportThis",
            ]  # fmt: skip
            assert parse(said["invut"]).headers("accept") == ["application/sdp"]
            assert said["badvers"].startswith(b"SIP/2.0 505 ")

    uvloop.run(run())


def test_two_bare_cookies_are_two_requests() -> None:
    """``badbranch`` twice from different senders: neither takes the other's answer."""

    async def run() -> None:
        data = rfc4475("badbranch")
        async with bench() as stage, stage.caller(5060) as caller:
            first = await exchange(stage, caller, data)
            second = await exchange(stage, caller, data.replace(b"badbranch.", b"other."))
            assert statuses(first + second) == [200, 200]
            assert parse(first[0]).call_id != parse(second[0]).call_id

    uvloop.run(run())


def test_every_message_has_its_expectation() -> None:
    assert set(UDP) == set(TCP) == set(MESSAGES)
    assert len(MESSAGES) == 49 + 12 + 1
    registers = {name for name, data in MESSAGES.items() if data.startswith(b"REGISTER ")}
    assert {UDP[name] for name in registers} == {REGISTER, 400}
