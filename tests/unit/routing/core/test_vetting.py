"""What rules a vendor out whatever the number."""

from collections.abc import Mapping

import pytest

from services.common.explanation import Verdict
from services.routing.core.vetting import vet
from tests.unit.routing.core.switch import account, customer, row, vendor


def verdict(buyer: Mapping[str, object], **fields: object) -> Verdict | None:
    dropped = vet(customer(**buyer), vendor("v", row(""), **fields))  # type: ignore[arg-type]
    assert dropped is None or (dropped.because and dropped.vendor_trunk_id == "vtr_v")
    return None if dropped is None else dropped.verdict


def test_a_vendor_without_fault_may_be_used() -> None:
    assert verdict({}) is None
    assert verdict({"vendors": frozenset({"vtr_v", "vtr_w"})}) is None


def test_vendors_not_allowed_to_the_customer() -> None:
    assert verdict({"vendors": frozenset({"vtr_w"})}) is Verdict.NOT_ALLOWED


def test_disabled() -> None:
    assert verdict({}, enabled=False) is Verdict.DISABLED
    assert verdict({}, account=account("v", enabled=False)) is Verdict.ACCOUNT_DISABLED


def test_a_limit_of_nothing_allows_nothing() -> None:
    assert verdict({}, max_calls=0) is Verdict.CAPACITY
    assert verdict({}, max_cps=0) is Verdict.CAPACITY
    assert verdict({}, max_calls=1, max_cps=1) is None


def test_currencies_are_not_compared() -> None:
    assert verdict({}, currency="USD") is Verdict.CURRENCY
    assert verdict({}, account=account("v", currency="USD")) is Verdict.CURRENCY
    assert verdict({"account": account("C", currency="USD")}) is Verdict.CURRENCY


@pytest.mark.parametrize(
    "address, host, port",
    [
        ("192.0.2.1:5070", "192.0.2.1", 5070),
        ("192.0.2.1", "192.0.2.1", 5060),
        ("[2001:DB8::1]:5070", "2001:db8::1", 5070),
        ("[2001:db8::1]:5070", "[2001:db8::1]", 5070),
        ("2001:db8::1", "2001:db8::1", 5060),
        ("[2001:db8::1]", "2001:db8::1", 5060),
    ],
)
def test_a_call_never_goes_back_to_where_it_came_from(address: str, host: str, port: int) -> None:
    buyer = {"addresses": frozenset({address, "198.51.100.1"})}
    assert verdict(buyer, host=host, port=port) is Verdict.SAME_TRUNK
    assert verdict(buyer, host=host, port=port + 1) is None


def test_the_callers_own_account_may_be_the_vendor() -> None:
    assert verdict({}, account=account("C")) is None
