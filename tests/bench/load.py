"""SIPp load through something that routes calls: what failed, was resent, how long it took."""

import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import scenarios
from tests.support.sipp import Address, Sipp

_RTD_INVITE = scenarios.invite().replace("<send ", '<send start_rtd="1" ', 1)
_RTD_RINGING = scenarios.expect(180).replace("<recv ", '<recv rtd="1" ', 1)

CALLER = scenarios.scenario(
    "measured caller",
    _RTD_INVITE,
    scenarios.expect(100, optional=True),
    _RTD_RINGING,
    scenarios.expect(200, log="answered"),
    scenarios.ack(),
    scenarios.pause(),
    scenarios.in_dialog("BYE", 2),
    scenarios.expect(200, log="ended"),
)


@dataclass(frozen=True)
class Outcome:
    """What SIPp saw of one run."""

    calls: int
    failed: int
    retransmissions: int
    """Sent by SIPp's two ends: each is an answer that came late."""
    ring_ms_p50: float
    """INVITE to 180."""
    ring_ms_p95: float
    seconds: float


def _statistics(folder: Path, name: str) -> dict[str, str]:
    with (folder / f"{name}.stat").open() as table:
        return list(csv.DictReader(table, delimiter=";"))[-1]


def _ring_times(folder: Path) -> list[float]:
    times: list[float] = []
    for path in folder.glob("caller_*_rtt.csv"):
        rows = csv.reader(path.read_text().splitlines(), delimiter=";")
        times += [float(row[1]) for row in rows if len(row) > 1 and row[1][:1].isdigit()]
    return sorted(times)


def run(
    folder: Path,
    switch: Address,
    caller: Address,
    vendor: Address,
    *,
    rate: int,
    seconds: int,
    hold_ms: int = 0,
    called: str = "4912345678",
    at_peak: Callable[[], None] | None = None,
) -> Outcome:
    """Place ``rate * seconds`` calls through ``switch``, with SIPp at both ends.

    ``at_peak`` is called once all of them are placed; they are up then if ``hold_ms`` is longer.
    """
    calls = rate * seconds
    uas = Sipp(folder, "vendor", scenarios.VENDOR, vendor)
    uac = Sipp(folder, "caller", CALLER, caller, switch, rate=rate, hold_ms=hold_ms)
    for end in (uas, uac):
        end.calls, end.called, end.limit = calls, called, 15_000
        end.timeout_s = seconds + hold_ms // 1000 + 60
        end.extra = ["-trace_stat", "-stf", f"{end.name}.stat", "-fd", "1"]
        end.extra += ["-buff_size", "4000000"]
    uac.extra += ["-trace_rtt", "-rtt_freq", "50"]
    uas.start()
    uac.start()
    try:
        if at_peak is not None:
            time.sleep(seconds + 1.5)
            at_peak()
        uac.wait()
    finally:
        uac.stop()
        uas.stop()
    at_caller, at_vendor = (_statistics(folder, name) for name in ("caller", "vendor"))
    succeeded = int(at_caller["SuccessfulCall(C)"])
    rings = _ring_times(folder)
    return Outcome(
        calls=succeeded,
        failed=calls - succeeded,
        retransmissions=sum(int(end["Retransmissions(C)"]) for end in (at_caller, at_vendor)),
        ring_ms_p50=statistics.median(rings) if rings else 0.0,
        ring_ms_p95=rings[int(len(rings) * 0.95)] if rings else 0.0,
        seconds=seconds,
    )
