"""Floods: goodput at several times the capacity, and garbage beside good traffic.

The first part offers more and more calls to a switch that takes as many as it can: its capacity
is the highest rate at which every call completes. Then, in turn, a little more than that and five
times as much: a machine that is shared is not equally fast all the time, and what it can do in
one minute says little about the next. The second part runs in a network namespace of its own
with the firewall on: a stranger sends garbage at full speed.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from services.signaling.adapters.nftables import find_nft
from tests.bench.processes import Usage, apart, give, rss_bytes
from tests.support import scenarios
from tests.support.lab import (
    CALLER_HOST,
    VENDOR_HOST,
    Lab,
    document,
)
from tests.support.ports import free_port
from tests.support.sipp import Sipp

STRANGER_HOST = "127.0.0.77"
SCENARIO = scenarios.answered_or_refused(503)


@dataclass(frozen=True)
class Plan:
    """How much, in calls per second and seconds."""

    first_cps: int = 500
    step: float = 1.15
    """By how much the rate rises from one step to the next."""
    step_s: int = 8
    times: int = 5
    rounds: int = 5
    flood_s: int = 8
    later_s: int = 4
    settled_s: int = 3
    """Into a flood, or a step: what comes before is not counted as steady."""
    garbage_pps: int = 50_000
    garbage_s: int = 20
    good_cps: int = 20


@dataclass(frozen=True)
class Offered:
    """What became of calls offered."""

    answered: int
    ended: int
    """Answered ones whose BYE was answered."""
    failed: int
    """Neither answered nor refused."""
    answered_at: tuple[int, ...]
    """When each was answered, in milliseconds since SIPp began."""

    def answered_between(self, begin_s: float, end_s: float) -> int:
        """How many were answered in a part of the time."""
        return sum(begin_s * 1000 <= at < end_s * 1000 for at in self.answered_at)


@contextmanager
def _lab(environment: Mapping[str, str] | None = None) -> Iterator[Lab]:
    with (
        tempfile.TemporaryDirectory(prefix="tandem-flood-") as folder,
        Lab(Path(folder), vendors=("vendor",), environment=environment) as lab,
    ):
        lab.apply(document(lab.vendors, media_proxy=False))
        yield lab


def _ends(lab: Lab, name: str, *, rate: int, seconds: int) -> tuple[Sipp, Sipp]:
    calls = rate * seconds
    folder = lab.folder / name
    vendor_at = (VENDOR_HOST, lab.vendors["vendor"][1])
    vendor = Sipp(folder, "vendor", scenarios.VENDOR, vendor_at)
    caller_at = (CALLER_HOST, free_port(CALLER_HOST))
    caller = Sipp(folder, "caller", SCENARIO, caller_at, lab.sip, rate=rate, hold_ms=500)
    for end in (vendor, caller):
        end.calls, end.limit, end.timeout_s = calls, 60_000, seconds + 90
        end.extra = ["-buff_size", "4000000"]
    # Ended by us: what strays in from the calls before would end it a few calls early.
    vendor.calls = 10 * calls
    return vendor, caller


def offer(lab: Lab, name: str, *, rate: int, seconds: int) -> Offered:
    """Offer calls with SIPp, which takes refusals for an answer."""
    vendor, caller = _ends(lab, name, rate=rate, seconds=seconds)
    vendor.start()
    caller.start()
    try:
        caller.wait()
    finally:
        caller.stop()
        vendor.stop()
    marks = caller.marks().values()
    answered_at = tuple(mark["answered"] for mark in marks if "answered" in mark)
    said = (lab.folder / name / "caller.screen").read_text(errors="replace")
    failed = next((line for line in reversed(said.splitlines()) if "Failed call" in line), "")
    words = [word for word in failed.replace("|", " ").split() if word.isdigit()]
    ended = sum("answered" in mark and "ended" in mark for mark in marks)
    return Offered(len(answered_at), ended, int(words[-1]) if words else 0, answered_at)


def capacity(lab: Lab, plan: Plan) -> int:
    """The highest rate at which all calls complete.

    A step that fails is tried once more, for the machine may have had other things to do.
    """
    rate, highest, failures = float(plan.first_cps), 0, 0
    while failures < 2:
        cps = round(rate)
        outcome = offer(lab, f"at{cps}-{failures}", rate=cps, seconds=plan.step_s)
        if outcome.ended == cps * plan.step_s:
            highest, failures, rate = cps, 0, rate * plan.step
        else:
            failures += 1
    if not highest:
        raise RuntimeError(f"not even {plan.first_cps} calls per second complete")
    return highest


def overload(plan: Plan) -> dict[str, float]:
    """Calls answered at ``plan.times`` the capacity, memory, and how it goes on afterwards.

    Where there are several processors signaling has one to itself, so that SIPp's own appetite at
    five times the rate does not come out of the capacity.
    """
    with apart() as processor, _lab() as lab:
        pid = lab.switch.pid("signaling") or 0
        give(pid, processor)
        offer(lab, "warm", rate=30, seconds=4)
        best = capacity(lab, plan)
        rounds = [_round(lab, pid, plan, best, number) for number in range(plan.rounds)]
        (node,) = lab.get("/v1/guard")["nodes"]
    floods = [each.flood for each in rounds]
    shares = [each.flooded_cps / each.saturated_cps for each in rounds]
    flooded = mean(each.flooded_cps for each in rounds)
    saturated = mean(each.saturated_cps for each in rounds)
    return {
        "flood.has_own_processor": len(processor),
        "flood.capacity_cps": best,
        "flood.offered_cps": plan.times * best,
        "flood.answered_cps": flooded,
        "flood.answered_of_capacity": flooded / best,
        "flood.answered_cps_just_above_capacity": saturated,
        "flood.answered_of_that": flooded / saturated,
        "flood.answered_of_that_least": min(shares),
        "flood.answered_of_that_most": max(shares),
        "flood.byes_unanswered": sum(each.answered - each.ended for each in floods),
        "flood.calls_without_any_answer": sum(each.failed for each in floods),
        "flood.signaling_mb_first": rounds[0].peak_bytes / 1e6,
        "flood.signaling_mb_last": rounds[-1].peak_bytes / 1e6,
        "flood.share_of_calls_5_s_later": mean(each.later_share for each in rounds),
        "flood.share_of_calls_5_s_later_least": min(each.later_share for each in rounds),
        "flood.shed": node["counters"]["shed"],
        "flood.shed_dropped": node["counters"]["shed_dropped"],
    }


@dataclass(frozen=True)
class _Round:
    """Just above the capacity, far above it, and half of it five seconds later."""

    saturated_cps: float
    flooded_cps: float
    flood: Offered
    peak_bytes: int
    later_share: float


def _round(lab: Lab, pid: int, plan: Plan, best: int, number: int) -> _Round:
    rate = round(best * plan.step)
    above = offer(lab, f"above-{number}", rate=rate, seconds=plan.flood_s)
    watch = _Peak(pid)
    rate = plan.times * best
    flood = offer(lab, f"flood-{number}", rate=rate, seconds=plan.flood_s)
    peak = watch.stop()
    time.sleep(5.0)  # what is promised
    half = round(best / 2)
    later = offer(lab, f"later-{number}", rate=half, seconds=plan.later_s)
    return _Round(
        _steady_cps(above, plan),
        _steady_cps(flood, plan),
        flood,
        peak,
        later.answered / (half * plan.later_s),
    )


def _steady_cps(offered: Offered, plan: Plan) -> float:
    steady = offered.answered_between(plan.settled_s, plan.flood_s)
    return steady / (plan.flood_s - plan.settled_s)


class _Peak:
    """The most memory a process has while it is watched."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = rss_bytes(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self._most = max(self._most, rss_bytes(self._pid))

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self._most


