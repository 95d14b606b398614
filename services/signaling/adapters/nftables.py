"""Bans and limits in the kernel, through the program ``nft``.

One table of our own, made at the start and taken away at the end. Changes are gathered and
handed over in one go, a few times a second at the most, and never awaited by what caused them.
When the table is found missing or different, after ``nft flush ruleset`` for instance, it is made
again with everything that is in force.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Sequence
from typing import Final

from services.common.errors import Unavailable
from services.common.logs import get_logger
from services.signaling.core import firewall
from services.signaling.core.guard import Action

log = get_logger(__name__)

_WHAT: Final = "nftables"
_TIMEOUT_S: Final = 10.0
_GATHER_S: Final = 0.2
_RETRY_S: Final = 10.0
MOST_GATHERED: Final = 10_000


def find_nft() -> str | None:
    """The program, which is not on every user's path."""
    return shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")


class NftTable:
    """The table of one process; ``in_force`` tells what the guard has decided so far."""

    def __init__(
        self,
        program: str,
        node: str,
        listeners: Sequence[firewall.Listener],
        in_force: Callable[[], list[Action]],
    ) -> None:
        self.name = firewall.table_name(node)
        self.failures = 0
        """Changes the kernel did not take."""
        self.is_open = False
        self._program = program
        self._listeners = tuple(listeners)
        self._in_force = in_force
        self._trusted: Collection[str] = ()
        self._actions: list[Action] = []
        self._is_trust_new = False
        self._work = asyncio.Event()

    def on_guard(self, actions: list[Action]) -> None:
        """Follow the guard, soon."""
        if len(self._actions) < MOST_GATHERED:
            self._actions += actions
        self._work.set()

    def on_trusted(self, hosts: Collection[str]) -> None:
        """These are the addresses of trunks now."""
        if set(hosts) != set(self._trusted):
            self._trusted, self._is_trust_new = tuple(hosts), True
            self._work.set()

    async def open(self) -> None:
        """Make the table, with what is in force.

        Raises:
            Unavailable: the program fails, for want of rights most likely.
        """
        self._actions.clear()
        self._is_trust_new = False
        text = firewall.create(self.name, self._listeners, self._trusted)
        await self._load(text + firewall.change(self.name, self._in_force()))
        self.is_open = True

    async def run(self) -> None:
        """Keep the table as it should be, until cancelled."""
        while True:
            await self._work.wait()
            await asyncio.sleep(_GATHER_S)
            self._work.clear()
            try:
                await self._follow()
            except Unavailable as error:
                self.failures += 1
                log.warning("firewall.failed", error=str(error))
                await asyncio.sleep(_RETRY_S)
                self._work.set()

    async def close(self) -> None:
        """Take the table away."""
        if not self.is_open:
            return
        self.is_open = False
        try:
            await self._load(firewall.remove(self.name))
        except Unavailable as error:
            log.warning("firewall.left_behind", table=self.name, error=str(error))

    async def _follow(self) -> None:
        if not self.is_open:
            return
        actions, self._actions = self._actions, []
        text = firewall.change(self.name, actions)
        if self._is_trust_new:
            text = firewall.trust(self.name, self._trusted) + text
        try:
            await self._load(text)
            self._is_trust_new = False
        except Unavailable as error:
            log.warning("firewall.remade", error=str(error))
            await self.open()

    async def _load(self, text: str) -> None:
        """Hand rules over, all or none."""
        pipe = asyncio.subprocess.PIPE
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                process = await asyncio.create_subprocess_exec(
                    self._program, "-f", "-", stdin=pipe, stdout=pipe, stderr=pipe
                )
                try:
                    output, errors = await process.communicate(text.encode())
                finally:
                    if process.returncode is None:
                        process.kill()
        except OSError as error:
            raise Unavailable(_WHAT) from error
        if process.returncode != 0:
            said = (errors or output).decode(errors="replace")[:500]
            raise Unavailable(f"{_WHAT}: {said.strip()}")
