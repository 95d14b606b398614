"""Bans told to the other nodes, and theirs taken over: who attacks one attacks all.

Core NATS, without a stream: a node that was away learns of the attacker when it is attacked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from services.common.bus import Bus
from services.common.errors import Unavailable
from services.common.logs import get_logger
from services.signaling.core.guard import Action, Ban, Guard, Prove, ban_target

log = get_logger(__name__)

SUBJECT: Final = "guard.bans"
MOST_WAITING: Final = 1_000
LONGEST_S: Final = 7 * 24 * 3600.0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One ban, or its end, as it travels."""

    node: str
    target: str
    seconds: float = 0.0
    """0 ends it."""
    reason: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Told).decode


class SharedBans:
    """``follow`` is what else has to happen here for a ban of another node."""

    def __init__(
        self,
        bus: Bus,
        node: str,
        guard: Guard,
        monotonic: Callable[[], float],
        follow: Callable[[list[Action]], None],
    ) -> None:
        self._bus = bus
        self._node = node
        self._guard = guard
        self._monotonic = monotonic
        self._follow = follow
        self._waiting: asyncio.Queue[Told] = asyncio.Queue(MOST_WAITING)

    def on_guard(self, actions: list[Action]) -> None:
        """Tell the others, soon; beyond what can be told they find out for themselves."""
        for action in actions:
            if isinstance(action, Prove) or self._waiting.full():
                continue
            seconds, reason = action[1:] if isinstance(action, Ban) else (0.0, "")
            told = Told(node=self._node, target=action.target, seconds=seconds, reason=reason)
            self._waiting.put_nowait(told)

    async def run(self) -> None:
        """Listen and tell, until cancelled."""
        await self._bus.subscribe_core(SUBJECT, self._on_told)
        while True:
            told = await self._waiting.get()
            try:
                await self._bus.publish_core(SUBJECT, _encode(told))
            except Unavailable as error:
                log.warning("guard.untold", error=str(error))

    async def _on_told(self, payload: bytes) -> None:
        try:
            told = _decode(payload)
            target = ban_target(told.target)
        except (msgspec.DecodeError, ValueError):
            return
        if told.node == self._node:
            return
        if told.seconds <= 0:
            self._follow(self._guard.unban(target))
        else:
            seconds = min(told.seconds, LONGEST_S)
            now = self._monotonic()
            self._follow(self._guard.ban(target, seconds, now, told.reason[:40]))
