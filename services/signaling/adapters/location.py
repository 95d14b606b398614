"""Registered contacts on the bus. Implements :class:`services.signaling.ports.LocationStore`.

One subject per contact, of which the stream keeps the last message: a node that starts reads
them all, and hears of every change from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

import msgspec

from services.common.bus import Bus, Message
from services.common.errors import Unavailable
from services.common.events import LOCATION_STREAM
from services.common.logs import get_logger
from services.signaling.core.location import Binding

log = get_logger(__name__)

AT_ONCE: Final = 64
"""Messages on their way to the server: each waits for its disk."""
FORGOTTEN_AFTER_S: Final = 600.0
_PAUSE_S: Final = 0.5

OnStored = Callable[[str, str, Binding | None], None]
"""Called with username, binding id, and the binding or ``None`` when it is gone."""


class _Stored(msgspec.Struct, frozen=True):
    """The last word on one contact."""

    origin: str
    """The process that wrote it."""
    username: str
    id: str
    binding: Binding | None = None


_decode = msgspec.json.Decoder(_Stored).decode


class BusLocations:
    """Writes behind, newest state first and only; reads what others write.

    ``origin`` must differ between the runs of a process: what it wrote before a restart has to
    be read again, what it writes now not.
    """

    def __init__(self, bus: Bus, origin: str, on_stored: OnStored) -> None:
        self._bus = bus
        self._origin = origin
        self._on_stored = on_stored
        self._unsent: dict[str, bytes] = {}
        self._wakes = asyncio.Event()
        self._numbers = count(1)

    @property
    def backlog(self) -> int:
        """Contacts whose last state is not stored yet."""
        return len(self._unsent)

    def put(self, binding: Binding) -> None:
        """See :meth:`services.signaling.ports.LocationStore.put`."""
        self._write(_Stored(self._origin, binding.username, binding.id, binding))

    def remove(self, binding: Binding) -> None:
        """See :meth:`services.signaling.ports.LocationStore.remove`."""
        self._write(_Stored(self._origin, binding.username, binding.id))

    def _write(self, stored: _Stored) -> None:
        self._unsent[stored.id] = msgspec.json.encode(stored)
        self._wakes.set()

    async def run(self) -> None:
        """Write and read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(
                self._bus.consume(
                    LOCATION_STREAM,
                    "location.>",
                    f"location-{self._origin}",
                    self._take,
                    forgotten_after_s=FORGOTTEN_AFTER_S,
                )
            )

    async def _send(self) -> None:
        while True:
            await self._wakes.wait()
            self._wakes.clear()
            while self._unsent:
                batch = list(self._unsent.items())[:AT_ONCE]
                await self._bus.wait_connected()
                try:
                    async with asyncio.TaskGroup() as tasks:
                        for identity, payload in batch:
                            tasks.create_task(self._publish(identity, payload))
                except* Unavailable:
                    await asyncio.sleep(_PAUSE_S)

    async def _publish(self, identity: str, payload: bytes) -> None:
        msg_id = f"{self._origin}/{next(self._numbers)}"
        await self._bus.publish(f"location.{identity}", payload, msg_id)
        if self._unsent.get(identity) is payload:
            del self._unsent[identity]

    async def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            try:
                stored = _decode(message.payload)
            except msgspec.DecodeError as error:
                log.warning("location.unreadable", subject=message.subject, error=str(error))
                continue
            if stored.origin != self._origin:
                self._on_stored(stored.username, stored.id, stored.binding)
