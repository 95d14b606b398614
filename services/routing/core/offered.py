"""Judges routes that a customer's routing server offers: exactly these, in its order.

Each is vetted and priced like a vendor of our own choice; what cannot be used is left out and
explained. Customer and vendor are charged as ever, the vendor by the number it is sent.
"""

from collections.abc import Collection, Sequence

import msgspec

from services.common.explanation import Considered, Verdict
from services.common.pricing.prefix_table import key_of
from services.routing.core import sentences
from services.routing.core.judging import Candidate, considered, drop
from services.routing.core.numbers import (
    called_as_offered,
    called_as_sent,
    caller_as_sent,
    priced_number,
)
from services.routing.core.snapshot import Snapshot
from services.routing.core.trunks import CustomerTrunk, VendorTrunk

_Told = tuple[Considered, ...]


class OfferedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One route as a routing server named it."""

    vendor: str
    """Id or name of a vendor trunk, or the host it is configured with."""
    called: str = ""
    """As it is to be sent; empty: in the vendor trunk's own notation."""
    caller: str | None = None
    max_call_s: int = 0
    """0: no cap of its own."""


def offered_note(offered: Sequence[OfferedRoute]) -> str:
    """What the explanation says of them."""
    if not offered:
        return ""
    many = "1 route" if len(offered) == 1 else f"{len(offered)} routes"
    return f"the routing server offered {many}: no others are considered"


def judge_offered(
    snapshot: Snapshot,
    customer: CustomerTrunk,
    offered: Sequence[OfferedRoute],
    called: str,
    busy: Collection[str],
    at_us: int,
) -> tuple[tuple[Candidate, ...], _Told]:
    """The routes that can take the call, and what became of each."""
    left_out = {each.vendor_trunk_id: each for each in snapshot.vetted(customer).dropped}
    candidates: list[Candidate] = []
    told: list[Considered] = []
    for route in offered:
        vendor = snapshot.vendor_named(route.vendor)
        if vendor is None:
            told.append(_unknown(route))
        elif vendor.id in left_out:
            told.append(left_out[vendor.id])
        else:
            place = len(candidates) + 1
            candidate, verdict = _judge(customer, vendor, route, called, busy, at_us, place)
            told.append(verdict)
            if candidate is not None:
                candidates.append(candidate)
    return tuple(candidates), tuple(told)


def _judge(
    customer: CustomerTrunk,
    vendor: VendorTrunk,
    route: OfferedRoute,
    called: str,
    busy: Collection[str],
    at_us: int,
    place: int,
) -> tuple[Candidate | None, Considered]:
    sent = _sent(vendor, route, called)
    number = priced_number(route.called, prepend=vendor.prepend, called=called)
    offer = vendor.rates.find(number, key_of(number), at_us)
    if offer is None:
        because = sentences.no_rate(vendor.rates, number)
        return None, considered(vendor, None, Verdict.NO_RATE, because)
    if sent is None:
        because = "the number offered for it cannot be sent"
        return None, considered(vendor, offer, Verdict.NOT_ALLOWED, because)
    is_busy = vendor.id in busy
    if offer.till_us <= at_us or offer.blocked or is_busy or not sent:
        return None, drop(vendor, offer, number, at_us=at_us, is_busy=is_busy)
    if place > customer.max_attempts:
        because = sentences.beyond(place, offer, customer.max_attempts)
        return None, considered(vendor, offer, Verdict.LIMIT, because)
    candidate = Candidate(
        vendor,
        sent,
        vendor.rates.terms(offer),
        customer.media_proxy or vendor.media_proxy,
        None if route.caller is None else caller_as_sent(route.caller),
        route.max_call_s,
    )
    because = f"{sentences.ordinal(place)} as offered, at {offer.cost_text}/min"
    return candidate, considered(vendor, offer, Verdict.CANDIDATE, because, place)


def _sent(vendor: VendorTrunk, route: OfferedRoute, called: str) -> str | None:
    """The number for the vendor; empty when nothing is left of it, ``None`` when unfit."""
    if route.called:
        return called_as_offered(route.called)
    return called_as_sent(called, strip=vendor.strip, prepend=vendor.prepend)


def _unknown(route: OfferedRoute) -> Considered:
    return Considered(
        vendor_trunk_id="",
        name=route.vendor[:100],
        verdict=Verdict.UNKNOWN,
        because="offered by the routing server, but no vendor trunk has this name or host",
    )
