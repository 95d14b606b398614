"""What the INVITE to a vendor says, by his policy and the customer's."""

from __future__ import annotations

from typing import NamedTuple

from services.signaling.core import header_policy, identity
from services.signaling.core.header_policy import INVITE_USUAL
from services.signaling.core.headers import address
from services.signaling.core.numbering import number_params
from services.signaling.core.privacy import REVEALING
from services.signaling.core.trunk_policy import USUAL_CUSTOMER, CustomerPolicy, VendorPolicy
from services.signaling.core.values import Candidate
from services.signaling.sip.listeners import default_port
from services.signaling.sip.message import Request


class Offer(NamedTuple):
    """What every egress INVITE of a call has in common."""

    sdp: bytes
    """``b""`` for a late offer: the callee's 200 brings it."""
    source_host: str
    invite: Request
    """The caller's."""
    headers: tuple[str, ...] = ()
    """Lines that pass from it when there is nothing special about the call."""
    max_forwards: int = 70
    customer: CustomerPolicy = USUAL_CUSTOMER
    is_special: bool = False
    """Whether even a vendor without options needs :func:`outgoing`."""
    takes_offers: bool = False
    """Whether the caller, without offer of his own, answers one in a provisional response."""


class Outgoing(NamedTuple):
    """The parts of an INVITE that policies decide on."""

    uri: str
    from_: str
    """Without tag."""
    to: str
    headers: tuple[str, ...]


def outgoing(
    candidate: Candidate, policy: VendorPolicy, offer: Offer, advertised: str
) -> Outgoing:
    """Write the INVITE for one vendor; ``advertised`` is our address as he knows it."""
    who = policy.identity or identity.PLAIN
    invite, customer = offer.invite, offer.customer
    uri, to = who.called_uri(
        candidate.called, bracketed(candidate.host), number_params(invite), _tail(candidate)
    )
    caller = who.caller(candidate.caller, invite, advertised, is_trusted=customer.is_trusted)
    headers = policy.headers or header_policy.PLAIN
    stripped = (customer.headers or header_policy.PLAIN).stripped
    if caller.is_withheld:
        stripped |= REVEALING
    passed = headers.invite_lines(invite, INVITE_USUAL, stripped)
    return Outgoing(uri, caller.from_, to, (*headers.unless_added(caller.lines), *passed))


def request_uri(candidate: Candidate) -> str:
    """The Request-URI for a vendor without options."""
    return address(candidate.called, bracketed(candidate.host))[1:-1] + _tail(candidate)


def bracketed(host: str) -> str:
    """``host`` as it stands in a URI."""
    return f"[{host}]" if ":" in host else host


def _tail(candidate: Candidate) -> str:
    """What follows the host of the Request-URI."""
    transport = candidate.transport
    port = "" if candidate.port == default_port(transport) else f":{candidate.port}"
    return port if transport == "udp" else f"{port};transport={transport}"
