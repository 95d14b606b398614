"""The datagram socket: what gathers, what leaves together, and what cannot leave."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from services.common.pace import Pace
from services.signaling.adapters.acks import _program
from services.signaling.adapters.udp import UdpSocket
from services.signaling.sip.actions import Datagram, Peer
from services.signaling.sip.glance import SHED_TAG, glance
from tests.bench.bench_signaling import _invite
from tests.support.signaling.party import until

BROADCAST = Peer("udp", "255.255.255.255", 5060)


class Traffic:
    """A socket of ours and one of a peer."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.failed: list[str] = []
        self.sock = UdpSocket(
            ("127.0.0.1", 0), 1,
            on_datagrams=lambda batch: self.batches.append([data for data, _ in batch]),
            on_refused=lambda _: None,
            on_failed=self.failed.append,
        )  # fmt: skip
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.setblocking(False)

    @property
    def peer_address(self) -> Peer:
        return Peer("udp", *self.peer.getsockname())

    def busy(self, longest_s: float = 0.05) -> None:
        """As after a second of more datagrams than anybody ever had."""
        self.sock._pace = Pace(quiet_rate=0.0, busy_rate=1.0, longest_s=longest_s)
        self.sock._pace.note(asyncio.get_running_loop().time(), 10**9)

    def close(self) -> None:
        self.sock.close()
        self.peer.close()


async def test_when_there_is_much_datagrams_are_taken_together_and_none_is_lost() -> None:
    traffic = Traffic()
    traffic.sock._pace = Pace(quiet_rate=10.0, busy_rate=100.0, longest_s=0.2)
    traffic.sock.start()

    async def come(count: int) -> None:
        for n in range(count):
            traffic.peer.sendto(b"%d" % n, traffic.sock.address)
            await asyncio.sleep(0)

    await come(40)
    await until(lambda: sum(map(len, traffic.batches)) == 40)
    traffic.batches.clear()
    await come(10)
    await until(lambda: sum(map(len, traffic.batches)) == 10)
    assert traffic.batches == [[b"%d" % n for n in range(10)]]
    # Quiet again, each is taken as it comes.
    await until(lambda: traffic.sock._next_look is None)
    await come(2)
    await until(lambda: sum(map(len, traffic.batches)) == 12)
    traffic.close()


async def test_nothing_gathers_where_datagrams_come_late() -> None:
    traffic = Traffic()
    looks: list[float] = []
    traffic.sock._look_again = looks.append  # type: ignore[assignment]
    traffic.busy(longest_s=0.005)
    traffic.sock._receive()
    traffic.sock._was_late = True
    traffic.sock._receive()
    assert looks == [0.005, 0.0]
    traffic.close()


async def test_what_somebody_listens_for_comes_first_and_what_it_leads_to_leaves_first() -> None:
    traffic = Traffic()
    traffic.busy()
    inside = _invite(2).replace(b"\r\nTo: ", b"\r\nTo: <sip:a@b>;tag=1\r\nSubject: ", 1)
    came = [b"ACK 1", b"SIP/2.0 180 R", inside, _invite(1), b"SIP/2.0 200 O", b"BYE 2"]
    arrived: list[bytes] = []

    def handle(batch: list[Datagram]) -> None:
        with suppress(BlockingIOError):
            while True:
                arrived.append(traffic.peer.recv(2000))
        for data, _ in batch:
            traffic.sock.send(data, traffic.peer_address, "")
        traffic.batches.append([data for data, _ in batch])

    traffic.sock._on_datagrams = handle
    traffic.sock._receive()  # begins to gather
    for data in came:
        traffic.peer.sendto(data, traffic.sock.address)
    await until(lambda: sum(map(len, traffic.batches)) == len(came))
    assert traffic.batches == [came[1::2], came[0::2]]
    assert arrived == came[1::2]
    traffic.close()


async def test_where_datagrams_come_late_the_order_is_left_to_who_sheds() -> None:
    traffic = Traffic()
    traffic.busy()
    traffic.sock._receive()
    traffic.sock._was_late = True
    came = [b"BYE 1", _invite(1)]
    for data in came:
        traffic.peer.sendto(data, traffic.sock.address)
    traffic.sock._receive()
    assert traffic.batches == [came]
    traffic.close()


