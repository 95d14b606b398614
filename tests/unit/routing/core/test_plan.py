"""Plans: order, drops, refusals and explanations."""

import random
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.causes import EndReason
from services.common.explanation import (
    Considered,
    Verdict,
    decode_explanation,
    encode_explanation,
)
from services.common.terms import decode_terms
from services.routing.core.plan import MAX_CONSIDERED, Plan, Refusal, Request, plan
from services.routing.core.snapshot import Snapshot
from tests.unit.routing.core.switch import NOW, account, customer, row, switch, vendor


def ask(
    snapshot: Snapshot,
    called: str = "4930123",
    *,
    caller: str = "+4989",
    busy: tuple[str, ...] = (),
    draw: Callable[[], float] = lambda: 0.5,
    trunk: str = "ctr",
) -> Plan | Refusal:
    request = Request(customer_trunk_id=trunk, caller=caller, called=called, at_us=NOW, busy=busy)
    return plan(snapshot, request, draw)


def planned(snapshot: Snapshot, called: str = "4930123", **how: object) -> Plan:
    decision = ask(snapshot, called, **how)  # type: ignore[arg-type]
    assert isinstance(decision, Plan)
    return decision


def refused(snapshot: Snapshot, called: str = "4930123", **how: object) -> Refusal:
    decision = ask(snapshot, called, **how)  # type: ignore[arg-type]
    assert isinstance(decision, Refusal)
    assert decision.explanation.refused == decision.reason
    assert decision.explanation.because
    return decision


def names(decision: Plan) -> list[str]:
    return [candidate.vendor.name for candidate in decision.candidates]


def told(decision: Plan | Refusal, name: str) -> Considered:
    (found,) = [each for each in decision.explanation.considered if each.name == name]
    return found


def test_vendors_are_compared_by_their_own_longest_match() -> None:
    decision = planned(
        switch(vendor("dear", row("49", 10), row("4930", 15)), vendor("cheap", row("4", 12)))
    )
    assert names(decision) == ["cheap", "dear"]
    cheap, dear = decision.explanation.considered
    assert (cheap.order, cheap.prefix, cheap.cost, cheap.currency) == (1, "4", "0.012", "EUR")
    assert (dear.order, dear.prefix, dear.cost) == (2, "4930", "0.015")
    assert cheap.because == "first: 0.012/min"
    assert dear.because == "second: 0.015/min against 0.012/min"


def test_the_plan_carries_numbers_terms_and_limits() -> None:
    buyer = customer(row("49", 20, number=5), max_call_s=90, media_proxy=False)
    decision = planned(
        switch(
            vendor("v", row("4930", 10, number=6), strip=2, prepend="0", media_proxy=False),
            buyer=buyer,
        ),
        "+49 30 123",
        caller="+49 89",
    )
    assert (decision.caller_billed, decision.called_billed) == ("4989", "4930123")
    assert decision.caller == "4989"
    assert decision.max_call_s == 90
    (candidate,) = decision.candidates
    assert (candidate.called, candidate.media_proxy) == ("030123", False)
    sell, buy = decode_terms(decision.sell_terms), decode_terms(candidate.buy_terms)
    assert (sell.account_id, sell.rate_id, sell.prefix) == ("acc_C", 5, "49")
    assert (buy.account_id, buy.rate_id, buy.prefix) == ("acc_v", 6, "4930")
    explanation = decision.explanation
    assert (explanation.called, explanation.sell_deck_id) == ("4930123", "dck_sell")
    assert (explanation.sell_prefix, explanation.sell_rate_id) == ("49", 5)
    assert explanation.sell_price == "0.02"
    assert explanation.refused == ""


def test_callers_without_a_number_may_call() -> None:
    decision = planned(switch(vendor("v", row("", 1))), caller="anonymous")
    assert (decision.caller_billed, decision.caller) == ("", "anonymous")


