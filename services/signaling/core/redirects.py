"""The Contacts of a 3xx, received and sent (RFC 3261 sections 8.1.3.4 and 21.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from services.common.causes import EndReason
from services.signaling.core.contacts import REGISTERED
from services.signaling.core.context import Context
from services.signaling.core.outgoing import request_uri
from services.signaling.core.values import Candidate
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr
from services.signaling.sip.message import Response
from services.signaling.sip.uri import SipUri

MOST_CONTACTS: Final = 32
"""Looked at per response."""


def redirected_to(response: Response) -> list[SipUri]:
    """The SIP URIs a redirection names, best q first, equal ones in the order they came.

    What cannot be read is left out. Headers in a URI stay where they are: honouring them would
    let the peer write into our request.
    """
    ranked: list[tuple[float, int, SipUri]] = []
    for place, value in enumerate(response.headers("contact")[:MOST_CONTACTS]):
        try:
            contact = NameAddr.parse(value)
            uri, q = contact.address, _q(contact.params.get("q"))
        except MalformedMessage:
            continue
        if isinstance(uri, SipUri):
            ranked.append((-q, place, uri))
    ranked.sort(key=lambda each: each[:2])
    return [uri for _, _, uri in ranked]


def _q(value: str | None) -> float:
    """Preference from 0 to 1; section 20.10 has no default, so one without is wanted most."""
    if value is None:
        return 1.0
    try:
        q = float(value)
    except ValueError:
        raise MalformedMessage("Malformed q") from None
    if not 0.0 <= q <= 1.0:
        raise MalformedMessage("q out of range")
    return q


class Redirection(NamedTuple):
    """The final response that tells a customer his routes, or that there are none."""

    reason: EndReason
    status: int = 0
    """0: that of the reason."""
    lines: tuple[str, ...] = ()


def redirection(context: Context, candidates: Sequence[Candidate], now: float) -> Redirection:
    """Answer with the candidates as Contacts, best first.

    302 for one route, 300 for several. Vendors that are down or left alone are not named, nor are
    users registered here, who can be reached from here only.
    """
    lines: list[str] = []
    reason = EndReason.NO_ROUTE
    for candidate in candidates:
        trouble = _trouble(context, candidate, now)
        if trouble is None:
            # At most a hundred: q never reaches 0.
            uri = _wanted_uri(context, candidate)
            lines.append(f"Contact: <{uri}>;q={1 - len(lines) / 100:.2f}")
        else:
            reason = trouble
    if not lines:
        return Redirection(reason)
    return Redirection(EndReason.REDIRECTED, 302 if len(lines) == 1 else 300, tuple(lines))


def _wanted_uri(context: Context, candidate: Candidate) -> str:
    """Where the vendor is, with the number as he wants it."""
    identity = context.trunks.vendor_policy(candidate.vendor_trunk_id).identity
    if identity is not None:
        candidate = replace(candidate, called=identity.called(candidate.called))
    return request_uri(candidate)


def _trouble(context: Context, candidate: Candidate, now: float) -> EndReason | None:
    if candidate.host.startswith(REGISTERED):
        return EndReason.NO_ROUTE
    reach = context.reach
    sip = context.trunks.vendor(candidate.vendor_trunk_id)
    service = reach.service_of(candidate.host, candidate.transport, sip)
    peers = [] if service is None else reach.served(service)
    peers = peers or reach.peers(candidate.host, candidate.port, candidate.transport)
    good, reason = reach.usable(candidate.vendor_trunk_id, peers, now)
    # A name that we cannot resolve is the customer's to look up.
    return None if good or not peers else reason
