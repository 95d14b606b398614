"""Timer values shared by the transaction machines (RFC 3261 section 17, table 4)."""

from dataclasses import dataclass, field
from typing import Final

NEVER: Final = float("inf")
"""The deadline of a timer that does not run."""


@dataclass(frozen=True, slots=True)
class TimerValues:
    """The three constants every transaction timer derives from, in seconds."""

    t1: float = 0.5
    """Round-trip time estimate."""
    t2: float = 4.0
    """Ceiling of non-INVITE request and INVITE response retransmission intervals."""
    t4: float = 5.0
    """Longest time a message stays in the network."""
    patience: int = 64
    """How many T1 an answer is waited for; less for questions that are soon asked again."""
    timeout: float = field(init=False)
    """``patience`` times T1: timers B, F, H, J, L and M."""
    absorb: float = field(init=False)
    """Timer D: at least 32 s on unreliable transports, whatever T1 is."""

    def __post_init__(self) -> None:
        if not (0 < self.t1 <= self.t2 and self.t4 > 0):
            raise ValueError("timers must be positive, and T1 no longer than T2")
        object.__setattr__(self, "timeout", self.patience * self.t1)
        object.__setattr__(self, "absorb", max(32.0, 64 * self.t1))


RFC3261_TIMERS: Final = TimerValues()