@pytest.mark.parametrize("own, others, used", [(60, 100, 60), (200, 100, 200), (None, 100, 100)])
def test_the_trunks_own_cap_goes_before_that_of_the_switch(
    own: int | None, others: int, used: int
) -> None:
    snapshot = Snapshot(
        revision=1,
        customers=[customer(max_call_s=own)],
        vendors=[vendor("v", row("", 1))],
        max_call_s=others,
    )
    assert planned(snapshot).max_call_s == used


@pytest.mark.parametrize(
    "of_customer, of_vendor", [(True, False), (False, True), (True, True), (False, False)]
)
def test_media_is_proxied_when_either_trunk_asks_for_it(
    of_customer: bool,
    of_vendor: bool,
) -> None:
    snapshot = switch(
        vendor("v", row("", 1), media_proxy=of_vendor), buyer=customer(media_proxy=of_customer)
    )
    assert planned(snapshot).candidates[0].media_proxy is (of_customer or of_vendor)


def test_equal_costs_are_ordered_by_priority() -> None:
    decision = planned(
        switch(
            vendor("a", row("49", 10), priority=20),
            vendor("b", row("49", 10), priority=10),
            vendor("c", row("49", 11), priority=1),
        )
    )
    assert names(decision) == ["b", "a", "c"]
    assert told(decision, "a").because == "second: the same 0.01/min, but priority 20 against 10"


def test_weights_are_shares_of_calls() -> None:
    snapshot = switch(
        vendor("one", row("", 1), weight=1),
        vendor("three", row("", 1), weight=3),
        vendor("none", row("", 1), weight=0),
    )
    dice = random.Random(7)
    plans = [planned(snapshot, draw=dice.random) for _ in range(4000)]
    first = Counter(names(each)[0] for each in plans)
    assert 2850 < first["three"] < 3150
    assert first["one"] == 4000 - first["three"]
    assert {names(each)[2] for each in plans} == {"none"}
    assert "drawn by weight" in plans[0].explanation.considered[1].because


def test_the_same_draw_gives_the_same_plan_and_zero_is_a_draw() -> None:
    snapshot = switch(*(vendor(name, row("", 1)) for name in "abcde"))
    assert names(planned(snapshot, draw=lambda: 0.0)) == list("abcde")
    one, two = (planned(snapshot, draw=random.Random(3).random) for _ in range(2))
    assert names(one) == names(two)


def test_blocked_code_does_not_fall_back_to_a_shorter_one() -> None:
    decision = planned(
        switch(vendor("a", row("49", 1), row("4930", blocked=True)), vendor("b", row("49", 5)))
    )
    assert names(decision) == ["b"]
    dropped = told(decision, "a")
    assert (dropped.verdict, dropped.prefix, dropped.order) == (Verdict.BLOCKED, "4930", 0)
    assert dropped.because == "code 4930 is blocked in its deck a deck"


def test_ended_code_is_closed_not_inherited() -> None:
    decision = planned(
        switch(
            vendor("a", row("49", 1), row("4930", till_us=1_767_225_600_000_000)),
            vendor("b", row("49", 5)),
        )
    )
    assert names(decision) == ["b"]
    assert told(decision, "a").verdict is Verdict.EXPIRED
    assert told(decision, "a").because == (
        "code 4930 ended 2026-01-01 00:00:00 UTC in its deck a deck"
    )


def test_price_of_tomorrow_is_not_paid_today() -> None:
    decision = planned(switch(vendor("a", row("49", 5), row("4930", 1, from_us=NOW + 1))))
    assert told(decision, "a").cost == "0.005"
    decision = planned(switch(vendor("a", row("49", 5), row("4930", 1, from_us=NOW))))
    assert told(decision, "a").cost == "0.001"


