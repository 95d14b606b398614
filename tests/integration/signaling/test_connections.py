"""Streams under limits: idle, half open, slow, too many, reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from services.signaling.adapters import connection
from services.signaling.adapters.connection import mark
from services.signaling.adapters.tcp import StreamLimits, TcpTransport
from services.signaling.adapters.tls import TlsContexts
from services.signaling.sip.actions import Datagram, Peer
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import PATIENCE_S, StreamParty, message, on_uvloop, until
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.secure import Authority, TlsParty, WebSocketParty
from tests.support.signaling.switch import CALLER, VENDOR, to_vendor, two_parties

OPTIONS = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"


class Heard:
    """A pool, and what it has been told and has lost."""

    def __init__(self, **how: object) -> None:
        self.messages: list[Datagram] = []
        self.failed: list[str] = []
        self.lost: list[Peer] = []
        self.pool = TcpTransport(
            on_messages=self.messages.extend,
            on_failed=self.failed.append,
            on_lost=self.lost.append,
            **how,  # type: ignore[arg-type] # named in each test
        )


@asynccontextmanager
async def listening(transport: str = "tcp", **how: object) -> AsyncIterator[tuple[Heard, int]]:
    heard = Heard(**how)
    port = await heard.pool.listen(("127.0.0.1", 0), transport, 5)
    try:
        yield heard, port
    finally:
        heard.pool.close()


def connected(port: int, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket()
    sock.bind((host, 0))
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(("127.0.0.1", port))
    return sock


async def close_all(socks: list[socket.socket], pool: TcpTransport) -> None:
    for sock in socks:
        sock.close()
    await until(lambda: pool.connections == 0)


async def flood(heard: Heard, port: int, many: int, network: str) -> list[socket.socket]:
    """Connections from 250 addresses that say nothing, as fast as they are taken."""
    pool = heard.pool
    before = pool.connections + pool.refused
    socks = []
    for number in range(1, many + 1):
        socks.append(connected(port, f"{network}.{number % 250}.1"))
        if number % 500 == 0:
            taken = before + number
            async with asyncio.timeout(PATIENCE_S):
                while pool.connections + pool.refused < taken:  # noqa: ASYNC110
                    await asyncio.sleep(0)
    return socks


async def left(heard: Heard, connections: int) -> None:
    """Wait until so many connections are left."""
    await until(lambda: heard.pool.connections == connections)


async def is_closed(sock: socket.socket) -> bool:
    """Whether the other end closes this, sooner or later."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while await asyncio.get_running_loop().sock_recv(sock, 1000):
                pass
        except ConnectionResetError:
            return True
    return True


@on_uvloop
async def test_a_connection_carries_the_number_of_its_listener() -> None:
    async with listening() as (heard, port):
        sock = connected(port)
        await left(heard, 1)
        sock.send(OPTIONS)
        await until(lambda: bool(heard.messages))
        data, peer = heard.messages[0]
        assert data == OPTIONS
        assert (peer.transport, peer.host, peer.connection % 64) == ("tcp", "127.0.0.1", 5)
        assert heard.pool.send(b"answer", peer, "")
        assert await asyncio.get_running_loop().sock_recv(sock, 100) == b"answer"
        await close_all([sock], heard.pool)
        assert not heard.pool.send(b"answer", peer, "")
        assert heard.lost == []  # it carried no request: nobody waits


@on_uvloop
async def test_bug_class_15_ten_thousand_idle_connections_lock_nobody_out() -> None:
    limits = StreamLimits(most=2_000)
    async with listening(limits=limits) as (heard, port):
        # 250 machines with 40 connections each: none is over its own limit.
        idle = await flood(heard, port, 10_000, "127.9")
        assert heard.pool.connections == limits.most
        # Somebody honest comes in the middle of it, and is served.
        honest = connected(port, "127.0.0.77")
        await asyncio.get_running_loop().sock_sendall(honest, OPTIONS)
        await until(lambda: bool(heard.messages))
        # Who has spoken stays while newcomers are silent.
        more = await flood(heard, port, 3_000, "127.8")
        assert heard.pool.connections == limits.most
        assert heard.pool.send(b"still here", heard.messages[0][1], "")
        assert await asyncio.get_running_loop().sock_recv(honest, 100) == b"still here"
        await close_all([*idle, *more, honest], heard.pool)
        pool = heard.pool
        assert (pool._from_host, pool._by_peer, pool._silent, pool._strangers) == ({},) * 4


