"""Everybody who follows the guard: the log, the kernel's firewall, the other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from services.common.bus import Bus
from services.common.errors import Unavailable
from services.common.logs import get_logger
from services.signaling.adapters.nftables import NftTable, find_nft
from services.signaling.adapters.shared_bans import SharedBans
from services.signaling.core.firewall import Listener
from services.signaling.core.guard import Action, Ban, Guard

log = get_logger(__name__)

Mode = Literal["off", "auto", "on"]


class Defence:
    """One per process. ``on_log`` writes the log; ``mode`` is about the firewall."""

    def __init__(
        self,
        guard: Guard,
        bus: Bus,
        *,
        node: str,
        listeners: Sequence[Listener],
        mode: Mode,
        monotonic: Callable[[], float],
        on_log: Callable[[list[Action]], None],
    ) -> None:
        self._guard = guard
        self._monotonic = monotonic
        self._mode = mode
        self._on_log = on_log
        program = find_nft() if mode != "off" else None
        self._nft = NftTable(program or "nft", node, listeners, self._in_force)
        self._shared = SharedBans(bus, node, guard, monotonic, self._follow)

    @property
    def firewall(self) -> str:
        """``off``, or ``on`` with the name of its table."""
        return f"on: table inet {self._nft.name}" if self._nft.is_open else "off"

    @property
    def firewall_failures(self) -> int:
        """Changes the kernel did not take."""
        return self._nft.failures

    def on_guard(self, actions: list[Action]) -> None:
        """The guard of this node decided."""
        self._follow(actions)
        self._shared.on_guard(actions)

    def on_trusted(self, hosts: Collection[str]) -> None:
        """These are the addresses of trunks now."""
        self._nft.on_trusted(hosts)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Put the firewall up, if it shall be; before anybody is heard.

        Raises:
            Unavailable: the firewall is demanded and cannot be had.
        """
        tasks.create_task(self._shared.run())
        if self._mode == "off":
            return
        try:
            await self._nft.open()
        except Unavailable as error:
            if self._mode == "on":
                raise
            log.warning("firewall.without", error=str(error))
            return
        tasks.create_task(self._nft.run())

    async def close(self) -> None:
        """Take the firewall away."""
        await self._nft.close()

    def _follow(self, actions: list[Action]) -> None:
        self._on_log(actions)
        if self._nft.is_open:
            self._nft.on_guard(actions)

    def _in_force(self) -> list[Action]:
        now = self._monotonic()
        return [Ban(one.target, one.until - now, one.reason) for one in self._guard.bans(now)]