def test_every_vendor_that_is_dropped_is_told_with_its_reason() -> None:
    decision = planned(
        switch(
            vendor("ok", row("49", 5)),
            vendor("unrated", row("33", 1)),
            vendor("busy", row("49", 1), max_calls=30),
            vendor("off", row("49", 1), enabled=False),
            vendor("owing", row("49", 1), account=account("owing", enabled=False)),
            vendor("dollar", row("49", 1), currency="USD"),
            vendor("stripping", row("49", 1), strip=7),
        ),
        busy=("vtr_busy",),
    )
    assert names(decision) == ["ok"]
    assert {
        each.name: (each.verdict, each.because) for each in decision.explanation.considered
    } == {
        "ok": (Verdict.CANDIDATE, "first: 0.005/min"),
        "unrated": (Verdict.NO_RATE, "no prefix of 4930123 in its deck unrated deck"),
        "busy": (Verdict.CAPACITY, "at its limit of 30 calls"),
        "off": (Verdict.DISABLED, "the trunk is disabled"),
        "owing": (Verdict.ACCOUNT_DISABLED, "its account owing is disabled"),
        "dollar": (Verdict.CURRENCY, "costs USD, but the customer pays EUR"),
        "stripping": (
            Verdict.NOT_ALLOWED,
            "nothing is left of 4930123 once 7 digits are stripped",
        ),
    }


def test_when_only_full_vendors_would_do_the_customer_hears_of_capacity() -> None:
    both = switch(vendor("unrated", row("33", 1)), vendor("busy", row("49", 1), max_calls=1))
    assert refused(both, busy=("vtr_busy",)).reason is EndReason.VENDOR_CAPACITY
    assert refused(switch(vendor("unrated", row("33", 1)))).reason is EndReason.NO_ROUTE


def test_usable_vendors_beyond_the_attempts_allowed_are_told() -> None:
    vendors = [vendor(name, row("", at)) for at, name in enumerate("abc", start=1)]
    decision = planned(switch(*vendors, buyer=customer(max_attempts=2)))
    assert names(decision) == ["a", "b"]
    assert told(decision, "c").verdict is Verdict.LIMIT
    assert told(decision, "c").because == (
        "would be third at 0.003/min, but only 2 vendors are tried"
    )


def test_unknown_customer() -> None:
    assert refused(switch(), trunk="ctr_x").reason is EndReason.UNKNOWN_CUSTOMER
    assert len(refused(switch(), trunk="x" * 9999).explanation.because) < 200


def test_disabled_trunk_or_account() -> None:
    off = refused(switch(buyer=customer(enabled=False)))
    assert (off.reason, off.account_id) == (EndReason.CUSTOMER_DISABLED, "acc_C")
    assert off.explanation.because == "the trunk is disabled"
    owing = refused(switch(buyer=customer(account=account("C", enabled=False))))
    assert owing.reason is EndReason.CUSTOMER_DISABLED
    assert owing.explanation.because == "account C is disabled"


def test_invalid_number() -> None:
    refusal = refused(switch(vendor("v", row("", 1))), "alice")
    assert (refusal.reason, refusal.called_billed) == (EndReason.INVALID_NUMBER, "")
    assert refusal.caller_billed == "4989"


def test_no_sell_rate() -> None:
    refusal = refused(switch(vendor("v", row("", 1)), buyer=customer(row("33"))))
    assert refusal.reason is EndReason.NO_RATE
    assert refusal.explanation.because == "no prefix of 4930123 in its deck sell deck"
    assert refusal.called_billed == "4930123"


def test_sell_deck_in_another_currency_than_its_account() -> None:
    refusal = refused(switch(vendor("v", row("", 1)), buyer=customer(row(""), currency="USD")))
    assert refusal.reason is EndReason.NO_RATE
    assert refusal.explanation.because == "deck sell deck is in USD, the account in EUR"


@pytest.mark.parametrize("closed", [{"blocked": True}, {"till_us": NOW}])
def test_closed_sell_code(closed: dict[str, int]) -> None:
    buyer = customer(row("", 20), row("4930", number=9, **closed))  # type: ignore[arg-type]
    refusal = refused(switch(vendor("v", row("", 1)), buyer=buyer))
    assert refusal.reason is EndReason.DESTINATION_BLOCKED
    assert refusal.explanation.sell_rate_id == 9
    assert isinstance(ask(switch(vendor("v", row("", 1)), buyer=buyer), "4931"), Plan)


