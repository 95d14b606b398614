"""kill -9 of signaling and of media with calls up: none notices, and each has its record."""

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import ladders
from tests.e2e.books import assert_exact
from tests.integration.media.service import children
from tests.support import scenarios
from tests.support.lab import CALLER_HOST, Lab, document, eventually
from tests.support.phones import Ear, Phones
from tests.support.ports import free_port
from tests.support.sipp import Sipp

TALKING = 10
PREFIX = {"cheap": "4961", "dear": "4962", "talking": "4963"}
CALLS = {"cheap": 95, "dear": 95, "talking": TALKING}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A vendor for each kind of call, chosen by the number."""
    with Lab(tmp_path_factory.mktemp("switch"), vendors=tuple(PREFIX)) as lab:
        body = document(lab.vendors, media_proxy=True)
        lab.apply(body)
        for deck in body["rate_decks"]:
            for name, prefix in PREFIX.items():
                if deck["name"] == f"buy-{name}":
                    deck["rates"][0]["prefix"] = prefix
        lab.post("/v1/apply", body)
        yield lab


def answered(lab: Lab) -> int:
    calls = lab.get("/v1/calls", limit=1000)["data"]
    return sum(call["state"] == "answered" for call in calls)


def restart(lab: Lab) -> None:
    """kill -9; returns when the next process is ready."""
    lab.switch.hold("signaling")
    lab.switch.kill("signaling")
    lab.switch.release("signaling")
    lab.switch.wait_ready("signaling", timeout_s=60)


def test_two_hundred_calls_outlive_the_process(lab: Lab, tmp_path: Path) -> None:
    before = {name: lab.balance(name) for name in ("customer", "vendors")}
    scripts = {
        "cheap": (scenarios.CALLER, scenarios.VENDOR),
        "dear": (ladders.CALLER_IS_HUNG_UP_ON, ladders.VENDOR_HANGS_UP),
    }
    ends: dict[str, tuple[Sipp, Sipp]] = {}
    how: dict[str, Any] = {"rate": 30, "hold_ms": 30_000, "timeout_s": 120}
    for name, (near, far) in scripts.items():
        calls = CALLS[name]
        address = lab.vendors[name]
        vendor = Sipp(tmp_path, f"vendor-{name}", far, address, calls=calls, **how)
        caller = Sipp(
            tmp_path,
            f"caller-{name}",
            near,
            (CALLER_HOST, free_port(CALLER_HOST)),
            lab.sip,
            calls=calls,
            called=PREFIX[name] + "0000",
            **how,
        )
        ends[name] = caller, vendor
    phones = Phones(lab.sip, CALLER_HOST, lab.vendors["talking"])
    try:
        phones.start(TALKING, PREFIX["talking"] + "0000")
        for caller, vendor in ends.values():
            vendor.start()
            caller.start()
        eventually(lambda: answered(lab) == sum(CALLS.values()) or None, what="all calls up")
        restart(lab)
        assert answered(lab) == sum(CALLS.values())
        for caller, vendor in ends.values():
            assert caller.wait() == 0, caller.errors()
            assert vendor.wait() == 0, vendor.errors()
        phones.hang_up()
        ears = [ear for call in phones.calls for ear in call.ears]
    finally:
        for caller, vendor in ends.values():
            caller.stop()
            vendor.stop()
        phones.close()
    assert sum(ear.missing for ear in ears) == 0
    assert max(ear.longest_gap_s for ear in ears) < 0.5
    records: list[Any] = []
    for name, calls in CALLS.items():
        records += lab.wait_cdrs(calls, called=PREFIX[name] + "0000", within_s=60)
    assert_durations(records, ends, phones)
    assert {record["end_reason"] for record in records} == {"normal"}
    assert_exact(lab, records, before)
    eventually(lambda: answered(lab) == 0 or None, what="all calls over")


def assert_durations(
    records: list[Any], ends: dict[str, tuple[Sipp, Sipp]], phones: Phones
) -> None:
    """Each call is on record once, as long as those who talked say."""
    said: dict[str, float] = {
        call_id: marks["ended"] - marks["answered"]
        for caller, _ in ends.values()
        for call_id, marks in caller.marks().items()
    }
    said |= {call.call_id: 1000 * (call.ended_at - call.answered_at) for call in phones.calls}
    assert sorted(said) == sorted(record["sip_call_id"] for record in records)
    for record in records:
        assert abs(record["talk_ms"] - said[record["sip_call_id"]]) < 1000


def test_a_call_that_rings_is_refused_and_its_vendor_cancelled(lab: Lab, tmp_path: Path) -> None:
    called = PREFIX["cheap"] + "1111"
    vendor = Sipp(tmp_path, "vendor", ladders.CANCELLED_VENDOR, lab.vendors["cheap"])
    caller = Sipp(
        tmp_path,
        "caller",
        ladders.refused_caller(503),
        (CALLER_HOST, free_port(CALLER_HOST)),
        lab.sip,
        called=called,
    )
    try:
        vendor.start()
        caller.start()
        eventually(lambda: ringing(lab, called) or None, what="the call rings, and the disk knows")
        restart(lab)
        assert caller.wait() == 0, caller.errors()
        assert vendor.wait() == 0, vendor.errors()
    finally:
        caller.stop()
        vendor.stop()
    (record,) = lab.wait_cdrs(1, called=called)
    assert (record["end_reason"], record["sip_code_out"]) == ("node_shutdown", 503)


def test_calls_outlive_all_processes_while_postgres_is_away(lab: Lab) -> None:
    """Those that would read it at their start go by what they knew; the money is booked later."""
    before = {name: lab.balance(name) for name in ("customer", "vendors")}
    called = PREFIX["talking"] + "2222"
    phones = Phones(lab.sip, CALLER_HOST, lab.vendors["talking"])
    services = ("signaling", "routing", "rating")
    try:
        phones.start(2, called)
        eventually(lambda: answered(lab) == 2 or None, what="the calls are up")
        for name in ("postgres", *services):
            lab.switch.hold(name)
            lab.switch.kill(name)
        for name in services:
            lab.switch.release(name)
        for name in services:
            lab.switch.wait_ready(name, timeout_s=60)
        phones.hang_up()
    finally:
        phones.close()
        lab.switch.release("postgres")
    lab.switch.wait_ready("postgres", timeout_s=60)
    records: list[Any] = lab.wait_cdrs(2, called=called, within_s=60)
    assert_durations(records, {}, phones)
    assert {record["end_reason"] for record in records} == {"normal"}
    assert_exact(lab, records, before)


def test_audio_outlives_the_relay_and_its_control_process(lab: Lab) -> None:
    called = PREFIX["talking"] + "3333"
    before = {name: lab.balance(name) for name in ("customer", "vendors")}
    phones = Phones(lab.sip, CALLER_HOST, lab.vendors["talking"])
    try:
        phones.start(2, called)
        ears = [ear for call in phones.calls for ear in call.ears]
        hear_more(ears)
        control = lab.switch.pid("media")
        assert control is not None
        (relay,) = children(control)
        os.kill(relay, signal.SIGKILL)
        hear_more(ears)
        lab.switch.hold("media")
        lab.switch.kill("media")
        hear_more(ears)
        lab.switch.release("media")
        lab.switch.wait_ready("media", timeout_s=60)
        lab.switch.wait_ready("signaling", timeout_s=60)
        hear_more(ears)
        phones.hang_up()
    finally:
        phones.close()
    assert [ear.missing for ear in ears] == [0] * 4
    records = lab.wait_cdrs(2, called=called)
    assert {record["end_reason"] for record in records} == {"normal"}
    assert_exact(lab, records, before)
    for record in records:
        whole = lab.get(f"/v1/cdrs/{record['call_id']}")
        for heard in (whole["media_caller"], whole["media_callee"]):
            assert heard["packets"] > 50
            assert (heard.get("lost", 0), heard.get("refused", 0)) == (0, 0)
    assert_durations(records, {}, phones)


def hear_more(ears: Sequence[Ear]) -> None:
    """Wait until every telephone has heard another half a second of audio."""
    wanted = [len(ear.sequences) + 25 for ear in ears]
    eventually(
        lambda: (
            all(len(ear.sequences) >= more for ear, more in zip(ears, wanted, strict=True)) or None
        ),
        what="audio both ways",
    )


def ringing(lab: Lab, called: str) -> bool:
    """Whether a call rings, and the disk knows whom it was sent to: all that will be left."""
    if "ringing" not in {call["state"] for call in lab.get("/v1/calls")["data"]}:
        return False
    host, port = lab.vendors["cheap"]
    sent = f"INVITE sip:{called}@{host}:{port} ".encode()
    spool = b"".join(path.read_bytes() for path in lab.folder.rglob("spool/*") if path.is_file())
    return sent in spool
