"""How long an answered call may go on: paid time, which is extended in time, and a cap."""

from __future__ import annotations

from services.common.causes import EndReason

MARGIN_S = 10.0
"""Talk time is extended this long before the paid time ends: room for a rating restart."""
RETRY_S = 2.0
"""Between extensions nobody answered."""
SHORTEST_S = 0.5
"""No further extension is asked for with less than this left."""

_NEVER = float("inf")


class TalkTime:
    """The limits of one answered call. ``deadline`` says when :meth:`on_timer` is due."""

    __slots__ = (
        "_answered_at", "_capped_at", "_extend_at", "_is_asking", "_paid_until", "_silent",
        "paid_ms",
    )  # fmt: skip

    def __init__(self, answered_at: float, *, paid_ms: int | None, max_call_s: float) -> None:
        self.paid_ms = paid_ms or 0
        self._answered_at = answered_at
        self._capped_at = answered_at + max_call_s if max_call_s else _NEVER
        self._paid_until = _NEVER if paid_ms is None else answered_at + paid_ms / 1000
        self._extend_at = self._ahead_of(answered_at)
        self._is_asking = False
        self._silent = False

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due; infinity for an unlimited call."""
        return min(self._capped_at, self._paid_until, self._extend_at)

    @property
    def max_call_s(self) -> float:
        """The cap, from answer; 0 for none."""
        return 0 if self._capped_at == _NEVER else self._capped_at - self._answered_at

    @property
    def is_paid(self) -> bool:
        """Whether talk time has to be covered: ``paid_ms`` then says how much is."""
        return self._paid_until != _NEVER

    def on_timer(self, now: float) -> EndReason | bool:
        """The reason to hang up now, or whether to ask for more talk time."""
        if now >= self._capped_at:
            return EndReason.MAX_DURATION
        if now >= self._paid_until:
            # Silence is not poverty: the operator must see which of the two it was.
            return EndReason.RATING_UNAVAILABLE if self._silent else EndReason.BALANCE_EXHAUSTED
        if now < self._extend_at or self._is_asking:
            return False
        self._is_asking = True
        self._extend_at = _NEVER
        return True

    def on_extended(self, paid_ms: int | None, now: float) -> None:
        """Take rating's answer; ``None`` when there was none."""
        self._is_asking = False
        self._silent = paid_ms is None
        if paid_ms is not None and paid_ms > self.paid_ms:
            self.paid_ms = paid_ms
            self._paid_until = self._answered_at + paid_ms / 1000
            self._extend_at = self._ahead_of(now)
            return
        # The same answer again may turn out better: somebody may pay meanwhile.
        left = self._paid_until - now
        wait = min(RETRY_S, left / 2) if paid_ms is None else left / 2
        self._extend_at = now + wait if left - wait >= SHORTEST_S else _NEVER

    def end(self, now: float) -> float:
        """When the talk that is over at ``now`` ended for the bill.

        A timer that fired late is our loss: what was not reserved cannot be charged.
        """
        return min(now, self._paid_until, self._capped_at)

    def _ahead_of(self, now: float) -> float:
        if self._paid_until == _NEVER:
            return _NEVER
        return max(now, self._paid_until - min(MARGIN_S, (self._paid_until - now) / 2))


def shortest(*caps_s: int) -> int:
    """The cap that holds of several, in seconds; 0 stands for none."""
    return min((cap for cap in caps_s if cap), default=0)
