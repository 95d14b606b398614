"""Tells the other services of changes. Implements :class:`services.api.ports.Announcer`."""

from services.common.bus import Bus
from services.common.errors import Unavailable
from services.common.events import CONFIG_CHANGED_SUBJECT, ConfigChanged, encode
from services.common.logs import get_logger

log = get_logger(__name__)


class BusAnnouncer:
    """One plain message; what gets lost, the readers find by polling."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def announce(self, revision: int) -> None:
        """See :meth:`services.api.ports.Announcer.announce`."""
        try:
            await self._bus.publish_core(
                CONFIG_CHANGED_SUBJECT, encode(ConfigChanged(revision=revision))
            )
        except Unavailable:
            log.warning("config.not_announced", revision=revision)
