"""Logs and traces of calls. Implements :class:`services.signaling.ports.Observer`."""

from __future__ import annotations

from collections.abc import Callable

from services.common.causes import EndReason
from services.common.events import CallEnded
from services.common.logs import get_logger
from services.common.telemetry import Histogram, Telemetry
from services.signaling.core.guard import Action, Ban, Prove

log = get_logger(__name__)

MOST_LINES_PER_S = 10
"""A switch under attack must not fill its own disk."""

# What the parties did is no failure of anybody's.
_ORDINARY = frozenset({
    EndReason.NORMAL, EndReason.CANCELLED, EndReason.BUSY, EndReason.NO_ANSWER,
    EndReason.NOT_FOUND, EndReason.MAX_DURATION, EndReason.INVALID_NUMBER,
})  # fmt: skip


class CallObserver:
    """One log line and one span for each call that failed or was sampled."""

    def __init__(
        self, telemetry: Telemetry, pdd: Histogram, monotonic: Callable[[], float]
    ) -> None:
        self._telemetry = telemetry
        self._pdd = pdd
        self._monotonic = monotonic
        self._second = 0
        self._lines = 0
        self.unlogged = 0
        """Lines left out because there were too many."""

    def call_ended(self, event: CallEnded) -> None:
        """See :meth:`services.signaling.ports.Observer.call_ended`."""
        if event.pdd_ms is not None:
            self._pdd.record(event.pdd_ms / 1000)
        is_failure = event.end_reason not in _ORDINARY
        if not is_failure and not self._telemetry.sampled():
            return
        self._trace(event, is_failure=is_failure)
        if self._may_log():
            log.info(
                "call.ended",
                call_id=event.call_id,
                reason=event.end_reason,
                side=event.end_side,
                sip_code_in=event.sip_code_in,
                sip_code_out=event.sip_code_out,
                attempts=len(event.attempts),
                talk_ms=event.talk_ms,
                trunk=event.customer_trunk_id,
            )

    def vendor_changed(self, vendor_trunk_id: str, target: str, failure: str) -> None:
        """See :meth:`services.signaling.ports.Observer.vendor_changed`."""
        if failure:
            log.warning("vendor.down", trunk=vendor_trunk_id, target=target, why=failure)
        else:
            log.info("vendor.up", trunk=vendor_trunk_id, target=target)

    def failed(self, what: str, error: BaseException) -> None:
        """See :meth:`services.signaling.ports.Observer.failed`."""
        if self._may_log():
            log.error("switch.error", what=what, exc_info=error)

    def on_guard(self, actions: list[Action]) -> None:
        """Bans, and their ends."""
        for action in actions:
            if not isinstance(action, Prove) and self._may_log():
                kind = "guard.banned" if isinstance(action, Ban) else "guard.unbanned"
                log.info(kind, target=action.target, reason=getattr(action, "reason", ""))

    def _may_log(self) -> bool:
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > MOST_LINES_PER_S:
            self.unlogged += 1
            return False
        return True

    def _trace(self, event: CallEnded, *, is_failure: bool) -> None:
        if not self._telemetry.tracing:
            return
        failure = event.end_reason if is_failure else ""
        call = self._telemetry.record_span(
            "call",
            event.invited_at,
            event.ended_at,
            attributes={
                "call.id": event.call_id,
                "call.end_reason": event.end_reason,
                "call.end_side": event.end_side,
                "customer.trunk": event.customer_trunk_id,
                "sip.code_out": event.sip_code_out,
            },
            failure=failure,
        )
        for attempt in event.attempts:
            self._telemetry.record_span(
                "attempt",
                attempt.started_at,
                attempt.ended_at or event.ended_at,
                attributes={
                    "vendor.trunk": attempt.vendor_trunk_id,
                    "sip.code": attempt.sip_code,
                    "target": attempt.target,
                },
                parent=call,
            )
