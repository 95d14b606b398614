import datetime as dt
from decimal import Decimal

import msgspec
import pytest

from services.common.errors import Invalid
from services.common.events import Attempt, CallEnded, Charge
from services.common.pricing.charge import to_units
from services.common.terms import Terms, encode_terms
from services.rating.core.credit import Backing
from services.rating.core.settle import COST, REVENUE, settle

AT = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def terms(account_id: str, price: str, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "account_id": account_id,
        "rate_id": 7,
        "deck_id": "dck_1",
        "prefix": "44",
        "currency": "USD",
        "first_price": Decimal(price),
        "next_price": Decimal(price),
    }
    return encode_terms(Terms(**(fields | changes)))  # type: ignore[arg-type]  # Terms checks


def call(
    talk_ms: int,
    *,
    sell: bytes = b"null",
    buys: tuple[bytes, ...] = (),
    answered: int | None = None,
    reserved: str = "",
    call_id: str = "cal_1",
) -> CallEnded:
    return CallEnded(
        call_id=call_id,
        node="sig-1",
        invited_at=AT,
        ended_at=AT,
        talk_ms=talk_ms,
        attempts=tuple(
            Attempt(
                vendor_trunk_id="vtr_1",
                account_id="acc_v",
                target="192.0.2.1:5060;udp",
                started_at=AT,
                buy_terms=msgspec.Raw(buy),
            )
            for buy in buys
        ),
        answered_attempt=answered,
        sell_terms=msgspec.Raw(sell),
        reservation_id=reserved,
        end_reason="normal",
    )


SELL = terms("acc_c", "0.6", first_s=30, next_s=6)
BUY = terms("acc_v", "0.3")


def test_both_sides_of_an_answered_call() -> None:
    settled = settle(call(61_000, sell=SELL, buys=(BUY,), answered=0, reserved="lea_1/70/2"))
    assert settled.customer == Charge(
        account_id="acc_c",
        currency="USD",
        amount=Decimal("0.66"),
        billed_s=66,
        rate_id=7,
        deck_id="dck_1",
        prefix="44",
        price=Decimal("0.6"),
    )
    assert settled.vendor is not None
    assert (settled.vendor.account_id, settled.vendor.amount) == ("acc_v", Decimal("0.305"))
    assert [(t.key, t.debit, t.credit, t.amount, t.kind) for t in settled.transfers] == [
        ("cal_1/customer", "acc_c", REVENUE, Decimal("0.66"), "call"),
        ("cal_1/vendor", COST, "acc_v", Decimal("0.305"), "call"),
    ]
    assert settled.backing == Backing("lea_1", 70, 2)
    assert settled.customer_key == "cal_1/customer"


def test_amounts_carry_the_decimals_of_their_account() -> None:
    settled = settle(call(61_000, sell=terms("acc_c", "0.6", digits=3)))
    assert settled.customer is not None
    assert str(settled.customer.amount) == "0.610"


def test_the_vendor_that_answered_is_paid_not_the_ones_that_failed() -> None:
    dear = terms("acc_dear", "6")
    settled = settle(call(10_000, sell=SELL, buys=(dear, BUY), answered=1))
    assert settled.vendor is not None
    assert settled.vendor.account_id == "acc_v"


def test_an_unanswered_call_moves_no_money_but_keeps_its_rate() -> None:
    settled = settle(call(0, sell=SELL, buys=(BUY,)))
    assert settled.customer is not None
    assert (settled.customer.amount, settled.customer.billed_s) == (Decimal(0), 0)
    assert settled.vendor is None
    assert settled.transfers == ()


def test_a_call_without_rate_has_no_charges() -> None:
    settled = settle(call(0))
    assert (settled.customer, settled.vendor, settled.transfers) == (None, None, ())


@pytest.mark.parametrize("answered", [-1, 1, 99])
def test_an_answered_attempt_that_is_none_pays_nobody(answered: int) -> None:
    assert settle(call(1000, buys=(BUY,), answered=answered)).vendor is None


def test_a_call_cut_for_lack_of_money_costs_what_was_reserved_however_late_the_cut() -> None:
    reserved = f"lea_1/{to_units(Decimal('0.6'))}/1"
    per_second = terms("acc_c", "0.6")
    for talk_ms, amount in [
        (59_400, "0.6"),
        (60_000, "0.6"),
        (60_003, "0.6"),
        (62_000, "0.6"),
        (62_001, "0.63"),
    ]:
        customer = settle(call(talk_ms, sell=per_second, reserved=reserved)).customer
        assert customer is not None
        assert customer.amount == Decimal(amount)


def test_the_vendor_is_paid_for_the_lateness() -> None:
    reserved = f"lea_1/{to_units(Decimal('0.6'))}/1"
    late = call(60_500, sell=SELL, buys=(BUY,), answered=0, reserved=reserved)
    vendor = settle(late).vendor
    assert vendor is not None
    assert vendor.billed_s == 61


@pytest.mark.parametrize(
    "sell",
    [
        b"{}",
        b"[]",
        b'"x"',
        SELL.replace(b'"0.6"', b'"-1"'),
        SELL.replace(b'"0.6"', b'"1e17"'),
        SELL.replace(b"acc_c", b"revenue"),
        SELL.replace(b"acc_c", b""),
        SELL.replace(b"acc_c", b"\\u0000"),
    ],
)
def test_terms_that_cannot_be_priced_are_a_flaw_and_the_other_side_is_charged(sell: bytes) -> None:
    settled = settle(call(1000, sell=sell, buys=(BUY,), answered=0))
    assert settled.customer is None
    assert len(settled.flaws) == 1
    assert [transfer.key for transfer in settled.transfers] == ["cal_1/vendor"]


@pytest.mark.parametrize("call_id", ["", "cal\x00"])
def test_a_call_without_usable_id_cannot_be_settled(call_id: str) -> None:
    with pytest.raises(Invalid):
        settle(call(1000, sell=SELL, call_id=call_id))
