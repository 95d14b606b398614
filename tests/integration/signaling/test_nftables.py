"""The table in a real kernel: a network namespace of the test's own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import socket
import subprocess
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.common.errors import Unavailable
from services.signaling.adapters.nftables import NftTable, find_nft
from services.signaling.core.guard import Action, Ban, Unban
from tests.support.signaling.party import until

IS_CI = os.environ.get("CI") == "true"
pytestmark = pytest.mark.skipif(
    not IS_CI and (os.geteuid() != 0 or find_nft() is None),
    reason="needs root and the program nft",
)

CLONE_NEWNET = 0x40000000
TRUNK, FLOODER, STRANGER = "127.0.0.2", "127.0.0.7", "127.0.0.8"
Story = Callable[["Port"], Coroutine[object, object, None]]
OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n"


def in_namespace(story: Story) -> None:
    """Tell a story on a thread that has a network of its own."""

    def run() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            assert not IS_CI, "no network namespace to be had"
            pytest.skip("no network namespace to be had")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        port = Port()
        try:
            asyncio.run(story(port))
        finally:
            port.socket.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(run).result()


class Port:
    """A socket where signaling would listen, and others that send to it."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()

    def through(self, host: str, data: bytes = OPTIONS, times: int = 1) -> int:
        """How many of so many datagrams arrive: over loopback they are there once sent."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((host, 0))
            for _ in range(times):
                sender.sendto(data, self.address)
        count = 0
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(65_535)
            count += 1
        return count


def nft_program(*arguments: str) -> str:
    command = [str(find_nft()), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def table(port: Port, in_force: list[Action]) -> NftTable:
    made = NftTable(str(find_nft()), "n1", [port.address], lambda: in_force)
    made.on_trusted([TRUNK, "127.0.5.0/24", "127.0.5.1"])
    return made


def test_kernel_keeps_out_whom_the_guard_bans() -> None:
    async def story(port: Port) -> None:
        nft = table(port, [Ban(STRANGER, 600, "operator")])
        await nft.open()
        assert port.through(STRANGER) == 0
        assert port.through(TRUNK, times=1000) == 1000
        assert port.through(FLOODER) == 1
        assert port.through("127.0.5.9", times=1000) == 1000
        nft.on_guard([Ban(FLOODER, 600, "scanner"), Ban(TRUNK, 600, "x"), Unban(STRANGER)])
        await nft._follow()
        assert port.through(FLOODER) == 0
        assert port.through(TRUNK) == 1
        assert port.through(STRANGER) == 1
        nft.on_guard([Ban("127.0.0.0/24", 600, "unknown_source")])
        await nft._follow()
        assert port.through("127.0.0.99") == 0
        await nft.close()
        assert port.through("127.0.0.99") == 1
        assert nft_program("list", "ruleset") == ""

    in_namespace(story)


def test_kernel_limits_strangers_and_drops_what_is_no_sip() -> None:
    async def story(port: Port) -> None:
        nft = table(port, [])
        await nft.open()
        assert port.through(FLOODER, b"garbage", times=20) == 0
        assert port.through(FLOODER, b"OPTIONS sip:100@1.2.3.4 SIP/2.0\r\n\r\n") == 0
        assert port.through(FLOODER, b"\r\n\r\n") == 1
        assert port.through(TRUNK, b"garbage") == 1
        # A hundred at once, fifty per second: however slow this machine, not all of these.
        assert 50 <= port.through(FLOODER, times=20_000) < 10_000
        assert port.through(STRANGER, times=20) == 20
        await nft.close()

    in_namespace(story)


def test_table_that_a_crash_left_or_an_operator_flushed_is_made_anew() -> None:
    async def story(port: Port) -> None:
        left_behind = table(port, [Ban(STRANGER, 600, "x")])
        await left_behind.open()
        nft = table(port, [Ban(FLOODER, 600, "x")])
        await nft.open()
        assert port.through(STRANGER) == 1
        assert port.through(FLOODER) == 0
        nft_program("flush", "ruleset")
        assert port.through(FLOODER) == 1
        nft.on_guard([Ban(STRANGER, 600, "x")])
        await nft._follow()
        assert port.through(FLOODER) == 0
        nft.on_trusted([FLOODER])
        await nft._follow()
        assert port.through(FLOODER) == 1
        await nft.close()

    in_namespace(story)


def test_changes_are_followed_in_the_background_until_cancelled() -> None:
    async def story(port: Port) -> None:
        nft = table(port, [])
        await nft.open()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(nft.run())
            nft.on_guard([Ban(FLOODER, 600, "x")])
            await until(lambda: FLOODER in nft_program("list", "ruleset"))
            assert port.through(FLOODER) == 0
            running.cancel()
        await nft.close()

    in_namespace(story)


async def test_program_that_fails_is_told_as_such() -> None:
    nft = NftTable("/bin/false", "n1", [("127.0.0.1", 5060)], list)
    with pytest.raises(Unavailable):
        await nft.open()
    await nft.close()
    nft = NftTable("/nowhere/nft", "n1", [("127.0.0.1", 5060)], list)
    with pytest.raises(Unavailable):
        await nft.open()
