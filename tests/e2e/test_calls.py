"""One call after the other, each with its record and its causes."""

from decimal import Decimal
from typing import Any

from tests.e2e import ladders
from tests.e2e.stage import Stage
from tests.support import scenarios
from tests.support.lab import Lab, eventually


def causes(record: dict[str, Any]) -> tuple[str, str, int, int]:
    """Who ended the call, why, and the SIP codes from the vendor and to the customer."""
    return (
        record["end_side"],
        record["end_reason"],
        record["sip_code_in"],
        record["sip_code_out"],
    )


def codes(record: dict[str, Any]) -> list[int]:
    """The final code of every attempt."""
    return [attempt.get("sip_code", 0) for attempt in record["attempts"]]


def test_caller_hangs_up(stage: Stage) -> None:
    record = stage.play(scenarios.CALLER, {"cheap": scenarios.VENDOR}, hold_ms=1200)
    assert causes(record) == ("caller", "normal", 200, 200)
    assert (record["q850_in"], record["q850_out"]) == (16, 16)
    assert 1200 <= record["talk_ms"] < 2200
    assert record["customer_billed_s"] == -(-record["talk_ms"] // 1000)
    assert Decimal(record["price"]) == Decimal("0.001") * (1 + record["customer_billed_s"])
    assert record["pdd_ms"] is not None
    assert [one["name"] for one in record["explanation"]["considered"]] == ["cheap", "dear"]


def test_vendor_hangs_up(stage: Stage) -> None:
    record = stage.play(ladders.CALLER_IS_HUNG_UP_ON, {"cheap": ladders.VENDOR_HANGS_UP})
    assert causes(record) == ("callee", "normal", 200, 200)
    assert record["talk_ms"] >= 300


def test_cancel_while_it_rings(stage: Stage) -> None:
    record = stage.play(ladders.CANCEL_WHILE_RINGING, {"cheap": ladders.CANCELLED_VENDOR})
    assert causes(record) == ("caller", "cancelled", 487, 487)
    assert record["talk_ms"] == 0
    assert Decimal(record["price"]) == 0
    assert codes(record) == [487]


def test_cancel_before_it_rings(stage: Stage) -> None:
    record = stage.play(ladders.CANCEL_BEFORE_RINGING, {"cheap": ladders.TRYING_VENDOR})
    assert causes(record) == ("caller", "cancelled", 487, 487)
    assert record["ringing_at"] is None


def test_busy_ends_the_search(stage: Stage) -> None:
    vendors = {"cheap": ladders.refusing_vendor("486 Busy Here")}
    record = stage.play(ladders.refused_caller(486), vendors)
    assert causes(record) == ("callee", "busy", 486, 486)
    assert (record["q850_in"], codes(record)) == (17, [486])


def test_vendor_that_refuses_is_followed_by_the_next(stage: Stage) -> None:
    vendors = {
        "cheap": ladders.refusing_vendor("503 Service Unavailable"),
        "dear": scenarios.VENDOR,
    }
    record = stage.play(scenarios.CALLER, vendors)
    assert causes(record) == ("caller", "normal", 200, 200)
    assert codes(record) == [503, 200]
    assert Decimal(record["vendor_rate"]) == Decimal("0.022")


def test_vendor_that_is_down_is_followed_by_the_next(stage: Stage) -> None:
    record = stage.play(scenarios.CALLER, {"dear": scenarios.VENDOR})
    assert causes(record) == ("caller", "normal", 200, 200)
    first, second = record["attempts"]
    assert first["end_reason"] in ("vendor_unreachable", "vendor_timeout")
    assert second["sip_code"] == 200


def test_all_vendors_down(stage: Stage) -> None:
    record = stage.play(ladders.refused_caller(503), {})
    assert record["sip_code_out"] == 503
    assert record["end_reason"] in ("vendor_unreachable", "vendor_timeout")
    assert record["attempt_count"] == 2


def test_caller_moves_its_media_holds_and_resumes(stage: Stage) -> None:
    vendors = {"cheap": ladders.REINVITED_VENDOR}
    record = stage.play(ladders.REINVITING_CALLER, vendors)
    assert causes(record) == ("caller", "normal", 200, 200)


def test_late_offer(stage: Stage) -> None:
    record = stage.play(ladders.LATE_OFFER_CALLER, {"cheap": ladders.LATE_OFFERED_VENDOR})
    assert causes(record) == ("caller", "normal", 200, 200)


def test_answer_that_is_never_acknowledged(stage: Stage) -> None:
    record = stage.play(ladders.DEAF_CALLER, {"cheap": scenarios.VENDOR}, timeout_s=80)
    assert causes(record) == ("server", "no_ack", 200, 200)
    assert record["talk_ms"] >= 31_000


def test_digit_by_info(stage: Stage) -> None:
    record = stage.play(ladders.INFO_CALLER, {"cheap": ladders.INFO_VENDOR})
    assert causes(record) == ("caller", "normal", 200, 200)


def ring_for(lab: Lab, ms: int) -> None:
    """Give the cheap vendor a ringing timeout, and wait until routing goes by it."""
    trunks = {row["name"]: row["id"] for row in lab.get("/v1/vendor_trunks")["data"]}
    path = f"/v1/vendor_trunks/{trunks['cheap']}"
    lab.http.patch(path, json={"ringing_timeout_ms": ms}).raise_for_status()
    order = {"customer_trunk": "customer-trunk", "called": "49"}
    eventually(
        lambda: (
            lab.post("/v1/simulations", order)["candidates"][0]["ringing_timeout_ms"] == ms or None
        )
    )


def test_nobody_answers(stage: Stage, lab: Lab) -> None:
    ring_for(lab, 2000)
    vendors = {"cheap": ladders.NO_ANSWER_VENDOR, "dear": ladders.refusing_vendor("480 No Answer")}
    record = stage.play(ladders.refused_caller(480), vendors)
    ring_for(lab, 120_000)
    reasons = [attempt.get("end_reason") for attempt in record["attempts"]]
    assert reasons == ["ringing_timeout", "no_answer"]
    assert record["sip_code_out"] == 480


def test_number_nobody_sells(stage: Stage) -> None:
    stage.called = "33" + stage.called
    record = stage.play(ladders.refused_caller(403), {})
    assert causes(record) == ("server", "no_rate", 0, 403)
    assert record["attempts"] in (None, [])


def test_caller_over_tcp_vendor_over_udp(stage: Stage) -> None:
    vendor = stage.vendor(scenarios.VENDOR)
    caller = stage.caller(scenarios.CALLER, transport="t1", hold_ms=300)
    assert (caller.wait(), vendor.wait()) == (0, 0), caller.errors() + vendor.errors()
    record = stage.record()
    assert causes(record) == ("caller", "normal", 200, 200)
    assert record["source"].endswith(";tcp")


def test_operator_hangs_up(stage: Stage, lab: Lab) -> None:
    vendor = stage.vendor(ladders.HUNG_UP_ON_VENDOR)
    caller = stage.caller(ladders.CALLER_IS_HUNG_UP_ON)

    def answered() -> dict[str, Any] | None:
        calls = lab.get("/v1/calls")["data"]
        mine = [c for c in calls if c["called"] == stage.called and c["state"] == "answered"]
        return mine[0] if mine else None

    call = eventually(answered, what="the call is listed as answered")
    lab.http.post(f"/v1/calls/{call['call_id']}/hangup").raise_for_status()
    assert (caller.wait(), vendor.wait()) == (0, 0), caller.errors() + vendor.errors()
    record = stage.record()
    assert causes(record) == ("server", "admin_disconnect", 200, 200)
    assert record["call_id"] == call["call_id"]


def test_more_calls_than_the_trunk_may_have(stage: Stage, lab: Lab) -> None:
    (trunk,) = lab.get("/v1/customer_trunks", name="customer-trunk")["data"]
    path = f"/v1/customer_trunks/{trunk['id']}"
    lab.http.patch(path, json={"max_calls": 0}).raise_for_status()

    def limited() -> bool | None:
        caller = stage.caller(ladders.refused_caller(503))
        assert caller.wait() == 0, caller.errors()
        reasons = {row["end_reason"] for row in lab.cdrs(called=stage.called)}
        return "customer_capacity" in reasons or None

    eventually(limited, what="a call refused for capacity")
    lab.http.patch(path, json={"max_calls": None}).raise_for_status()
