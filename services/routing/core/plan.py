"""Plans one call: may it go, where, in which order, and why.

Each vendor is judged by its own longest match; what is left is ordered by the cost of a minute,
then priority (smaller first), then a draw in which weights are shares. Costs in different
currencies are not compared: such vendors are dropped.
"""

import math
from collections.abc import Callable, Collection, Sequence

import msgspec

from services.common.causes import EndReason
from services.common.explanation import Considered, Explanation, Verdict
from services.common.pricing.prefix_table import key_of
from services.routing.core import sentences
from services.routing.core.judging import Candidate, considered, drop
from services.routing.core.numbers import called_as_sent, caller_as_sent, digits_of
from services.routing.core.offered import OfferedRoute, judge_offered, offered_note
from services.routing.core.rates import Offer
from services.routing.core.snapshot import Snapshot
from services.routing.core.trunks import CustomerTrunk, VendorTrunk

MAX_CONSIDERED = 100
"""Vendors named in an explanation: it becomes part of every record."""

MAX_NOTE = 200

Draw = Callable[[], float]
"""A random number from 0 (inclusive) to 1."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call that wants to go somewhere."""

    customer_trunk_id: str
    caller: str
    """User parts as received."""
    called: str
    at_us: int
    """The instant that decides which rates are in force; microseconds since 1970."""
    busy: Collection[str] = ()
    """Ids of vendor trunks at their limit."""
    offered: Sequence[OfferedRoute] = ()
    """Routes a routing server allows: exactly these may become candidates, in this order."""
    note: str = ""
    """For the explanation: what came before."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The call may go; ``candidates`` is never empty, best first."""

    customer: CustomerTrunk
    caller_billed: str
    called_billed: str
    caller: str
    """As sent to every vendor."""
    sell_terms: bytes
    max_call_s: int
    """0: no cap."""
    candidates: tuple[Candidate, ...]
    explanation: Explanation


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The call may not go. Billed numbers and account are given as far as they were found out."""

    reason: EndReason
    explanation: Explanation
    account_id: str = ""
    caller_billed: str = ""
    called_billed: str = ""


_Ranked = tuple[int, int, float, int, VendorTrunk, Offer, str]
"""What vendors are ordered by (the last of it, their place in the list, is unique); then the
vendor, its offer and the number it is sent."""


def plan(snapshot: Snapshot, request: Request, draw: Draw) -> Plan | Refusal:
    """Decide one call against ``snapshot``. The same draw gives the same plan."""
    customer = snapshot.customers.get(request.customer_trunk_id)
    called = digits_of(request.called)
    if customer is None or called is None or not _enabled(customer):
        return _turned_away(request, customer, called)
    sell = customer.rates.find(called, key_of(called), request.at_us)
    refusal = _sell_refusal(customer, called, sell, request.at_us)
    if refusal is not None or sell is None:
        reason, because = refusal or (EndReason.NO_RATE, "")
        return _refused(request, customer, called, reason, because, sell)
    if request.offered:
        usable_offered, told = judge_offered(
            snapshot, customer, request.offered, called, request.busy, request.at_us
        )
        return _planned(request, customer, called, sell, usable_offered, told, snapshot)
    usable, dropped = _judge(snapshot, customer, request, called, draw)
    usable.sort()
    candidates = tuple(_candidate(customer, each) for each in usable[: customer.max_attempts])
    told = (*_told(customer, usable), *dropped) if usable else tuple(dropped)
    return _planned(request, customer, called, sell, candidates, told, snapshot)


def _planned(
    request: Request,
    customer: CustomerTrunk,
    called: str,
    sell: Offer,
    candidates: tuple[Candidate, ...],
    told: tuple[Considered, ...],
    snapshot: Snapshot,
) -> Plan | Refusal:
    """The plan with these candidates; the refusal, when there are none."""
    if not candidates:
        because = f"none of {len(told)} vendors can take the call"
        # A vendor that would do, were it not full, tells the customer to come back later.
        is_full = any(each.verdict is Verdict.CAPACITY for each in told)
        reason = EndReason.VENDOR_CAPACITY if is_full else EndReason.NO_ROUTE
        return _refused(request, customer, called, reason, because, sell, told)
    return Plan(
        customer=customer,
        caller_billed=digits_of(request.caller) or "",
        called_billed=called,
        caller=caller_as_sent(request.caller),
        sell_terms=customer.rates.terms(sell),
        max_call_s=customer.max_call_s or snapshot.max_call_s,
        candidates=candidates,
        explanation=_explanation(request, customer, called, sell, told),
    )


def _enabled(customer: CustomerTrunk) -> bool:
    return customer.enabled and customer.rates.account.enabled


def _turned_away(request: Request, customer: CustomerTrunk | None, called: str | None) -> Refusal:
    """Refuse before any deck is asked."""
    if customer is None:
        because = f"there is no customer trunk {request.customer_trunk_id[:64]}"
        return _refused(request, None, called, EndReason.UNKNOWN_CUSTOMER, because)
    if not _enabled(customer):
        what = "the trunk" if not customer.enabled else f"account {customer.rates.account.name}"
        because = f"{what} is disabled"
        return _refused(request, customer, called, EndReason.CUSTOMER_DISABLED, because)
    because = f"{request.called[:64]!r} is not a number"
    return _refused(request, customer, called, EndReason.INVALID_NUMBER, because)


def _sell_refusal(
    customer: CustomerTrunk, called: str, sell: Offer | None, at_us: int
) -> tuple[EndReason, str] | None:
    """What the customer's own deck has against the call."""
    rates = customer.rates
    if rates.deck.currency != rates.account.currency:
        because = (
            f"deck {rates.deck.name} is in {rates.deck.currency}, "
            f"the account in {rates.account.currency}"
        )
        return EndReason.NO_RATE, because
    if sell is None:
        return EndReason.NO_RATE, sentences.no_rate(rates, called)
    if sell.till_us <= at_us:
        return EndReason.DESTINATION_BLOCKED, sentences.expired(rates, sell)
    if sell.blocked:
        return EndReason.DESTINATION_BLOCKED, sentences.blocked(rates, sell)
    return None


