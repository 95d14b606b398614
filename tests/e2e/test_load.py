"""A thousand calls at a hundred a second: every one on record, every cent where it belongs."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.books import assert_exact, movements
from tests.support import scenarios
from tests.support.lab import CALLER_HOST, Lab
from tests.support.ports import free_port
from tests.support.sipp import Sipp

pytestmark = pytest.mark.alone

CALLS = 1000
CALLED = "49770000"


def test_a_thousand_calls(lab: Lab, tmp_path: Path) -> None:
    before = {name: lab.balance(name) for name in ("customer", "vendors")}
    vendor = Sipp(tmp_path, "vendor", scenarios.VENDOR, lab.vendors["cheap"], calls=CALLS)
    caller = Sipp(
        tmp_path,
        "caller",
        scenarios.CALLER,
        (CALLER_HOST, free_port(CALLER_HOST)),
        lab.sip,
        calls=CALLS,
        rate=100,
        hold_ms=2000,
        called=CALLED,
    )
    vendor.start()
    caller.start()
    try:
        assert caller.wait() == 0, caller.errors()
        assert vendor.wait() == 0, vendor.errors()
    finally:
        caller.stop()
        vendor.stop()
    records = lab.wait_cdrs(CALLS, called=CALLED, within_s=60)
    said = caller.marks()
    assert len({record["sip_call_id"] for record in records}) == CALLS
    for record in records:
        marks = said[record["sip_call_id"]]
        assert record["end_reason"] == "normal"
        assert abs(record["talk_ms"] - (marks["ended"] - marks["answered"])) < 1000
    assert_exact(lab, records, before)
    moved = movements(lab, {record["call_id"] for record in records})
    assert len(moved) == 2 * CALLS
    assert sum(moved.values(), Decimal(0)) > 0
