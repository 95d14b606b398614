"""Five times as many calls as the switch may take: it keeps working at its capacity.

The capacity is set low, so that the machine's speed does not matter; ``tests.bench flood``
measures the real one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.processes import rss_bytes
from tests.support import scenarios
from tests.support.lab import CALLER_HOST, Lab, document, eventually, free_port
from tests.support.sipp import Sipp

CAPACITY_CPS = 20
SECONDS = 10
FLAT_BYTES = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    environment = {"TANDEM_MOST_CPS": str(CAPACITY_CPS)}
    with Lab(tmp_path_factory.mktemp("flood"), vendors=("cheap",), environment=environment) as lab:
        lab.apply(document(lab.vendors, media_proxy=False))
        yield lab


def offer(lab: Lab, folder: Path, name: str, *, rate: int, seconds: int) -> tuple[int, int]:
    """Answered calls, and those of them whose BYE was answered."""
    calls = rate * seconds
    vendor = Sipp(folder, f"{name}-vendor", scenarios.VENDOR, lab.vendors["cheap"], calls=calls)
    caller = Sipp(
        folder, f"{name}-caller", scenarios.answered_or_refused(503),
        (CALLER_HOST, free_port(CALLER_HOST)), lab.sip, calls=calls, rate=rate, hold_ms=500,
        timeout_s=seconds + 60,
    )  # fmt: skip
    vendor.start()
    caller.start()
    try:
        assert caller.wait() == 0, caller.errors()
        marks = caller.marks().values()
        answered = [mark for mark in marks if "answered" in mark]
        return len(answered), sum("ended" in mark for mark in answered)
    finally:
        caller.stop()
        vendor.stop()


def test_capacity_is_kept_every_bye_is_answered_and_every_call_is_counted(
    lab: Lab, tmp_path: Path
) -> None:
    offered = 5 * CAPACITY_CPS * SECONDS
    offer(lab, tmp_path, "warm", rate=CAPACITY_CPS // 2, seconds=4)
    eventually(lambda: lab.record_count() >= CAPACITY_CPS * 2 or None, what="records")
    before = lab.get("/v1/cdr_totals")["calls"]
    signaling = lab.switch.pid("signaling") or 0
    memory = rss_bytes(signaling)

    answered, ended = offer(lab, tmp_path, "flood", rate=5 * CAPACITY_CPS, seconds=SECONDS)

    assert answered == ended
    assert answered >= 0.9 * CAPACITY_CPS * SECONDS
    assert answered <= 1.1 * CAPACITY_CPS * SECONDS + CAPACITY_CPS
    assert rss_bytes(signaling) - memory < FLAT_BYTES
    # Afterwards every call is taken again.
    later, _ = offer(lab, tmp_path, "after", rate=CAPACITY_CPS // 2, seconds=4)
    assert later == CAPACITY_CPS // 2 * 4

    def counted() -> int | None:
        calls = int(lab.get("/v1/cdr_totals")["calls"]) - before - later
        assert calls <= offered
        return calls if calls == offered else None

    eventually(counted, within_s=60, what="every call counted once")
    reasons = {one["end_reason"] for one in lab.get("/v1/cdr_totals")["by_end_reason"]}
    assert reasons == {"normal", "overload"}
    (trunk,) = lab.get("/v1/customer_trunks")["data"]
    for row in lab.cdrs(end_reason="overload"):
        assert (row["customer_trunk_id"], row["source"]) == (trunk["id"], CALLER_HOST)
        assert (row["sip_code_out"], row["price"]) == (503, "0")
    assert len(lab.cdrs(end_reason="overload")) < SECONDS