async def test_what_is_sent_in_one_go_leaves_after_it_in_order() -> None:
    traffic = Traffic()
    for n in range(3):
        traffic.sock.send(b"%d" % n, traffic.peer_address, "")
    await asyncio.sleep(0)
    assert [traffic.peer.recv(100) for _ in range(3)] == [b"0", b"1", b"2"]
    traffic.close()


async def test_nothing_that_was_sent_is_forgotten_at_the_end() -> None:
    traffic = Traffic()
    traffic.sock.send(b"last", traffic.peer_address, "")
    traffic.sock.close()
    assert traffic.peer.recv(100) == b"last"
    traffic.peer.close()


async def test_what_cannot_leave_is_told_by_its_key_and_stops_nothing() -> None:
    traffic = Traffic()
    traffic.sock.send(b"nobody may", BROADCAST, "key")
    traffic.sock.send(bytes(65_508), traffic.peer_address, "large")
    traffic.sock.send(b"nowhere", Peer("udp", "127.0.0.1", 70_000), "port")
    traffic.sock.send(b"nowhere", Peer("udp", "a..b", 5060), "name")
    traffic.sock.send(b"this goes", traffic.peer_address, "fine")
    await until(lambda: len(traffic.failed) == 4)
    assert traffic.failed == ["key", "large", "port", "name"]
    assert traffic.peer.recv(100) == b"this goes"
    traffic.close()


async def test_datagrams_of_equal_length_leave_in_one_call_each_by_itself() -> None:
    traffic = Traffic()
    sent = [b"%03d" % n for n in range(130)]
    traffic.sock.send_alike(sent, traffic.peer_address)
    assert [traffic.peer.recv(100) for _ in sent] == sent
    large = [bytes([n]) * 30_000 for n in range(5)]
    traffic.sock.send_alike(large, traffic.peer_address)
    assert [traffic.peer.recv(40_000) for _ in large] == large
    traffic.close()


async def test_those_leave_after_an_error_too_and_what_cannot_stops_nothing() -> None:
    traffic = Traffic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        nobody = Peer("udp", *gone.getsockname())
    traffic.sock.send_alike([b"1", b"2"], nobody)
    for peer in (BROADCAST, Peer("udp", "127.0.0.1", 70_000), Peer("udp", "a..b", 5060)):
        traffic.sock.send_alike([b"1", b"2"], peer)
    traffic.sock.send_alike([b"1", b"2"], traffic.peer_address)
    assert [traffic.peer.recv(100) for _ in range(2)] == [b"1", b"2"]
    traffic.close()


def _ack(to: bytes) -> bytes:
    lines = (b"ACK sip:2000@127.0.0.1 SIP/2.0", *_invite(1).split(b"\r\n")[1:3], to)
    return b"\r\n".join((*lines, b"Call-ID: a@b", b"CSeq: 1 ACK", b"Max-Forwards: 70", b"", b""))


def test_the_filter_is_small_enough_for_all_kernels() -> None:
    ebpf_bytes = 5 * 8 * len(_program())
    assert ebpf_bytes < 20_480  # net.core.optmem_max


@pytest.mark.parametrize("shift", range(17))
async def test_acks_of_refusals_never_reach_us_and_all_else_does(shift: int) -> None:
    seen = glance(_invite(1))
    assert seen is not None
    traffic = Traffic()
    traffic.sock.start()
    refusal = seen.refusal(traffic.peer_address).data
    (to,) = (line for line in refusal.split(b"\r\n") if line.startswith(b"To:"))
    to = to.replace(b"To: ", b"To: " + b"x" * shift)
    others = [
        _ack(b"To: <sip:x>;tag=" + b"x" * shift + b"QQQQQQQ"),
        _ack(b"To: " + b"x" * 1500 + b";tag=" + SHED_TAG.encode()),
        _ack(to).replace(b"ACK", b"BYE"),
        b"ACK", b"ACK sip:x SIP/2.0\r\n\r\n", b"", b"\r\n\r\n",
    ]  # fmt: skip
    for data in (_ack(to), _ack(to)[:-2] + b"X: " + b"y" * 3000 + b"\r\n\r\n", *others):
        traffic.peer.sendto(data, traffic.sock.address)
    await until(lambda: sum(map(len, traffic.batches)) >= len(others))
    assert [data for batch in traffic.batches for data in batch] == others
    traffic.close()
