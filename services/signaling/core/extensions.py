"""SIP extensions a trunk may use or not: what is asked of us, and what we ask for."""

from __future__ import annotations

from typing import NamedTuple

from services.common.sip_options.trunk import DEFAULT_VENDOR, CustomerSip, VendorSip
from services.signaling.core.context import Context
from services.signaling.core.provisionals import Provisionals
from services.signaling.core.watch import Watch, wishes_of
from services.signaling.sip.message import Request
from services.signaling.sip.reliable import LARGEST_FIRST_RSEQ
from services.signaling.sip.session_timer import asking_lines, is_too_small, supports


class Refusal(NamedTuple):
    """Why an INVITE goes no further."""

    status: int
    headers: tuple[str, ...] = ()


def refusal(sip: CustomerSip, invite: Request) -> Refusal | None:
    """What a customer's INVITE asks that his trunk does not do; ``None`` when all is well."""
    if invite.has("require"):
        unsupported = _unsupported(sip, invite)
        if unsupported:
            return Refusal(420, ("Unsupported: " + ", ".join(unsupported),))
    if invite.has("replaces"):
        # Only a REFER of the dialog's own party may name a dialog (RFC 3891 section 8).
        return Refusal(481)
    if sip.reliable.mode == "required" and not supports(invite, "100rel"):
        return Refusal(421, ("Require: 100rel",))
    timer = sip.session_timer
    if timer.mode != "off" and is_too_small(invite, wishes_of(timer)):
        return Refusal(422, (f"Min-SE: {timer.min_se_s}",))
    return None


def provisionals(context: Context, sip: CustomerSip, invite: Request) -> Provisionals | None:
    """How provisional responses are numbered; ``None`` when they are sent once and forgotten.

    The first reliable response to an INVITE without offer is to bring the offer (RFC 3261 section
    13.2.1): ringing without one is reliable only for who insists.
    """
    if sip.reliable.mode == "off" or not supports(invite, "100rel"):
        return None
    first = 1 + int(context.chance() * (LARGEST_FIRST_RSEQ - 1))
    is_late = not invite.body
    return Provisionals(first, is_late=is_late, only_offers=is_late and not invite.has("require"))


def asked_for(sip: VendorSip, *, is_reliable: bool, min_se_s: int = 0) -> list[str]:
    """Header lines for the INVITE to a vendor.

    ``is_reliable`` is whether his offer in a reliable response could be answered, if our INVITE
    has none.
    """
    if sip is DEFAULT_VENDOR:
        return []
    lines: list[str] = []
    supported: list[str] = []
    reliable = sip.reliable.mode if is_reliable else "off"
    if reliable == "required":
        lines.append("Require: 100rel")
    elif reliable == "supported":
        supported.append("100rel")
    if sip.session_timer.mode != "off":
        supported.append("timer")
        lines += asking_lines(wishes_of(sip.session_timer), min_se_s=min_se_s)
    if supported:
        lines.append("Supported: " + ", ".join(supported))
    return lines


def asks_again(sip: VendorSip, min_se_s: int) -> bool:
    """Whether a 422 is worth a second INVITE; ``min_se_s`` is what an earlier one said."""
    return sip.session_timer.mode == "request" and not min_se_s


def required_in_dialog(received: Request, watch: Watch | None) -> Refusal | None:
    """What a request inside a dialog requires that its leg does not do."""
    has_timer = watch is not None and watch.options.mode != "off"
    if has_timer or "timer" not in [tag.lower() for tag in received.headers("require")]:
        return None
    return Refusal(420, ("Unsupported: timer",))


def _unsupported(sip: CustomerSip, invite: Request) -> list[str]:
    """Required tags that somebody else's trunk may use, but not this one."""
    wanted = {tag.lower() for tag in invite.headers("require")}
    off = {"100rel": sip.reliable.mode == "off", "timer": sip.session_timer.mode == "off"}
    return [tag for tag, is_off in off.items() if is_off and tag in wanted]
