"""Events on their way to the spool: in a flood, calls that came to nothing are summed.

Stands before the spool, because there it saves the whole chain: disk, bus, ledger, record store,
webhooks. Implements :class:`services.signaling.ports.EventLog`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import msgspec

from services.common.causes import SIP_OF_REASON, EndReason, q850_of_sip
from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted
from services.signaling.core.aggregate import MOST_OPEN, Aggregates, source_host
from services.signaling.core.flood import FloodMeters
from services.signaling.core.record import CallRecord, bounded, peer_text
from services.signaling.core.refusals import numbers_of
from services.signaling.core.switch_settings import SwitchSettings
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.ports import EventLog
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import Request, parse


class _Shed:
    """INVITEs of one source that were turned away since the last flush."""

    __slots__ = ("number", "record", "trunk")

    def __init__(self, record: CallRecord, trunk: CustomerTrunk | None) -> None:
        self.record = record
        self.trunk = trunk
        self.number = 0


class SummedEvents:
    """Passes events on, or counts them; :meth:`flush` passes on what was counted."""

    def __init__(
        self,
        inner: EventLog,
        *,
        node: str,
        monotonic: Callable[[], float],
        utc_now: Callable[[], dt.datetime],
        new_call_id: Callable[[], str],
    ) -> None:
        self.settings = SwitchSettings()
        """Replaced when the operator changes them."""
        self.meters = FloodMeters()
        self.summed = 0
        """Calls counted instead of written."""
        self._inner = inner
        self._node = node
        self._monotonic = monotonic
        self._utc_now = utc_now
        self._new_call_id = new_call_id
        self._aggregates = Aggregates()
        self._held: dict[str, CallStarted] = {}
        self._shed: dict[tuple[str, str], _Shed] = {}

    def append(self, event: CallStarted | CallRinging | CallEnded) -> None:
        """See :meth:`services.signaling.ports.EventLog.append`."""
        if isinstance(event, CallEnded):
            self._end(event)
        elif isinstance(event, CallStarted) and self._sums(event.customer_trunk_id, event.source):
            # Told once the call is more than an attempt.
            self._held[event.call_id] = event
        else:
            self._tell_start(event.call_id)
            self._inner.append(event)

    def persist(self, event: CallAnswered, on_durable: Callable[[bool], None]) -> None:
        """See :meth:`services.signaling.ports.EventLog.persist`."""
        self._tell_start(event.call_id)
        self._inner.persist(event, on_durable)

    def shed(self, source: Peer, trunk: CustomerTrunk | None, now: float, number: int) -> None:
        """Count INVITEs that were turned away for want of time, in as little of it as can be."""
        key = (trunk.id if trunk is not None else "", source.host)
        count = self._shed.get(key)
        if count is None and len(self._shed) < MOST_OPEN:
            count = self._shed[key] = _Shed(self._record(source, now), trunk)
        elif count is None:
            count = self._shed.setdefault(("", ""), _Shed(self._record(source, now), None))
        count.number += number

    def illegal(self, data: bytes | Request, source: Peer, now: float) -> None:
        """Count an INVITE of somebody nobody knows, if the operator wants to know of those."""
        self.meters.attempt(source.host, now, is_stranger=True)
        reason = EndReason.ILLEGAL_CALL
        if not self.settings.record_illegal_calls or self._counts_again("", source, reason, 0):
            return
        record = self._record(source, now)
        try:
            invite = parse(data) if isinstance(data, bytes) else data
            if isinstance(invite, Request):
                record.sip_call_id = bounded(invite.call_id)
                record.caller, record.called = numbers_of(invite)
        except MalformedMessage:
            pass
        record.end(reason, now)
        self._aggregates.add(record.ended(), now)

    def _tell_shed(self, one: _Shed, now: float) -> None:
        record, trunk, count = one.record, one.trunk, one.number
        if trunk is not None:
            record.customer_trunk_id, record.account_id = trunk.id, trunk.account_id
        status = SIP_OF_REASON[EndReason.OVERLOAD]
        record.end(EndReason.OVERLOAD, now)
        record.sip_code_out, record.q850_out = status, q850_of_sip(status)
        self._aggregates.add(msgspec.structs.replace(record.ended(), count=count), now)
        self.summed += count
        source = record.customer_trunk_id or source_host(record.source)
        self.meters.attempt(source, now, count=count, is_stranger=trunk is None)

    def _counts_again(self, trunk_id: str, source: Peer, reason: EndReason, status: int) -> bool:
        self.summed += 1
        return self._aggregates.bump(trunk_id, source.host, reason, status, self._utc_now())

    def _record(self, source: Peer, now: float) -> CallRecord:
        record = CallRecord(self._new_call_id(), self._node, now, self._utc_now())
        record.source = peer_text(source)
        return record

    def flush(self, now: float = float("inf")) -> None:
        """Pass on the sums that have gathered long enough; without ``now``, all of them."""
        shed, self._shed = self._shed, {}
        for one in shed.values():
            self._tell_shed(one, self._monotonic())
        for event in self._aggregates.due(now):
            self._inner.append(event)

    def _end(self, event: CallEnded) -> None:
        now = self._monotonic()
        trunk_id = event.customer_trunk_id
        source = trunk_id or source_host(event.source)
        is_flooding = self.meters.attempt(source, now, is_stranger=not trunk_id)
        settings = self.settings
        wants_sum = (
            is_flooding and settings.flood_autopilot
        ) or not settings.record_zero_hold_time
        if wants_sum and event.answered_at is None:
            self._held.pop(event.call_id, None)
            self.summed += 1
            self._aggregates.add(event, now)
            return
        self._tell_start(event.call_id)
        self._inner.append(event)

    def _sums(self, trunk_id: str, source: str) -> bool:
        settings = self.settings
        if not settings.record_zero_hold_time:
            return True
        return settings.flood_autopilot and self.meters.is_flooding(
            trunk_id or source_host(source)
        )

    def _tell_start(self, call_id: str) -> None:
        if self._held and (started := self._held.pop(call_id, None)) is not None:
            self._inner.append(started)