def _judge(
    snapshot: Snapshot, customer: CustomerTrunk, request: Request, called: str, draw: Draw
) -> tuple[list[_Ranked], list[Considered]]:
    """Part the vendors into those that can take the call, unsorted, and those that cannot."""
    vetted = snapshot.vetted(customer)
    key, at_us, busy = key_of(called), request.at_us, frozenset(request.busy)
    usable: list[_Ranked] = []
    dropped: list[Considered] = []
    for place, vendor in enumerate(vetted.usable):
        offer = vendor.rates.find(called, key, at_us)
        if offer is None:
            because = sentences.no_rate(vendor.rates, called)
            dropped.append(considered(vendor, None, Verdict.NO_RATE, because))
            continue
        sent = called_as_sent(called, strip=vendor.strip, prepend=vendor.prepend)
        # The common case, decided here: a call to _drop per vendor is felt.
        if offer.till_us <= at_us or offer.blocked or vendor.id in busy or not sent:
            dropped.append(drop(vendor, offer, called, at_us=at_us, is_busy=vendor.id in busy))
            continue
        # Exponential variates: the order of these is the order of drawing without return.
        lot = -math.log(1.0 - draw()) / vendor.weight if vendor.weight else math.inf
        usable.append((offer.cost, vendor.priority, lot, place, vendor, offer, sent))
    dropped.extend(vetted.dropped)
    return usable, dropped


def _candidate(customer: CustomerTrunk, ranked: _Ranked) -> Candidate:
    vendor, offer, sent = ranked[4:]
    proxied = customer.media_proxy or vendor.media_proxy
    return Candidate(vendor, sent, vendor.rates.terms(offer), proxied)


def _told(customer: CustomerTrunk, ordered: list[_Ranked]) -> list[Considered]:
    """The usable vendors in order, each with the reason for its place."""
    told: list[Considered] = []
    before: tuple[VendorTrunk, Offer] | None = None
    attempts = customer.max_attempts
    for place, (_, _, _, _, vendor, offer, _) in enumerate(ordered, start=1):
        if place <= attempts:
            because = sentences.ranked(place, vendor, offer, before)
            told.append(considered(vendor, offer, Verdict.CANDIDATE, because, place))
            before = vendor, offer
        else:
            because = sentences.beyond(place, offer, attempts)
            told.append(considered(vendor, offer, Verdict.LIMIT, because))
    return told


def _refused(
    request: Request,
    customer: CustomerTrunk | None,
    called: str | None,
    reason: EndReason,
    because: str,
    sell: Offer | None = None,
    told: Collection[Considered] = (),
) -> Refusal:
    explanation = _explanation(request, customer, called or "", sell, tuple(told))
    return Refusal(
        reason=reason,
        explanation=msgspec.structs.replace(explanation, refused=reason.value, because=because),
        account_id=customer.rates.account.id if customer else "",
        caller_billed=digits_of(request.caller) or "",
        called_billed=called or "",
    )


def _explanation(
    request: Request,
    customer: CustomerTrunk | None,
    called: str,
    sell: Offer | None,
    told: tuple[Considered, ...],
) -> Explanation:
    left_out = len(told) - MAX_CONSIDERED
    return Explanation(
        customer_trunk_id=customer.id if customer else "",
        called=called,
        sell_deck_id=customer.rates.deck.id if customer else "",
        sell_prefix=sell.prefix if sell else None,
        sell_rate_id=sell.rate_id if sell else None,
        sell_price=sell.cost_text if sell else None,
        because=f"{left_out} more vendors are not shown" if left_out > 0 else "",
        note=request.note[:MAX_NOTE] or offered_note(request.offered),
        considered=told[:MAX_CONSIDERED],
    )
