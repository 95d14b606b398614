"""Complete billed calls through the five services: CPU, dial delay, memory; public peers beside.

SIPp is both ends, trunks without media proxy, as a wholesale operator's signaling-only route is.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load, peers
from tests.bench.processes import Usage, rss_bytes
from tests.support.lab import (
    CALLER_HOST,
    SWITCH_HOST,
    VENDOR_HOST,
    Lab,
    document,
    eventually,
)
from tests.support.ports import free_port
from tests.support.sipp import Address

SERVICES = ("signaling", "media", "routing", "rating", "api")
SERVERS = ("nats", "postgres", "clickhouse")


@dataclass(frozen=True)
class Plan:
    """How much load, in calls per second and seconds."""

    cpu_rate: int = 100
    cpu_s: int = 20
    full_rate: int = 500
    full_s: int = 30
    dial_rate: int = 200
    dial_s: int = 10
    held_rate: int = 250
    held_s: int = 8


QUICK = Plan(cpu_s=5, full_rate=200, full_s=5, dial_s=3, held_s=4)


@contextmanager
def _lab() -> Iterator[Lab]:
    with (
        tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder,
        Lab(Path(folder), vendors=("vendor",)) as lab,
    ):
        lab.apply(document(lab.vendors, media_proxy=False))
        yield lab


def _load(lab: Lab, name: str, *, rate: int, seconds: int, hold_ms: int = 0) -> load.Outcome:
    caller = (CALLER_HOST, free_port(CALLER_HOST))
    ends = (lab.folder / name, lab.sip, caller, lab.vendors["vendor"])
    return load.run(*ends, rate=rate, seconds=seconds, hold_ms=hold_ms)


def run(plan: Plan = Plan()) -> dict[str, float]:
    """All figures by dotted name; ``us_per_call`` at the full rate is user and system time.

    ``total`` is that of the five services, without the servers beside them.
    """
    figures: dict[str, float] = {}
    with _lab() as lab:
        pids = {name: lab.switch.pid(name) or 0 for name in (*SERVICES, *SERVERS)}
        _load(lab, "warm", rate=50, seconds=4)
        _settled(lab, 200)
        # First, while what earlier load left behind cannot be used again.
        figures |= _memory(lab, pids, plan)
        low = _cpu(lab, pids, plan.cpu_rate, plan.cpu_s)
        figures |= {f"at_{plan.cpu_rate}_calls_per_s.{name}": value for name, value in low.items()}
        figures |= _cpu(lab, pids, plan.full_rate, plan.full_s)
        figures |= _dial(lab, plan)
    return figures


def _cpu(lab: Lab, pids: dict[str, int], rate: int, seconds: int) -> dict[str, float]:
    before = lab.record_count()
    usage = Usage(pids)
    outcome = _load(lab, f"cpu{rate}", rate=rate, seconds=seconds, hold_ms=1000)
    _settled(lab, before + rate * seconds)
    spent = {name: us / (rate * seconds) for name, us in usage.spent_us().items()}
    figures = {f"us_per_call.{name}": us for name, us in spent.items()}
    figures["us_per_call.total"] = sum(spent[name] for name in SERVICES)
    figures["calls_per_s"] = rate
    figures["failed_calls"] = outcome.failed
    figures["retransmissions"] = outcome.retransmissions
    figures["ring_ms_p50"] = outcome.ring_ms_p50
    figures["ring_ms_p95"] = outcome.ring_ms_p95
    return figures


def _settled(lab: Lab, count: int) -> None:
    """Wait until every call is on record, so that all of its CPU is counted."""
    eventually(lambda: lab.record_count() >= count or None, within_s=120, what=f"{count} records")


def _dial(lab: Lab, plan: Plan) -> dict[str, float]:
    """Dial delay added by the switch: through it, less SIPp to SIPp directly."""
    through = _load(lab, "dial", rate=plan.dial_rate, seconds=plan.dial_s)
    caller = (CALLER_HOST, free_port(CALLER_HOST))
    vendor = (VENDOR_HOST, free_port(VENDOR_HOST))
    direct = load.run(
        lab.folder / "direct", vendor, caller, vendor, rate=plan.dial_rate, seconds=plan.dial_s
    )
    return {
        "pdd_added_ms_p50": through.ring_ms_p50 - direct.ring_ms_p50,
        "pdd_added_ms_p95": through.ring_ms_p95 - direct.ring_ms_p95,
    }


def _memory(lab: Lab, pids: dict[str, int], plan: Plan) -> dict[str, float]:
    """Growth of signaling while calls pile up, all of them up at the end."""
    calls = plan.held_rate * plan.held_s
    hold_ms = plan.held_s * 1000 + 4000
    before = rss_bytes(pids["signaling"])
    caller = (CALLER_HOST, free_port(CALLER_HOST))
    peak: list[int] = []
    load.run(
        lab.folder / "held", lab.sip, caller, lab.vendors["vendor"],
        rate=plan.held_rate, seconds=plan.held_s, hold_ms=hold_ms,
        at_peak=lambda: peak.append(rss_bytes(pids["signaling"])),
    )  # fmt: skip
    return {"signaling_bytes_per_call": (peak[0] - before) / calls, "concurrent_calls": calls}


def run_peers(rate: int = Plan.full_rate, seconds: int = 10) -> dict[str, float]:
    """The same calls through Kamailio (stateful proxy) and the Sippy B2BUA, where installed."""
    figures: dict[str, float] = {}
    for name, installed, start, peer_rate in (
        ("kamailio", peers.kamailio_installed, peers.kamailio, rate),
        ("sippy", peers.sippy_installed, peers.sippy, min(rate, 50)),
    ):
        if not installed():
            continue
        listen: Address = (SWITCH_HOST, free_port())
        vendor: Address = (VENDOR_HOST, free_port(VENDOR_HOST))
        caller: Address = (CALLER_HOST, free_port(CALLER_HOST))
        with (
            tempfile.TemporaryDirectory(prefix="tandem-peer-") as folder,
            start(listen, vendor, Path(folder)) as pids,
        ):
            usage = Usage({str(pid): pid for pid in pids})
            outcome = load.run(
                    Path(folder) / "load", listen, caller, vendor,
                    rate=peer_rate, seconds=seconds, hold_ms=1000,
                )  # fmt: skip
            spent = sum(usage.spent_us().values())
        figures[f"us_per_call.{name}"] = spent / max(1, outcome.calls)
        figures[f"peers.{name}.calls_per_s"] = peer_rate
        figures[f"peers.{name}.failed_calls"] = outcome.failed
    return figures
