"""What an INVITE is measured by before anything is asked about it, and what it offers."""

from __future__ import annotations

from services.common.causes import EndReason
from services.signaling.core.context import ALLOW, Context
from services.signaling.core.headers import INVITE_PASSES, passed_lines
from services.signaling.core.hunting import Answered, Hunt
from services.signaling.core.ingress import Ingress
from services.signaling.core.legs import CALLER, options_reply, session
from services.signaling.core.limits import Limit
from services.signaling.core.numbering import has_number_params
from services.signaling.core.outgoing import Offer
from services.signaling.core.privacy import wishes_of_caller
from services.signaling.core.record import CallRecord, bounded
from services.signaling.core.route_finding import RouteFinding
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import Reply, response_to
from services.signaling.sip.headers import readable
from services.signaling.sip.message import Request


def admit(
    context: Context, trunk: CustomerTrunk, ingress: Ingress, now: float
) -> EndReason | None:
    """Count the call against its trunk's limits, or say why it may not go on."""
    ingress.sip = sip = trunk.sip
    if not trunk.enabled:
        return EndReason.CUSTOMER_DISABLED
    if sip.transports and ingress.source.transport not in sip.transports:
        return EndReason.TRANSPORT_REFUSED
    if sip.listener and not context.listeners.is_reachable(ingress.peer):
        return EndReason.LISTENER_MISSING
    if sip.keepalive.crlf_s:
        context.keep_alives.heard(ingress.source, sip.keepalive.crlf_s, now)
    if ingress.invite.max_forwards == 0:
        return EndReason.LOOP
    limit = context.customer_limits.take(
        trunk.id, max_calls=trunk.max_calls, max_cps=trunk.max_cps, now=now
    )
    if limit is None:
        return None
    return EndReason.CUSTOMER_CPS if limit is Limit.CPS else EndReason.CUSTOMER_CAPACITY


def dialled(record: CallRecord, trunk: CustomerTrunk, invite: Request) -> tuple[str, str]:
    """Caller and called number to route and bill by; the record keeps those received as well."""
    if invite.has("privacy") or invite.has("remote-party-id"):
        record.privacy = ";".join(wishes_of_caller(invite))
    sources = trunk.policy.numbers
    if sources is None:
        return record.caller, trunk.without_prefix(record.called)
    caller = bounded(readable(sources.caller(invite))) or record.caller
    called = trunk.without_prefix(bounded(readable(sources.called(invite))) or record.called)
    record.caller_billed, record.called_billed = caller, called
    return caller, called


def offer_of(ingress: Ingress) -> Offer:
    """What every egress INVITE takes over from the caller's (RFC 7332: Max-Forwards less one)."""
    invite, customer = ingress.invite, ingress.policy
    hops = invite.max_forwards
    return Offer(
        session(invite),
        ingress.source.host,
        invite,
        tuple(passed_lines(invite, INVITE_PASSES)),
        70 if hops is None else min(hops, 70) - 1,
        customer,
        invite.has("privacy")
        or invite.has("remote-party-id")
        or customer.headers is not None
        or has_number_params(invite),
        ingress.reliable is not None and ingress.takes_offers,
    )


def early_leg(
    received: Request,
    source: Peer,
    ingress: Ingress | None,
    hunt: Hunt | RouteFinding | None,
    answered: Answered | None,
) -> tuple[str, Peer]:
    """Which leg of an unanswered call a request truly belongs to, and its peer.

    The name is ``""`` for none.
    """
    if ingress is None:
        return "", source
    if received.to_tag.partition("-")[0] == ingress.base_tag:
        return CALLER if ingress.accepts(received, source) else "", ingress.peer
    if answered is not None:
        leg = answered.leg
        return leg.name if leg.accepts(received, source) else "", leg.peer
    attempt = hunt.current if hunt is not None else None
    if attempt is None or attempt.draft is None or received.to_tag != attempt.tag:
        return "", source
    is_vendor = received.call_id == attempt.draft.call_id and source.host == attempt.peer.host
    if not is_vendor and attempt.dialogs is not None:
        is_vendor = attempt.dialogs.accepts(received, source)
    return attempt.name if is_vendor else "", attempt.peer


def early_reply(received: Request, leg: str, context: Context, peer: Peer) -> Reply:
    """The answer to anything but BYE that is asked inside a dialog before the call is answered.

    There is an offer without answer on either leg: another one gets 500 or 491, by whose it is
    (RFC 3311 section 5.2).
    """
    method = received.method
    if method == "OPTIONS":
        return options_reply(received, "")
    if method == "REFER":
        return response_to(received, 405, headers=(ALLOW,))
    if method == "UPDATE" and not received.body:
        return response_to(received, 200, headers=(context.contact(peer), ALLOW))
    if method == "PRACK":
        return prack_reply(received)
    if method == "UPDATE" and leg != CALLER:
        return response_to(received, 491)
    return response_to(received, 500, headers=("Retry-After: 1",))


def prack_reply(prack: Request) -> Reply:
    """The answer to a PRACK that was due; an offer in it goes no further."""
    return response_to(prack, 488 if session(prack) else 200)
