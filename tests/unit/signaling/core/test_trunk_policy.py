"""Options compiled: what is at its defaults is not there."""

from __future__ import annotations

import pytest

from services.common.sip_options.trunk import CustomerSip, VendorSip, read_options
from services.signaling.core.trunk_policy import (
    USUAL_CUSTOMER,
    USUAL_VENDOR,
    customer_policy,
    vendor_policy,
)
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from tests.support.signaling.policies import Options


def test_defaults_compile_to_the_usual() -> None:
    assert customer_policy(CustomerSip()) is USUAL_CUSTOMER
    assert vendor_policy(VendorSip()) is USUAL_VENDOR
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1")
    assert trunk.policy is USUAL_CUSTOMER
    assert (USUAL_CUSTOMER.reason, USUAL_VENDOR.reason) == ("pass", "pass")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"numbers": {"called_from": "to"}}, "numbers"),
        ({"headers": {"pass": "all"}}, "headers"),
        ({"codes": {"reason": "none"}}, "codes"),
        ({"early_media": {"ringing": "180"}}, "early_media"),
        ({"timeouts": {"setup_ms": 1000}}, "setup_s"),
        ({"identity": {"trusted": True}}, "is_trusted"),
    ],
)
def test_each_customer_group_is_there_alone(options: Options, field: str) -> None:
    policy = customer_policy(read_options(CustomerSip, options))
    changed = {name for name, value in policy._asdict().items() if value != getattr(
        USUAL_CUSTOMER, name)}  # fmt: skip
    assert changed - {"is_usual"} == {field}
    assert policy.is_usual is (field in ("numbers", "setup_s", "is_trusted"))


def test_vendors_by_id() -> None:
    table = TrunkTable({}, vendors={
        "vtr_1": VendorSip(), "vtr_2": read_options(VendorSip, {"codes": {"reason": "none"}}),
        "vtr_3": read_options(VendorSip, {"identity": {"user_phone": True}}),
    })  # fmt: skip
    assert table.vendor_policy("vtr_1") is table.vendor_policy("unknown") is USUAL_VENDOR
    assert table.vendor_policy("vtr_2").reason == "none"
    assert table.vendor_policy("vtr_2").is_usual
    assert not table.vendor_policy("vtr_3").is_usual
