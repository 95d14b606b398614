"""Many calls that came to nothing, as one record with a count.

While a source floods, or where the operator wants it so, calls that nobody answered are counted
by source and cause instead of being written one by one. A few seconds' worth become one record:
the first of them, less what differs from call to call. Every call is counted in exactly one.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple

import msgspec

from services.common.events import Attempt, CallEnded

GATHER_S: Final = 5.0
"""How long one record gathers: what a killed process loses of them at the most."""
MOST_OPEN: Final = 4096
"""Records gathering at once; further sources share one per cause."""

_NULL: Final = msgspec.Raw(b"null")


class _Key(NamedTuple):
    customer_trunk_id: str
    source: str
    vendor_trunk_id: str
    end_reason: str
    sip_code_out: int


class _Open:
    __slots__ = ("count", "ended_at", "first", "until")

    def __init__(self, first: CallEnded, until: float) -> None:
        self.first = first
        self.until = until
        self.count = first.count
        self.ended_at: dt.datetime = first.ended_at


def source_host(source: str) -> str:
    """The address of ``host:port;transport``, as records write it."""
    return source.partition(";")[0].rpartition(":")[0].strip("[]")


class Aggregates:
    """What is being gathered, oldest first."""

    def __init__(self) -> None:
        self._open: dict[_Key, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, event: CallEnded, now: float) -> None:
        """Count a call that is over; it must not have been answered."""
        host = source_host(event.source)
        key = _key_of(event, host)
        if key not in self._open and len(self._open) >= MOST_OPEN:
            host = ""
            key = _key_of(event, host)
        one = self._open.get(key)
        if one is None:
            self._open[key] = _Open(_stripped(event, host), now + GATHER_S)
            return
        one.count += event.count
        one.ended_at = max(one.ended_at, event.ended_at)

    def bump(
        self, trunk_id: str, host: str, end_reason: str, status: int, wall: dt.datetime
    ) -> bool:
        """Count one more call that was turned away, if a record for it is gathering already."""
        one = self._open.get(_Key(trunk_id, host, "", end_reason, status))
        if one is None:
            return False
        one.count += 1
        one.ended_at = max(one.ended_at, wall)
        return True

    def due(self, now: float) -> list[CallEnded]:
        """The records that have gathered long enough."""
        ready: list[CallEnded] = []
        for key, one in list(self._open.items()):
            if one.until > now:
                break
            del self._open[key]
            ready.append(
                msgspec.structs.replace(one.first, count=one.count, ended_at=one.ended_at)
            )
        return ready


def _key_of(event: CallEnded, host: str) -> _Key:
    last = event.attempts[-1].vendor_trunk_id if event.attempts else ""
    return _Key(event.customer_trunk_id, host, last, event.end_reason, event.sip_code_out)


def _stripped(event: CallEnded, host: str) -> CallEnded:
    """The first call of a record, without what is its own. No terms: nothing is charged."""
    return msgspec.structs.replace(
        event,
        source=host,
        attempts=tuple(_stripped_attempt(one) for one in event.attempts[-1:]),
        caller_billed="",
        called_billed="",
        sell_terms=_NULL,
        reservation_id="",
        explanation=_NULL,
    )


def _stripped_attempt(attempt: Attempt) -> Attempt:
    return msgspec.structs.replace(attempt, sip_call_id="", buy_terms=_NULL)
