from services.common.explanation import Verdict
from services.common.pricing.prefix_table import key_of
from services.routing.core.judging import considered, drop
from tests.unit.routing.core.switch import NOW, row, vendor


def test_a_vendor_without_offer_has_no_price() -> None:
    told = considered(vendor("north"), None, Verdict.NO_RATE, "no prefix")
    assert (told.name, told.cost, told.currency, told.order) == ("north", None, "", 0)


def test_a_full_vendor_is_dropped_for_its_limit() -> None:
    full = vendor("north", row("49", 10), max_calls=3)
    offer = full.rates.find("4930", key_of("4930"), NOW)
    assert offer is not None
    told = drop(full, offer, "4930", at_us=NOW, is_busy=True)
    assert (told.verdict, told.because) == (Verdict.CAPACITY, "at its limit of 3 calls")
    assert (told.cost, told.prefix) == ("0.01", "49")
