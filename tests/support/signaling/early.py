"""Calls that ring reliably on both sides, and have agreed on a session before the answer."""

from __future__ import annotations

from services.common.sip_options.reliable import Reliable
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import AnswerMedia, Command, OfferMedia, Respond
from services.signaling.core.commands import Request as Dial
from tests.support.signaling.machine import ANSWER, OFFER, Machine, only, wire_request
from tests.support.signaling.options import machine, pracks, reliably

ALLOW = "Allow: INVITE, ACK, BYE, UPDATE, PRACK"
FAR = VendorSip(reliable=Reliable(mode="supported"))
NEAR = CustomerSip(reliable=Reliable(mode="supported"))
HOLD = OFFER + b"a=sendonly\r\n"
HELD = ANSWER + b"a=recvonly\r\n"


def started(
    *,
    customer: CustomerSip = NEAR,
    vendor: VendorSip = FAR,
    allow: str = ALLOW,
    body: bytes = OFFER,
    media_proxy: bool = False,
    vendors: int = 1,
) -> tuple[Machine, Dial]:
    """A call up to its INVITE to the vendor."""
    invite = wire_request("INVITE", body=body, headers=["Supported: 100rel", allow])
    subject = machine(
        customer=customer, vendor=vendor, invite=invite, media_proxy=media_proxy, vendors=vendors
    )
    if media_proxy:
        subject.start()
        subject.take(subject.call.on_plan(subject.plan, 100.0))
        offer = only(subject.take(subject.call.on_credit(subject.credit, 100.0)), OfferMedia)
        return subject, only(subject.media(offer.token, b"offer", 100.0), Dial)
    return subject, subject.dial()


def early(
    *,
    customer: CustomerSip = NEAR,
    vendor: VendorSip = FAR,
    allow: str = ALLOW,
    allow_far: str = ALLOW,
    media_proxy: bool = False,
    vendors: int = 1,
) -> tuple[Machine, Dial]:
    """An offer and its answer are agreed on in reliable ringing on both sides."""
    subject, invite = started(
        customer=customer, vendor=vendor, allow=allow, media_proxy=media_proxy, vendors=vendors
    )
    steps = subject.say(invite, 183, 101.0, body=ANSWER, headers=reliably(40, allow_far))
    if media_proxy:
        subject.media(only(steps, AnswerMedia).token, b"answer", 101.0)
    pracks(subject, 101.5)
    return subject, invite


def responses(commands: list[Command]) -> list[int]:
    return [c.reply.status for c in commands if isinstance(c, Respond)]
