from decimal import Decimal

import pytest

from services.common.causes import EndReason
from services.common.explanation import Verdict
from services.common.terms import decode_terms
from services.routing.core.offered import OfferedRoute
from services.routing.core.plan import Plan, Refusal, Request, plan
from services.routing.core.snapshot import Snapshot
from services.routing.core.trunks import CustomerTrunk
from tests.unit.routing.core.switch import NOW, customer, row, switch, vendor

CHEAP = vendor("cheap", row("49", 5), row("4989", 6), prepend="99#")
DEAR = vendor("dear", row("49", 50), host="192.0.2.7", port=5070)


def offered(
    *routes: OfferedRoute | str, called: str = "4930", busy: tuple[str, ...] = ()
) -> Request:
    return Request(
        customer_trunk_id="ctr",
        caller="1000",
        called=called,
        at_us=NOW,
        busy=busy,
        offered=[OfferedRoute(vendor=each) if isinstance(each, str) else each for each in routes],
    )


def decided(
    request: Request, *, buyer: CustomerTrunk | None = None, snapshot: Snapshot | None = None
) -> Plan | Refusal:
    return plan(snapshot or switch(CHEAP, DEAR, buyer=buyer), request, lambda: 0.5)


def names(decision: Plan | Refusal) -> list[str]:
    assert isinstance(decision, Plan), decision
    return [each.vendor.name for each in decision.candidates]


def told(decision: Plan | Refusal) -> list[tuple[str, Verdict]]:
    return [(each.name, each.verdict) for each in decision.explanation.considered]


def test_exactly_the_offered_routes_in_their_order_whatever_they_cost() -> None:
    decision = decided(offered("dear", "cheap"))
    assert names(decision) == ["dear", "cheap"]
    assert [each.order for each in decision.explanation.considered] == [1, 2]
    note = "the routing server offered 2 routes: no others are considered"
    assert decision.explanation.note == note
    assert names(decided(offered("cheap"))) == ["cheap"]


def test_without_an_offer_the_price_decides() -> None:
    assert names(decided(offered())) == ["cheap", "dear"]


@pytest.mark.parametrize("name", ["vtr_dear", "dear", "DEAR", "192.0.2.7", "192.0.2.7:5070"])
def test_a_vendor_may_be_named_by_id_name_or_host(name: str) -> None:
    assert names(decided(offered(name))) == ["dear"]


def test_what_is_no_vendor_is_explained() -> None:
    decision = decided(offered("nobody", "dear"))
    assert told(decision) == [("nobody", Verdict.UNKNOWN), ("dear", Verdict.CANDIDATE)]
    refused = decided(offered("nobody"))
    assert isinstance(refused, Refusal)
    assert refused.reason is EndReason.NO_ROUTE
    assert refused.explanation.because == "none of 1 vendors can take the call"


def test_numbers_and_limits_of_the_offer_are_sent() -> None:
    route = OfferedRoute(vendor="cheap", called="+498912", caller="4711", max_call_s=60)
    decision = decided(offered(route))
    assert isinstance(decision, Plan)
    (candidate,) = decision.candidates
    assert (candidate.called, candidate.caller, candidate.max_call_s) == ("+498912", "4711", 60)


def test_without_a_number_the_vendor_gets_its_own_notation_and_the_caller_as_received() -> None:
    decision = decided(offered("cheap"))
    assert isinstance(decision, Plan)
    (candidate,) = decision.candidates
    assert (candidate.called, candidate.caller, decision.caller) == ("99#4930", None, "1000")


@pytest.mark.parametrize(
    ("sent", "price"),
    [
        ("498912", "0.006"),
        ("99#498912", "0.006"),  # the trunk's own prefix is no part of the number
        ("+4989", "0.006"),
        ("4930", "0.005"),
        ("short*code", "0.005"),  # no number: paid by the one that was dialled
    ],
)
def test_the_vendor_is_paid_by_the_number_it_is_sent(sent: str, price: str) -> None:
    decision = decided(offered(OfferedRoute(vendor="cheap", called=sent)))
    assert isinstance(decision, Plan)
    assert decode_terms(decision.candidates[0].buy_terms).next_price == Decimal(price)
    assert decode_terms(decision.sell_terms).next_price == Decimal("0.02")


@pytest.mark.parametrize("sent", ["49 30", "49@evil", "49\r\nX: y", "49;a=b<", "ü", "4" * 65])
def test_a_number_that_cannot_be_sent_costs_its_route(sent: str) -> None:
    decision = decided(offered(OfferedRoute(vendor="cheap", called=sent), "dear"))
    assert told(decision) == [("cheap", Verdict.NOT_ALLOWED), ("dear", Verdict.CANDIDATE)]


def test_a_caller_that_could_be_read_as_something_else_is_reduced() -> None:
    decision = decided(offered(OfferedRoute(vendor="cheap", caller='"><sip:evil')))
    assert isinstance(decision, Plan)
    assert decision.candidates[0].caller == ""


def test_offered_vendors_are_vetted_like_any_other() -> None:
    vendors = [
        vendor("off", row("49"), enabled=False),
        vendor("blocked", row("49", blocked=True)),
        vendor("ended", row("49", till_us=NOW)),
        vendor("other", row("33")),
        vendor("dollar", row("49"), currency="USD"),
        vendor("full", row("49"), max_calls=1),
        vendor("good", row("49")),
        vendor("more", row("49")),
    ]
    request = offered(*(each.name for each in vendors), busy=("vtr_full",))
    snapshot = switch(*vendors, buyer=customer(max_attempts=1))
    assert told(decided(request, snapshot=snapshot)) == [
        ("off", Verdict.DISABLED),
        ("blocked", Verdict.BLOCKED),
        ("ended", Verdict.EXPIRED),
        ("other", Verdict.NO_RATE),
        ("dollar", Verdict.CURRENCY),
        ("full", Verdict.CAPACITY),
        ("good", Verdict.CANDIDATE),
        ("more", Verdict.LIMIT),
    ]


def test_the_customers_own_list_of_vendors_holds() -> None:
    buyer = customer(vendors=frozenset({"vtr_dear"}))
    decision = decided(offered("cheap", "dear"), buyer=buyer)
    assert told(decision) == [("cheap", Verdict.NOT_ALLOWED), ("dear", Verdict.CANDIDATE)]


def test_the_customers_deck_is_asked_first() -> None:
    decision = decided(offered("cheap"), buyer=customer(row("33")))
    assert isinstance(decision, Refusal)
    assert decision.reason is EndReason.NO_RATE


def test_a_note_of_what_came_before_is_kept() -> None:
    request = Request(
        customer_trunk_id="ctr", caller="", called="4930", at_us=NOW, note="server was late"
    )
    assert decided(request).explanation.note == "server was late"
