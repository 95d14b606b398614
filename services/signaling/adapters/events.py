"""Events into the local spool. Implements :class:`services.signaling.ports.EventLog`."""

from __future__ import annotations

from collections.abc import Callable

from services.common.events import (
    ENDED_SUBJECT,
    PROGRESS_SUBJECT,
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    encode,
)
from services.common.spool import Spool


class SpooledEvents:
    """Encodes events and appends them."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def append(self, event: CallStarted | CallRinging | CallEnded) -> None:
        """See :meth:`services.signaling.ports.EventLog.append`."""
        subject = ENDED_SUBJECT if isinstance(event, CallEnded) else PROGRESS_SUBJECT
        self._spool.append(subject, encode(event))

    def persist(self, event: CallAnswered, on_durable: Callable[[bool], None]) -> None:
        """See :meth:`services.signaling.ports.EventLog.persist`."""
        self._spool.append(PROGRESS_SUBJECT, encode(event), on_durable)