@on_uvloop
async def test_bug_class_15_one_source_gets_no_more_than_its_share() -> None:
    knows = partial(str.__eq__, "127.0.0.50")
    limits = StreamLimits(most=1000, most_from_stranger=10, most_from_trunk=30)
    async with listening(limits=limits, knows=knows) as (heard, port):
        stranger = [connected(port, "127.0.0.66") for _ in range(200)]
        trunk = [connected(port, "127.0.0.50") for _ in range(40)]
        await until(lambda: heard.pool.refused == 200)
        assert heard.pool._from_host == {"127.0.0.66": 10, "127.0.0.50": 30}
        await close_all(stranger + trunk, heard.pool)
        assert heard.pool._from_host == {}


@on_uvloop
async def test_bug_class_15_invites_followed_by_resets() -> None:
    async with two_parties() as (_, vendor, switch, _talk):
        port = await switch.tcp.listen(("127.0.0.1", 0))
        switch.planner.plan_now = FixedPlanner(to_vendor(vendor.address)).plan_now
        loop = asyncio.get_running_loop()
        for number in range(300):
            sock = connected(port, CALLER)
            party = StreamParty()
            party.address = sock.getsockname()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            invite = message(
                party, "INVITE", ("127.0.0.1", port), call_id=f"rst-{number}", body=OFFER
            )
            await loop.sock_sendall(sock, invite)
            sock.close()  # by RST
        await until(lambda: switch.tcp.connections == 0)
        assert (switch.tcp._from_host, switch.tcp._by_peer) == ({}, {})
        assert switch.observations.errors == []


@on_uvloop
async def test_handshakes_that_never_end_are_ended(tmp_path: Path) -> None:
    contexts = TlsContexts(Authority(tmp_path).files("127.0.0.1"))
    for transport in ("tls", "ws", "wss"):
        async with listening(transport, contexts=contexts) as (heard, port):
            silent, half = connected(port), connected(port)
            await left(heard, 2)
            await asyncio.get_running_loop().sock_sendall(half, b"\x16\x03\x01\x02\x00\x01")
            now = asyncio.get_running_loop().time()
            heard.pool.tidy(now + connection.HANDSHAKE_TIMEOUT_S - 1)
            assert heard.pool.connections == 2
            heard.pool.tidy(now + connection.HANDSHAKE_TIMEOUT_S + 1)
            await left(heard, 0)
            for sock in (silent, half):
                assert await is_closed(sock)
                sock.close()


@on_uvloop
async def test_a_stranger_with_nothing_to_say_and_half_a_message() -> None:
    async with listening() as (heard, port):
        silent, half, calm = connected(port), connected(port), connected(port)
        await left(heard, 3)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(half, OPTIONS + OPTIONS[:10])
        await loop.sock_sendall(calm, OPTIONS)
        await until(lambda: len(heard.messages) == 2)
        now = loop.time()
        heard.pool.tidy(now + connection.MESSAGE_TIMEOUT_S + 1)
        await left(heard, 2)
        heard.pool.tidy(now + connection.SILENCE_TIMEOUT_S + 1)
        await left(heard, 1)
        heard.pool.tidy(now + connection.IDLE_TIMEOUT_S + 1)
        await left(heard, 0)
        await close_all([silent, half, calm], heard.pool)


