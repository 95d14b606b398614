"""Money for ten calls, and fifty that want it at once."""

import threading
from decimal import Decimal
from pathlib import Path

from tests.e2e.books import assert_exact, money
from tests.support import scenarios
from tests.support.lab import CALLED, Lab, document
from tests.support.ports import free_port
from tests.support.sipp import Sipp

PREPAID_HOST = "127.0.0.4"
OFFERED, PAYABLE = 50, 10


def test_fifty_calls_on_money_for_ten(lab: Lab, tmp_path: Path) -> None:
    # A call of up to a minute reserves 0.001 + 0.06; ten of them are 0.61.
    body = document(lab.vendors, media_proxy=False)
    body["accounts"][0] |= {"name": "prepaid", "credit_limit": "0"}
    body["customer_trunks"][0] |= {
        "name": "prepaid-trunk",
        "account": "prepaid",
        "addresses": [PREPAID_HOST],
    }
    lab.apply(body)
    account = lab.account("prepaid")
    paid = {"account_id": account["id"], "amount": "0.61", "currency": "EUR"}
    lab.post("/v1/payments", paid)
    before = {"customer": lab.balance("prepaid"), "vendors": lab.balance("vendors")}

    lowest: list[Decimal] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            now = money(lab, "prepaid")
            assert now["leases"] == now["leased"]
            lowest.append(now["balance"] + now["credit_limit"] - now["leased"])
            over.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    vendor = Sipp(tmp_path, "vendor", scenarios.VENDOR, lab.vendors["cheap"], calls=PAYABLE)
    caller = Sipp(
        tmp_path,
        "caller",
        scenarios.answered_or_refused(403),
        (PREPAID_HOST, free_port(PREPAID_HOST)),
        lab.sip,
        calls=OFFERED,
        rate=200,
        hold_ms=3000,
        called=CALLED + "50",
    )
    vendor.start()
    caller.start()
    try:
        assert caller.wait() == 0, caller.errors()
        assert vendor.wait() == 0, vendor.errors()
        records = lab.wait_cdrs(OFFERED, called=CALLED + "50")
    finally:
        over.set()
        watcher.join()
        caller.stop()
        vendor.stop()
    reasons = [record["end_reason"] for record in records]
    assert reasons.count("normal") == PAYABLE
    assert reasons.count("insufficient_balance") == OFFERED - PAYABLE
    assert {r["sip_code_out"] for r in records if r["end_reason"] != "normal"} == {403}
    assert min(lowest) >= 0
    assert_exact(lab, records, before, customer="prepaid")
