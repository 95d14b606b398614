"""How long messages should wait for others, so that many are handled at once when there are many.

Each wakeup, each system call and each cold cache is then paid for by many messages: the cost of
one falls as load grows, as with the interrupts of network cards.
"""


class Pace:
    """Nothing waits while it is quiet; as the rate rises messages wait longer, up to a limit.

    Args:
        quiet_rate: messages per second up to which nothing waits.
        busy_rate: messages per second from which they wait longest.
        longest_s: how long that is.
    """

    __slots__ = ("_busy_rate", "_count", "_longest_s", "_quiet_rate", "_since", "delay_s")

    def __init__(self, *, quiet_rate: float, busy_rate: float, longest_s: float) -> None:
        self._quiet_rate = quiet_rate
        self._busy_rate = busy_rate
        self._longest_s = longest_s
        self._count = 0
        self._since = 0.0
        self.delay_s = 0.0
        """How long to wait, now."""

    def note(self, now: float, count: int = 1) -> None:
        """Count messages; the delay is worked out anew every 32 of them or 100 ms."""
        self._count += count
        if self._count < 32 and now - self._since < 0.1:
            return
        rate = self._count / max(now - self._since, 1e-6)
        share = (rate - self._quiet_rate) / (self._busy_rate - self._quiet_rate)
        self.delay_s = min(max(share, 0.0), 1.0) * self._longest_s
        self._count, self._since = 0, now
