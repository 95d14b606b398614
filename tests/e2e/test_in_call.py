"""PRACK, session timers, UPDATE and transfer between SIPp ends, each with its record."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import in_call_ladders as ladders
from tests.e2e import ladders as usual
from tests.e2e.stage import Stage
from tests.support.lab import Lab, document, eventually


def described(lab: Lab) -> dict[str, Any]:
    """The usual switch, with everything switched on; 48... is sold by the dear vendor only."""
    body = document(lab.vendors, media_proxy=True)
    (customer,) = body["customer_trunks"]
    customer["sip"] = {
        "reliable": {"mode": "supported"},
        "session_timer": {"mode": "accept", "min_se_s": 90},
        "transfer": {"mode": "honour"},
    }
    for trunk in body["vendor_trunks"]:
        trunk["sip"] = {
            "reliable": {"mode": "supported"},
            "session_timer": {"mode": "request", "expires_s": 90},
        }
    sell, _, dear = body["rate_decks"]
    sell["rates"].append({"prefix": "48", "price": "0.12"})
    dear["rates"].append({"prefix": "48", "price": "0.05"})
    return body


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # SIPp sends no audio: what ends a call here is to be its signaling.
    quiet = {"TANDEM_SILENCE_TIMEOUT_MS": "0"}
    with Lab(tmp_path_factory.mktemp("switch"), environment=quiet) as lab:
        lab.apply(described(lab))
        yield lab


@pytest.fixture
def stage(lab: Lab, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(lab, tmp_path)
    yield stage
    stage.close()


def causes(record: dict[str, Any]) -> tuple[str, str, int]:
    return (record["end_side"], record["end_reason"], record["sip_code_out"])


# --- PRACK -------------------------------------------------------------------------------


def test_prack_on_both_legs(stage: Stage) -> None:
    record = stage.play(ladders.PRACK_CALLER, {"cheap": ladders.PRACK_VENDOR})
    assert causes(record) == ("caller", "normal", 200)
    assert record["ringing_at"] is not None


def test_ringing_that_is_never_acknowledged(stage: Stage) -> None:
    vendors = {"cheap": ladders.NEVER_PRACKED_VENDOR}
    record = stage.play(ladders.NO_PRACK_CALLER, vendors, timeout_s=80)
    assert causes(record) == ("server", "no_prack", 504)
    assert record["talk_ms"] == 0
    assert Decimal(record["price"]) == 0


# --- offers before the answer ------------------------------------------------------------


def test_an_offer_in_reliable_ringing_is_answered_in_the_prack(stage: Stage) -> None:
    vendors = {"cheap": ladders.EARLY_OFFER_VENDOR}
    record = stage.play(ladders.EARLY_ANSWER_CALLER, vendors, timeout_s=20)
    assert causes(record) == ("caller", "normal", 200)


def test_update_before_the_answer_in_both_directions(stage: Stage) -> None:
    vendors = {"cheap": ladders.EARLY_UPDATE_VENDOR}
    record = stage.play(ladders.EARLY_UPDATE_CALLER, vendors, timeout_s=20)
    assert causes(record) == ("caller", "normal", 200)


# --- session timers ----------------------------------------------------------------------


def test_a_vendor_is_refreshed_and_a_caller_who_does_not_refresh_is_hung_up(
    stage: Stage,
) -> None:
    vendor = stage.vendor(ladders.REFRESHED_VENDOR, timeout_s=110)
    caller = stage.caller(ladders.NEGLECTFUL_CALLER, timeout_s=110)
    assert (caller.wait(), vendor.wait()) == (0, 0), caller.errors() + vendor.errors()
    record = stage.record()
    assert causes(record) == ("server", "session_timeout", 200)
    # He promised to refresh and was last heard when he acknowledged the answer.
    assert record["talk_ms"] < 5_000
    assert record["customer_billed_s"] <= 5
    (marks,) = vendor.marks().values()
    assert marks["ended"] - marks["acked"] > 50_000


def test_a_caller_who_refreshes(stage: Stage) -> None:
    record = stage.play(ladders.REFRESHING_CALLER, {"cheap": ladders.PLAIN_VENDOR})
    assert causes(record) == ("caller", "normal", 200)


def test_too_small_an_interval_is_422(stage: Stage, lab: Lab) -> None:
    (trunk,) = lab.get("/v1/customer_trunks", name="customer-trunk")["data"]
    path = f"/v1/customer_trunks/{trunk['id']}"
    timer = trunk["sip"]["session_timer"]
    lab.http.patch(
        path, json={"sip": trunk["sip"] | {"session_timer": timer | {"min_se_s": 120}}}
    ).raise_for_status()

    def refused() -> bool | None:
        vendor = stage.vendor(ladders.PLAIN_VENDOR)
        caller = stage.caller(ladders.IMPATIENT_CALLER, timeout_s=10)
        done = caller.wait() == 0
        vendor.stop()
        return done or None

    eventually(refused, what="422 from the trunk")
    lab.http.patch(path, json={"sip": trunk["sip"]}).raise_for_status()

    def recorded() -> bool | None:
        rows = lab.cdrs(called=stage.called)
        return ("unsupported", 422) in {(r["end_reason"], r["sip_code_out"]) for r in rows} or None

    eventually(recorded, what="its record")


# --- UPDATE ------------------------------------------------------------------------------


def test_update_moves_the_media(stage: Stage) -> None:
    record = stage.play(ladders.UPDATING_CALLER, {"cheap": ladders.UPDATED_VENDOR})
    assert causes(record) == ("caller", "normal", 200)


# --- transfer ----------------------------------------------------------------------------


def test_a_blind_transfer_is_two_records_of_the_transferor(stage: Stage, lab: Lab) -> None:
    target = "48" + stage.called[2:]
    caller = ladders.transferring_caller(target, 100, 180, 200)
    vendors = {"cheap": ladders.TRANSFERRED_VENDOR, "dear": ladders.TARGET_VENDOR}
    first = stage.play(caller, vendors)
    (row,) = lab.wait_cdrs(1, called=target)
    second = lab.get(f"/v1/cdrs/{row['call_id']}")
    assert causes(first) == ("caller", "normal", 200)
    assert causes(second) == ("callee", "normal", 200)
    assert second["sip_call_id"] == f"{first['call_id']}.1@transfer"
    assert first["customer_trunk_id"] == second["customer_trunk_id"]
    assert first["vendor_trunk_id"] != second["vendor_trunk_id"]
    # The first call lasts until its transferee is hung up on: longer than the second.
    assert first["talk_ms"] > second["talk_ms"] >= 1_500
    assert Decimal(first["customer_rate"]) == Decimal("0.06")
    assert Decimal(second["customer_rate"]) == Decimal("0.12")
    for record in (first, second):
        assert record["customer_billed_s"] == -(-record["talk_ms"] // 1000)
        assert Decimal(record["cost"]) > 0


def test_a_transfer_that_fails_leaves_the_call_as_it_was(stage: Stage, lab: Lab) -> None:
    target = "48" + stage.called[2:]
    caller = ladders.transferring_caller(target, 100, 486)
    vendors = {"cheap": ladders.PLAIN_VENDOR, "dear": usual.refusing_vendor("486 Busy Here")}
    first = stage.play(caller, vendors)
    (second,) = lab.wait_cdrs(1, called=target)
    assert causes(first) == ("caller", "normal", 200)
    assert (second["end_reason"], second["talk_ms"]) == ("busy", 0)


def test_refer_is_405_where_it_is_not_honoured(stage: Stage, lab: Lab) -> None:
    (trunk,) = lab.get("/v1/customer_trunks", name="customer-trunk")["data"]
    path = f"/v1/customer_trunks/{trunk['id']}"
    kept = {name: group for name, group in trunk["sip"].items() if name != "transfer"}
    lab.http.patch(path, json={"sip": kept}).raise_for_status()

    def refused() -> bool | None:
        vendor = stage.vendor(ladders.PLAIN_VENDOR, timeout_s=20)
        caller = stage.caller(ladders.REFER_REFUSED_CALLER, timeout_s=10)
        done = caller.wait() == 0
        vendor.stop()
        return done or None

    eventually(refused, what="405 to REFER")
    lab.http.patch(path, json={"sip": trunk["sip"]}).raise_for_status()
