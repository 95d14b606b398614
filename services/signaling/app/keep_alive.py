"""Sends CRLF to those who want to be kept alive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from services.signaling.core.keep_alive import KeepAlives
from services.signaling.ports import Network
from services.signaling.sip.stream import PING

LOOK_EVERY_S: Final = 1.0
"""How often it is looked whose turn it is: intervals are whole seconds."""


async def keep_alive(
    network: Network, keep_alives: KeepAlives, monotonic: Callable[[], float]
) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for peer in keep_alives.due(monotonic()):
            # Without a key: a connection that is not open is not opened for this.
            if not network.send(PING, peer, ""):
                keep_alives.lost(peer)
