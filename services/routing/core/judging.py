"""One vendor judged: what it would be paid by, or why it is left out."""

import msgspec

from services.common.explanation import Considered, Verdict
from services.routing.core import sentences
from services.routing.core.rates import Offer
from services.routing.core.trunks import VendorTrunk


class Candidate(msgspec.Struct, frozen=True):
    """One vendor to try, with the numbers to send and the terms it is paid by."""

    vendor: VendorTrunk
    called: str
    buy_terms: bytes
    media_proxy: bool
    caller: str | None = None
    """As sent to this vendor; ``None``: as to every vendor."""
    max_call_s: int = 0
    """Longest talk by this route; 0: no cap of its own."""


def drop(
    vendor: VendorTrunk, offer: Offer, called: str, *, at_us: int, is_busy: bool
) -> Considered:
    """Say why a vendor that has a row for the number cannot take the call."""
    if offer.till_us <= at_us:
        return considered(vendor, offer, Verdict.EXPIRED, sentences.expired(vendor.rates, offer))
    if offer.blocked:
        return considered(vendor, offer, Verdict.BLOCKED, sentences.blocked(vendor.rates, offer))
    if is_busy:
        return considered(vendor, offer, Verdict.CAPACITY, sentences.busy(vendor))
    return considered(vendor, offer, Verdict.NOT_ALLOWED, sentences.stripped(vendor, called))


def considered(
    vendor: VendorTrunk, offer: Offer | None, verdict: Verdict, because: str, order: int = 0
) -> Considered:
    """What the explanation says of one vendor."""
    return Considered(
        vendor_trunk_id=vendor.id,
        name=vendor.name,
        verdict=verdict,
        order=order,
        prefix=None if offer is None else offer.prefix,
        rate_id=None if offer is None else offer.rate_id,
        cost=None if offer is None else offer.cost_text,
        currency="" if offer is None else vendor.rates.deck.currency,
        priority=vendor.priority,
        weight=vendor.weight,
        because=because,
    )
