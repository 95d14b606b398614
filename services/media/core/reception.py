"""What arrived on one stream: RFC 3550 appendix A.1 (sequence), A.3 (loss), A.8 (jitter).

Runs once per packet, so: integers only, one call, no objects.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_DROPOUT: Final = 3_000
"""RFC 3550 A.1: a greater step forward is a restart of the sender, not a loss."""
MAX_MISORDER: Final = 100
"""RFC 3550 A.1: a greater step back is a restart too."""
_NO_SEQUENCE: Final = -1


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one stream, or of several added up."""

    packets: int = 0
    size_bytes: int = 0
    lost: int = 0
    jitter_ms: float = 0.0
    first_ns: int = 0
    """Monotonic; 0 = no packet."""
    last_ns: int = 0
    refused: int = 0
    """Packets that were not the peer's, or not RTP."""
    source: str = ""

    def __add__(self, other: "Report") -> "Report":
        """Both together; jitter and source are those of the busier stream."""
        busier = self if self.packets >= other.packets else other
        first = [at for at in (self.first_ns, other.first_ns) if at]
        return Report(
            self.packets + other.packets,
            self.size_bytes + other.size_bytes,
            self.lost + other.lost,
            busier.jitter_ms,
            min(first, default=0),
            max(self.last_ns, other.last_ns),
            self.refused + other.refused,
            busier.source,
        )


class Counted(NamedTuple):
    """What a stream has come to, for the process that counts on."""

    packets: int = 0
    size_bytes: int = 0
    lost: int = 0
    jitter_16: int = 0
    clock_rate: int = 8_000
    first_ns: int = 0
    last_ns: int = 0


class Reception:
    """Counts one stream's packets; survives sender restarts and changes of SSRC."""

    __slots__ = (
        "_bad_sequence",
        "_base",
        "_clock_rate",
        "_clock_rates",
        "_highest",
        "_jitter_16",
        "_lost_before",
        "_payload_type",
        "_received",
        "_ssrc",
        "_transit",
        "first_ns",
        "last_ns",
        "packets",
        "size_bytes",
    )

    def __init__(self) -> None:
        self._clock_rates: dict[int, int] = {}
        self.packets = 0
        self.size_bytes = 0
        self.first_ns = 0
        self.last_ns = 0
        self._ssrc = -1
        self._payload_type = -1
        self._clock_rate = 8_000
        self._base = 0
        self._highest = 0  # extended: cycles << 16 | sequence
        self._received = 0
        self._lost_before = 0
        self._bad_sequence = _NO_SEQUENCE
        self._transit = 0
        self._jitter_16 = 0  # sixteen times the jitter, in clock units

    def expect(self, clock_rates: dict[int, int]) -> None:
        """Learn the clock rates, in Hz, of payload types that do not run at 8000 Hz."""
        self._clock_rates = clock_rates
        self._payload_type = -1

    def receive(
        self, second: int, sequence: int, timestamp: int, ssrc: int, size_bytes: int, now_ns: int
    ) -> None:
        """Count one packet; ``second`` is the header's second byte (marker, payload type)."""
        self.packets += 1
        self.size_bytes += size_bytes
        self.last_ns = now_ns
        if ssrc != self._ssrc:
            self._begin(sequence, ssrc, now_ns)
        if second & 0x7F != self._payload_type:
            self._change_clock(second & 0x7F, timestamp, now_ns)
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < MAX_DROPOUT:
            self._highest += ahead
        elif ahead <= 0x10000 - MAX_MISORDER and not self._resumes_at(sequence):
            return
        self._received += 1
        transit = now_ns * self._clock_rate // 1_000_000_000 - timestamp
        # Timestamps wrap at 32 bits, so their differences are taken modulo 2**32.
        step = (transit - self._transit) & 0xFFFFFFFF
        self._transit = transit
        if step >= 0x80000000:
            step = 0x100000000 - step
        self._jitter_16 += step - ((self._jitter_16 + 8) >> 4)

    @property
    def lost(self) -> int:
        """Packets the sequence numbers promised that never came; duplicates weigh against."""
        if not self._received:
            return self._lost_before
        return self._lost_before + max(0, self._highest - self._base + 1 - self._received)

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (section 6.4.1)."""
        return (self._jitter_16 >> 4) * 1_000 / self._clock_rate

    def report(self, *, refused: int, source: str) -> Report:
        """The figures so far."""
        return Report(
            self.packets,
            self.size_bytes,
            self.lost,
            round(self.jitter_ms, 3),
            self.first_ns,
            self.last_ns,
            refused,
            source,
        )

    def counted(self) -> Counted:
        """What :meth:`resume` takes."""
        return Counted(
            self.packets,
            self.size_bytes,
            self.lost,
            self._jitter_16,
            self._clock_rate,
            self.first_ns,
            self.last_ns,
        )

    def resume(self, before: Counted) -> None:
        """Count on from there; what came in between is neither received nor lost."""
        self.packets, self.size_bytes = before.packets, before.size_bytes
        self.first_ns, self.last_ns = before.first_ns, before.last_ns
        self._lost_before = before.lost
        self._jitter_16, self._clock_rate = before.jitter_16, before.clock_rate

    def _begin(self, sequence: int, ssrc: int, now_ns: int) -> None:
        if not self.first_ns:
            self.first_ns = now_ns
        self._ssrc = ssrc
        self._payload_type = -1
        self._restart(sequence)

    def _change_clock(self, payload_type: int, timestamp: int, now_ns: int) -> None:
        rate = self._clock_rates.get(payload_type, 8_000)
        if rate != self._clock_rate:
            # The jitter so far is in the old clock's units.
            self._jitter_16 = self._jitter_16 * rate // self._clock_rate
            self._clock_rate = rate
        self._payload_type = payload_type
        self._transit = now_ns * rate // 1_000_000_000 - timestamp

    def _resumes_at(self, sequence: int) -> bool:
        """Whether a wild sequence number is the second in a row: the sender began anew."""
        if sequence != self._bad_sequence:
            self._bad_sequence = (sequence + 1) & 0xFFFF
            return False
        self._restart(sequence)
        return True

    def _restart(self, sequence: int) -> None:
        if self._received:
            self._lost_before = self.lost
        self._base = self._highest = sequence
        self._received = 0
        self._bad_sequence = _NO_SEQUENCE
