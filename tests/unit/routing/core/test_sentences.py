"""Sentences that the plans' tests do not read."""

from services.common.pricing.prefix_table import key_of
from services.routing.core import sentences
from tests.unit.routing.core.switch import row, vendor


def test_ordinals() -> None:
    assert [sentences.ordinal(place) for place in (1, 2, 10, 11)] == [
        "first",
        "second",
        "tenth",
        "number 11",
    ]


def test_busy_names_the_limit_when_there_is_but_one() -> None:
    assert sentences.busy(vendor("v", max_calls=3)) == "at its limit of 3 calls"
    assert sentences.busy(vendor("v", max_cps=3)) == "at its limit of 3 calls per second"
    assert sentences.busy(vendor("v", max_calls=3, max_cps=3)) == "at its limit"
    assert sentences.busy(vendor("v")) == "at its limit"


def test_default_row_and_single_attempt() -> None:
    trunk = vendor("v", row("", 5, blocked=True))
    offer = trunk.rates.find("49", key_of("49"), 0)
    assert offer is not None
    assert sentences.blocked(trunk.rates, offer) == "the default row is blocked in its deck v deck"
    assert sentences.beyond(2, offer, 1) == (
        "would be second at 0.005/min, but only 1 vendor is tried"
    )


def test_drawn_by_weight() -> None:
    ahead, behind = vendor("a", row("", 5), weight=9), vendor("b", row("", 5))
    first, second = (each.rates.find("49", key_of("49"), 0) for each in (ahead, behind))
    assert first is not None
    assert second is not None
    assert sentences.ranked(2, behind, second, (ahead, first)) == (
        "second: the same price and priority, drawn by weight 1 against 9"
    )
