"""Five times as many calls as the switch may take: it keeps working at its capacity.

The capacity is set low, so that the machine's speed does not matter; ``tests.bench flood``
measures the real one.
"""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.bench.processes import rss_bytes
from tests.support import scenarios
from tests.support.lab import (
    CALLER_HOST,
    Lab,
    answers_options,
    document,
    eventually,
)
from tests.support.ports import free_port
from tests.support.sipp import Sipp

pytestmark = pytest.mark.alone

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


@pytest.fixture
def setting(lab: Lab) -> Iterator[Callable[[str, bool], None]]:
    """Sets a setting until the end of the test, once signaling goes by it."""
    names: list[str] = []

    def put(name: str, value: bool) -> None:
        names.append(name)
        lab.http.put(f"/v1/settings/{name}", json={"value": value}).raise_for_status()
        # Both are loaded together, and this one can be seen: a change of it comes later.
        lab.http.put("/v1/settings/reply_to_unknown", json={"value": True}).raise_for_status()
        eventually(partial(answers_options, lab.sip, STRANGER_HOST), what="settings known")

    yield put
    for name in [*names, "reply_to_unknown"]:
        lab.http.delete(f"/v1/settings/{name}").raise_for_status()
    lab.http.delete(f"/v1/guard/bans/{STRANGER_HOST}")


BUSY = scenarios.scenario(
    "busy vendor", scenarios.receive("INVITE"), scenarios.reply("486 Busy Here"),
    scenarios.receive("ACK"),
)  # fmt: skip
HEARS_BUSY = scenarios.scenario(
    "caller who hears busy",
    scenarios.invite(),
    scenarios.expect(100, optional=True),
    scenarios.expect(486),
    scenarios.ack_failure(),
)


def test_by_hand_unanswered_calls_are_summed_and_answered_ones_are_not(
    lab: Lab, tmp_path: Path, setting: Callable[[str, bool], None]
) -> None:
    setting("record_zero_hold_time", False)
    called = "4988000"
    at = (CALLER_HOST, free_port(CALLER_HOST))
    vendor = Sipp(tmp_path, "busy", BUSY, lab.vendors["cheap"], calls=30)
    caller = Sipp(tmp_path, "caller", HEARS_BUSY, at, lab.sip, calls=30, rate=10, called=called)
    vendor.start()
    caller.start()
    try:
        assert caller.wait() == 0, caller.errors()
        assert vendor.wait() == 0, vendor.errors()
    finally:
        caller.stop()
        vendor.stop()

    def summed() -> list[dict[str, Any]] | None:
        rows = lab.cdrs(end_reason="busy")
        return rows if sum(row["call_count"] for row in rows) == 30 else None

    rows = eventually(summed, what="thirty calls in sums")
    assert len(rows) < 5
    for row in rows:
        assert (row["source"], row["sip_code_out"], row["sip_code_in"]) == (CALLER_HOST, 486, 486)
        assert row["vendor_trunk_id"]
    answered, _ = offer(lab, tmp_path / "answered", "answered", rate=5, seconds=1)
    assert answered == 5


def test_illegal_calls_are_recorded_and_summed(
    lab: Lab, setting: Callable[[str, bool], None]
) -> None:
    setting("record_illegal_calls", True)
    lab.http.put("/v1/settings/reply_to_unknown", json={"value": False}).raise_for_status()

    def summed() -> int | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((STRANGER_HOST, 0))
            stranger.sendto(ILLEGAL, lab.sip)
        rows = lab.cdrs(end_reason="illegal_call")
        assert all((row["caller"], row["called"]) == ("1000", "0090555") for row in rows)
        return len(rows) if sum(row["call_count"] for row in rows) > 1 else None

    eventually(summed, what="illegal calls on record")
    (row, *_) = lab.cdrs(end_reason="illegal_call")
    assert (row["source"], row["customer_trunk_id"], row["price"]) == (STRANGER_HOST, "", "0")


STRANGER_HOST = "127.0.0.88"
ILLEGAL = (
    b"INVITE sip:0090555@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.88;branch=z9hG4bKx\r\n"
    b"From: <sip:1000@127.0.0.88>;tag=1\r\nTo: <sip:0090555@127.0.0.1>\r\nCall-ID: x\r\n"
    b"CSeq: 1 INVITE\r\nContact: <sip:1000@127.0.0.88>\r\nContent-Length: 0\r\n\r\n"
)
