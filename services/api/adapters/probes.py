"""How the servers we stand on are. Implement :class:`services.api.ports.Probe`."""

from collections.abc import Awaitable, Callable

from services.common.bus import Bus
from services.common.errors import Unavailable


class CallProbe:
    """Well when a call to it succeeds."""

    def __init__(self, name: str, call: Callable[[], Awaitable[object]]) -> None:
        self.name = name
        self._call = call

    async def check(self) -> str:
        """See :meth:`services.api.ports.Probe.check`."""
        try:
            await self._call()
        except Unavailable as error:
            return str(error)
        return ""


class BusProbe:
    """Well while connected."""

    name = "nats"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def check(self) -> str:
        """See :meth:`services.api.ports.Probe.check`."""
        return "" if self._bus.connected else "not connected"