def garbage(address: tuple[str, int], pps: int, seconds: float) -> None:
    """Send what is no SIP from a stranger's address; prints how much was sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((STRANGER_HOST, 0))
        payload, sent = os.urandom(200), 0
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            while sent < elapsed * pps:
                sender.sendto(payload, address)
                sent += 1
            time.sleep(0.001)
    print(sent)  # noqa: T201


def beside_garbage(plan: Plan, *, nftables: str) -> dict[str, float]:
    """Good calls at a steady rate while a stranger floods us."""
    with _lab({"TANDEM_NFTABLES": nftables}) as lab:
        pid = lab.switch.pid("signaling") or 0
        offer(lab, "warm", rate=plan.good_cps, seconds=3)
        host, port = lab.sip
        flood = [sys.executable, "-m", "tests.bench.bench_flood", "garbage", host, str(port)]
        flood += [str(plan.garbage_pps), str(plan.garbage_s)]
        usage = Usage({"signaling": pid})
        with subprocess.Popen(flood, stdout=subprocess.PIPE, text=True) as sender:
            good = offer(lab, "good", rate=plan.good_cps, seconds=plan.garbage_s)
            sent = int(sender.communicate()[0])
        spent = usage.spent_us()["signaling"]
        (node,) = lab.get("/v1/guard")["nodes"]
    counters = node["counters"]
    heard = counters["unknown_dropped"] + counters["banned_dropped"]
    name = f"garbage.firewall_{nftables}"
    return {
        f"{name}.packets_per_s": sent / plan.garbage_s,
        f"{name}.packets_that_reached_signaling": heard,
        f"{name}.good_calls_completed": good.ended / (plan.good_cps * plan.garbage_s),
        f"{name}.signaling_cpu_s": spent / 1e6,
    }


def _in_namespace() -> dict[str, float]:
    """The second part, in a process that has a network of its own."""
    unshare, ip = shutil.which("unshare"), shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin")
    if os.geteuid() != 0 or find_nft() is None or unshare is None or ip is None:
        return {}
    inside = f"{ip} link set lo up && exec {sys.executable} -m tests.bench.bench_flood inside"
    done = subprocess.run(
        [unshare, "--net", "sh", "-c", inside], check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run(plan: Plan = Plan()) -> dict[str, float]:
    """All figures by dotted name; without root or nft, only those of the first part."""
    return overload(plan) | _in_namespace()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["garbage", host, port, pps, seconds]:
            garbage((host, int(port)), int(pps), float(seconds))
        case ["inside"]:
            found = beside_garbage(Plan(), nftables="on") | beside_garbage(Plan(), nftables="off")
            print(json.dumps(found))  # noqa: T201
        case _:
            print(json.dumps(run(), indent=2))  # noqa: T201