@on_uvloop
async def test_a_busy_stream_is_not_taken_for_a_stuck_one() -> None:
    """Every read ends within a message, for longer than one message may take."""
    async with listening() as (heard, port):
        sock, loop = connected(port), asyncio.get_running_loop()
        await left(heard, 1)
        (one,) = heard.pool._by_number.values()
        one._busy_since = loop.time() - connection.MESSAGE_TIMEOUT_S + 1
        await loop.sock_sendall(sock, OPTIONS + OPTIONS[:10])
        await until(lambda: len(heard.messages) == 1)
        heard.pool.tidy(loop.time() + 2)
        await loop.sock_sendall(sock, OPTIONS[10:])
        await until(lambda: len(heard.messages) == 2)
        await close_all([sock], heard.pool)


@on_uvloop
async def test_closed_by_reset_where_the_setting_says_so() -> None:
    for resets in (False, True):
        async with listening(resets=resets) as (heard, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: many\r\n\r\n")
            async with asyncio.timeout(PATIENCE_S):
                try:
                    assert await reader.read() == b""
                    assert not resets
                except ConnectionResetError:
                    assert resets
            writer.close()
            await left(heard, 0)


@on_uvloop
async def test_packets_carry_their_class_of_service() -> None:
    async with listening(dscp=40) as (heard, port):
        sock = connected(port)
        await left(heard, 1)
        (one,) = heard.pool._by_number.values()
        assert one._transport is not None
        accepted = one._transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 40 << 2
        await close_all([sock], heard.pool)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as v6:
        mark(v6, 40)
        assert v6.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 40 << 2


@on_uvloop
async def test_what_waits_for_a_connection_that_fails_is_told(tmp_path: Path) -> None:
    contexts = TlsContexts(Authority(tmp_path).files("127.0.0.1"))
    heard = Heard(contexts=contexts)
    plain = await asyncio.get_running_loop().create_server(StreamParty, VENDOR, 0)
    port = plain.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(heard.pool.run())
        nobody = Peer("tcp", VENDOR, 9)
        assert heard.pool.send(b"1", nobody, "first")
        assert heard.pool.send(b"2", nobody, "second")
        await until(lambda: heard.failed == ["first", "second"])
        # No answer to the handshake: it is in the end the tidying that gives up.
        assert heard.pool.send(b"3", Peer("tls", VENDOR, port), "third")
        await until(lambda: any(each.made_at for each in heard.pool._by_number.values()))
        heard.pool.tidy(asyncio.get_running_loop().time() + connection.HANDSHAKE_TIMEOUT_S + 1)
        await until(lambda: heard.failed == ["first", "second", "third"])
        running.cancel()
    plain.close()
    assert heard.pool.connections == 0
    assert not heard.pool.send(b"4", Peer("wss", VENDOR, port), "fourth")


@on_uvloop
async def test_a_connection_with_requests_is_missed() -> None:
    async with listening() as (heard, port):
        sock = connected(port)
        await asyncio.get_running_loop().sock_sendall(sock, OPTIONS)
        await until(lambda: bool(heard.messages))
        peer = heard.messages[0][1]
        assert heard.pool.send(b"BYE", peer, "key")
        sock.close()
        await until(lambda: heard.lost == [peer, peer._replace(connection=0)])


@on_uvloop
async def test_garbage_ends_the_connection_and_nothing_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    contexts, trust = TlsContexts(authority.files("127.0.0.1")), authority.client()
    garbage = b"\r\0garbage" * 2000
    for transport in ("tcp", "tls", "ws", "wss"):
        async with listening(transport, contexts=contexts) as (heard, port):
            raw = connected(port)
            await asyncio.get_running_loop().sock_sendall(raw, garbage)
            assert await is_closed(raw)
            raw.close()
            for party in await shaken(transport, ("127.0.0.1", port), trust):
                party.transport.write(garbage)
                async with asyncio.timeout(PATIENCE_S):
                    await party.closed.wait()
            await left(heard, 0)
            assert heard.messages == []


async def shaken(transport: str, to: tuple[str, int], trust: ssl.SSLContext) -> list[StreamParty]:
    """Somebody whose handshakes are done, where there are any."""
    if transport == "tls":
        return [await TlsParty.connect(to, trust, CALLER)]
    if transport == "tcp":
        return []
    return [await WebSocketParty.connect(to, trust if transport == "wss" else None, CALLER)]
