"""Messages that waited in the kernel are known by their age, and overload sheds new calls only."""

from __future__ import annotations

import asyncio
import socket

from services.common.clock import wall_ns
from services.signaling.adapters.udp import _SO_TIMESTAMPNS, _STAMP, WATCHED_FROM, UdpSocket
from services.signaling.core.overload import Overload
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import message, until
from tests.support.signaling.switch import two_parties


def kernel_stamps() -> bool:
    """The kernel begins to stamp a moment after it is first asked to."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        receiver.bind(("127.0.0.1", 0))
        sender.sendto(b"x", receiver.getsockname())
        read_at = wall_ns()
        (_, _, stamp) = receiver.recvmsg(1, 64)[1][0]
        seconds, nanoseconds = _STAMP.unpack(stamp)
        return int(seconds) * 1_000_000_000 + int(nanoseconds) < read_at


async def test_age_of_what_waited_is_told_before_it_is_handed_over() -> None:
    told: list[float] = []
    taken: list[tuple[int, int]] = []
    sock = UdpSocket(
        ("127.0.0.1", 0),
        1,
        on_datagrams=lambda batch: taken.append((len(told), len(batch))),
        on_refused=lambda _: None,
        on_failed=lambda _: None,
        on_age=told.append,
    )
    await until(kernel_stamps)
    total = 8 * WATCHED_FROM
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(total):
            sender.sendto(b"x", sock.address)
    await asyncio.sleep(0.05)  # what is measured
    sock.start()
    await until(lambda: sum(count for _, count in taken) == total)
    sock.close()
    # 1, 2, 4 and 8 at once are not worth a look.
    assert [seen for seen, _ in taken[:5]] == [0, 0, 0, 0, 1]
    assert told[0] >= 0.05
    assert all(age < 60 for age in told)


async def test_quiet_socket_is_not_looked_at() -> None:
    told: list[float] = []
    taken: list[tuple[bytes, Peer]] = []
    sock = UdpSocket(
        ("127.0.0.1", 0), 1, on_datagrams=taken.extend, on_refused=lambda _: None,
        on_failed=lambda _: None, on_age=told.append,
    )  # fmt: skip
    sock.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for n in range(50):
            sender.sendto(b"x", sock.address)
            await until(lambda n=n: len(taken) == n + 1)  # type: ignore[misc]
    sock.close()
    assert told == []


async def test_under_overload_new_calls_are_refused_and_those_in_progress_end_well() -> None:
    async with two_parties() as (caller, _, switch, talk):
        await talk.ring()
        await talk.answer()
        overload: Overload = switch.switch.shedding.overload
        overload._dice = lambda: 0.99
        overload.is_active, overload.share = True, 0.1
        overload._tick_at = float("inf")
        fresh = message(caller, "INVITE", talk.switch, call_id="shed", body=OFFER)
        caller.send(fresh, talk.switch)
        refusal = await caller.response(503)
        assert int(refusal.first("retry-after") or "") == 10
        assert len(switch.switch.calls) == 1
        await talk.hang_up()
        assert switch.switch.counters.shed == 1
