"""Uses of digest nonces told to the other nodes, so that none is good at a second one.

Core NATS, without a stream: who was away does not believe a nonce from before its start. Told is
only what was proven by digest, several uses in one message; between a use and the word of it lie
some milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from services.common.bus import Bus
from services.common.errors import Unavailable
from services.common.logs import get_logger
from services.signaling.core.nonces import LONGEST, Nonces

log = get_logger(__name__)

SUBJECT: Final = "digest.used"
MOST_WAITING: Final = 5_000
"""Uses that wait for the bus; of what is beyond, the others do not hear."""
MOST_TOLD: Final = 1_000
"""Uses in one message: some 70 kB."""
GATHER_S: Final = 0.003

_Nonce = Annotated[str, msgspec.Meta(max_length=LONGEST)]
_Count = Annotated[int, msgspec.Meta(ge=1, lt=2**32)]
_Uses = Annotated[list[tuple[_Nonce, _Count]], msgspec.Meta(max_length=MOST_TOLD)]


class Used(msgspec.Struct, frozen=True):
    """Some uses, as they travel."""

    node: str
    uses: _Uses


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Used).decode


class SharedNonces:
    """``node`` names this run of this process."""

    def __init__(self, bus: Bus, node: str, nonces: Nonces, unix_s: Callable[[], float]) -> None:
        self._bus = bus
        self._node = node
        self._nonces = nonces
        self._unix_s = unix_s
        self._waiting: list[tuple[str, int]] = []
        self._is_waiting = asyncio.Event()
        self.untold = 0
        """Uses that the others did not hear of."""
        self.doubled = 0
        """Uses taken here and at another node: somebody replayed faster than word of it came."""
        nonces.on_used = self._on_used

    async def run(self) -> None:
        """Listen and tell, until cancelled."""
        await self._bus.subscribe_core(SUBJECT, self._on_told)
        while True:
            await self._is_waiting.wait()
            await asyncio.sleep(GATHER_S)
            uses, self._waiting = self._waiting[:MOST_TOLD], self._waiting[MOST_TOLD:]
            if not self._waiting:
                self._is_waiting.clear()
            try:
                await self._bus.publish_core(SUBJECT, _encode(Used(self._node, uses)))
            except Unavailable:
                self.untold += len(uses)

    def _on_used(self, nonce: str, count: int) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.untold += 1
            return
        self._waiting.append((nonce, count))
        self._is_waiting.set()

    async def _on_told(self, payload: bytes) -> None:
        try:
            told = _decode(payload)
        except msgspec.DecodeError:
            return
        if told.node == self._node:
            return
        now_s = int(self._unix_s())
        doubled = sum(not self._nonces.hear(nonce, count, now_s) for nonce, count in told.uses)
        if doubled:
            self.doubled += doubled
            log.warning("digest.replayed", uses=doubled, other=told.node[:100])
