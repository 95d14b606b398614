"""One sentence for people on each decision; every vendor of every call gets one."""

from services.routing.core.rates import Offer, PricedDeck, instant_text
from services.routing.core.trunks import VendorTrunk

_ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
    "tenth",
)  # fmt: skip


def ordinal(place: int) -> str:
    """``first`` to ``tenth``, then ``number 11``."""
    return _ORDINALS[place] if place < len(_ORDINALS) else f"number {place}"


def ranked(
    place: int, vendor: VendorTrunk, offer: Offer, before: tuple[VendorTrunk, Offer] | None
) -> str:
    """Why this vendor stands at ``place``, compared with the one tried just before it."""
    if before is None:
        return f"first: {offer.cost_text}/min"
    ahead, cheaper = before
    if offer.cost != cheaper.cost:
        return f"{ordinal(place)}: {offer.cost_text}/min against {cheaper.cost_text}/min"
    if vendor.priority != ahead.priority:
        return (
            f"{ordinal(place)}: the same {offer.cost_text}/min, "
            f"but priority {vendor.priority} against {ahead.priority}"
        )
    return (
        f"{ordinal(place)}: the same price and priority, "
        f"drawn by weight {vendor.weight} against {ahead.weight}"
    )


def beyond(place: int, offer: Offer, attempts: int) -> str:
    """A usable vendor that will not be tried."""
    tried = "1 vendor is" if attempts == 1 else f"{attempts} vendors are"
    return f"would be {ordinal(place)} at {offer.cost_text}/min, but only {tried} tried"


def no_rate(rates: PricedDeck, called: str) -> str:
    """The deck does not know the number."""
    return f"no prefix of {called} in its deck {rates.deck.name}"


def blocked(rates: PricedDeck, offer: Offer) -> str:
    """The longest prefix is blocked: shorter ones are not asked."""
    return f"{_code(offer)} is blocked in its deck {rates.deck.name}"


def expired(rates: PricedDeck, offer: Offer) -> str:
    """The longest prefix has ended: shorter ones are not asked."""
    return f"{_code(offer)} ended {instant_text(offer.till_us)} in its deck {rates.deck.name}"


def busy(vendor: VendorTrunk) -> str:
    """The asking node counts the calls."""
    if vendor.max_calls is None and vendor.max_cps is not None:
        return f"at its limit of {vendor.max_cps} calls per second"
    if vendor.max_calls is not None and vendor.max_cps is None:
        return f"at its limit of {vendor.max_calls} calls"
    return "at its limit"


def stripped(vendor: VendorTrunk, called: str) -> str:
    """The vendor's notation leaves nothing of the number."""
    return f"nothing is left of {called} once {vendor.strip} digits are stripped"


def _code(offer: Offer) -> str:
    return f"code {offer.prefix}" if offer.prefix else "the default row"