def test_no_route_tells_what_became_of_every_vendor() -> None:
    refusal = refused(switch(vendor("a", row("33")), vendor("b", row("", 1), enabled=False)))
    assert refusal.reason is EndReason.NO_ROUTE
    assert {each.name for each in refusal.explanation.considered} == {"a", "b"}
    assert refused(switch()).reason is EndReason.NO_ROUTE


def test_explanation_of_hundreds_of_vendors_is_bounded_and_says_so() -> None:
    decision = planned(switch(*(vendor(f"v{at:03}", row("", at)) for at in range(150))))
    assert len(decision.explanation.considered) == MAX_CONSIDERED
    assert decision.explanation.because == "50 more vendors are not shown"
    many = refused(switch(*(vendor(f"v{at}", row("33")) for at in range(150))))
    assert len(many.explanation.considered) == MAX_CONSIDERED


prefixes = st.sampled_from(["", "4", "49", "493", "4930", "33"])
rows = st.lists(
    st.builds(
        row,
        prefixes,
        st.integers(0, 3),
        number=st.integers(1, 99),
        blocked=st.booleans(),
        till_us=st.sampled_from([NOW, NOW + 1]),
    ),
    max_size=4,
)
vendors = st.builds(
    lambda at, rows, fields: vendor(f"v{at}", *rows, **fields),
    st.integers(0, 10**6),
    rows,
    st.fixed_dictionaries(
        {
            "enabled": st.booleans(),
            "priority": st.integers(1, 2),
            "weight": st.integers(0, 2),
            "currency": st.sampled_from(["EUR", "EUR", "EUR", "USD"]),
            "strip": st.sampled_from([0, 0, 7]),
        }
    ),
)


@settings(max_examples=200)
@given(
    offered=st.lists(vendors, max_size=8, unique_by=lambda trunk: trunk.id),
    attempts=st.integers(1, 4),
    chance=st.randoms(use_true_random=False),
    busy=st.integers(0, 8),
)
def test_whatever_the_switch_looks_like(
    offered: list[object], attempts: int, chance: random.Random, busy: int
) -> None:
    snapshot = switch(*offered, buyer=customer(max_attempts=attempts))  # type: ignore[arg-type]
    ids = [trunk.id for trunk in snapshot.vendors]
    decision = ask(snapshot, busy=tuple(ids[:busy]), draw=chance.random)
    considered = decision.explanation.considered
    assert sorted(each.vendor_trunk_id for each in considered) == ids  # every one, once
    assert all(each.because for each in considered)
    chosen = [each for each in considered if each.verdict is Verdict.CANDIDATE]
    assert [each.order for each in chosen] == list(range(1, len(chosen) + 1))
    assert decode_explanation(encode_explanation(decision.explanation)) is not None
    if isinstance(decision, Refusal):
        assert not chosen
        assert not any(each.verdict is Verdict.LIMIT for each in considered)
        return
    assert [each.vendor_trunk_id for each in chosen] == [
        candidate.vendor.id for candidate in decision.candidates
    ]
    assert 1 <= len(chosen) <= attempts
    limited = [each for each in considered if each.verdict is Verdict.LIMIT]
    assert not limited or len(chosen) == attempts
    keys = [(float(each.cost or 0), each.priority) for each in (*chosen, *limited)]
    assert keys == sorted(keys)
    for candidate in decision.candidates:
        trunk = candidate.vendor
        assert trunk.enabled
        assert trunk.id not in ids[:busy]
        terms = decode_terms(candidate.buy_terms)
        assert "4930123".startswith(terms.prefix)
        assert (terms.currency, terms.account_id) == ("EUR", trunk.rates.account.id)


def test_explanation_survives_its_encoding() -> None:
    decision = planned(switch(vendor("a", row("", 1)), vendor("b", row("33"))))
    encoded = encode_explanation(decision.explanation)
    assert msgspec.json.decode(encoded)["considered"][0]["verdict"] == "candidate"
    back = msgspec.json.decode(encoded, type=type(decision.explanation))
    assert back == decision.explanation
