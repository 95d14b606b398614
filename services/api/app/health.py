"""How every part of the switch is, as seen from here."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from services.api.ports import Probe

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """One part and its state."""

    name: str
    problem: str
    """Empty when well."""


class Health:
    """Asks all parts at once; none can hold up the answer."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = probes

    async def check(self) -> list[Part]:
        """Every part, in a fixed order."""
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_ask(probe)) for probe in self._probes]
        return [one.result() for one in asked]


async def _ask(probe: Probe) -> Part:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return Part(probe.name, await probe.check())
    except TimeoutError:
        return Part(probe.name, "does not answer")
