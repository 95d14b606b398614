"""kill -9 of each server under load, started again ten seconds later: nothing lost or double."""

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.e2e.books import assert_exact
from tests.support import scenarios
from tests.support.lab import CALLER_HOST, Lab
from tests.support.ports import free_port
from tests.support.sipp import Sipp

pytestmark = pytest.mark.alone

RATE, SECONDS = 20, 30
OUTAGE_S = 10.0


@pytest.mark.parametrize("server", ["nats", "postgres", "clickhouse"])
def test_server_dies_under_load(lab: Lab, tmp_path: Path, server: str) -> None:
    called = {"nats": "4911", "postgres": "4912", "clickhouse": "4913"}[server] + "0000"
    before = {name: lab.balance(name) for name in ("customer", "vendors")}
    calls = RATE * SECONDS
    vendor = Sipp(tmp_path, "vendor", scenarios.VENDOR, lab.vendors["cheap"], calls=calls)
    caller = Sipp(
        tmp_path,
        "caller",
        scenarios.CALLER,
        (CALLER_HOST, free_port(CALLER_HOST)),
        lab.sip,
        calls=calls,
        rate=RATE,
        hold_ms=3000,
        called=called,
        timeout_s=90,
    )
    vendor.start()
    caller.start()
    try:
        threading.Event().wait(5)
        lab.switch.hold(server)
        pid = lab.switch.pid(server)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        threading.Event().wait(OUTAGE_S)
        lab.switch.release(server)
        lab.switch.wait_ready(server)
        assert caller.wait() == 0, caller.errors()
        assert vendor.wait() == 0, vendor.errors()
    finally:
        caller.stop()
        vendor.stop()
    records = lab.wait_cdrs(calls, called=called, within_s=90)
    assert len({record["call_id"] for record in records}) == calls
    said = caller.marks()
    assert {record["end_reason"] for record in records} == {"normal"}
    assert {record["sip_call_id"] for record in records} == said.keys()
    for record in records:
        marks = said[record["sip_call_id"]]
        assert abs(record["talk_ms"] - (marks["ended"] - marks["answered"])) < 1000
    assert_exact(lab, records, before)
