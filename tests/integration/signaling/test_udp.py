"""The datagram socket: what gathers, what leaves together, and what cannot leave."""

from __future__ import annotations

import asyncio
import socket

from services.common.pace import Pace
from services.signaling.adapters.udp import UdpSocket
from services.signaling.sip.actions import Peer
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
    pace = traffic.sock._pace = Pace(quiet_rate=0.0, busy_rate=1.0, longest_s=0.005)
    pace.note(asyncio.get_running_loop().time(), 10**9)
    traffic.sock._receive()
    traffic.sock._was_late = True
    traffic.sock._receive()
    assert looks == [0.005, 0.0]
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
