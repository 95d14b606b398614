"""Taking a process out of service: no new calls, and an end to those that do not end."""

from __future__ import annotations

import asyncio
from typing import Final

from services.common.causes import EndReason
from services.signaling.app.switch import Switch

LAST_WORDS_S: Final = 3.0
"""How long parties and media have to answer when the last calls are hung up."""
_CALLS_AT_ONCE: Final = 50
"""Hung up before whatever came meanwhile gets its turn: their BYEs are answered, too."""


async def take_out(switch: Switch) -> None:
    """Refuse new calls and take our registrations back; return when the last call is over.

    Both at once: a registrar that does not answer must not keep the door open meanwhile, nor
    what is hung up when patience is over from being hung up.
    """
    switch.is_draining = True
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(switch.registrations.withdraw())
        tasks.create_task(switch.drain())


async def end_all(switch: Switch) -> None:
    """Hang up every call, and return when their records are written or patience is over."""
    for number, call_id in enumerate(list(switch.calls), start=1):
        switch.hang_up(call_id, EndReason.NODE_SHUTDOWN)
        if number % _CALLS_AT_ONCE == 0:
            await asyncio.sleep(0)
    try:
        async with asyncio.timeout(LAST_WORDS_S):
            await switch.drain()
    except TimeoutError:
        return
