"""The INVITE of the caller: what is answered to it, and the dialogs that makes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from services.common.sip_options.trunk import DEFAULT_CUSTOMER, CustomerSip
from services.signaling.core import extensions
from services.signaling.core.addressing import leaving_from
from services.signaling.core.code_policy import reason_lines
from services.signaling.core.context import ALLOW, ALLOW_REFER, Context
from services.signaling.core.early_media import ANY_FORK, EarlyDialogs
from services.signaling.core.header_policy import PLAIN, RESPONSE_USUAL
from services.signaling.core.headers import (
    RESPONSE_PASSES,
    passed_lines,
)
from services.signaling.core.identity import connected_lines
from services.signaling.core.legs import CALLER, Leg, session
from services.signaling.core.provisionals import Provisional, Provisionals
from services.signaling.core.trunk_policy import USUAL_CUSTOMER, CustomerPolicy, VendorPolicy
from services.signaling.core.watch import wishes_of
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import Reply, response_to
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.listeners import SECURE
from services.signaling.sip.message import Request, Response
from services.signaling.sip.session_timer import grant, granted_lines


class Ingress:
    """The INVITE of the caller, until it has a final response that was acknowledged."""

    __slots__ = (
        "_base", "_context", "_early_legs", "_is_secure", "_tags", "early", "invite", "key",
        "peer", "policy", "reliable", "sip", "source",
    )  # fmt: skip

    def __init__(self, invite: Request, key: str, source: Peer, context: Context) -> None:
        self.invite = invite
        self.key = key
        self.source = source
        self.peer = source
        """Where requests of ours go, and from where."""
        self.sip = DEFAULT_CUSTOMER
        """How this customer is spoken to, once he is known."""
        self.reliable: Provisionals | None = None
        """Set when provisional responses are acknowledged."""
        self._is_secure = source.transport in SECURE and asks_security(invite)
        self._context = context
        self._base = context.new_tag()
        self._tags: dict[tuple[int, str], str] = {}
        self._early_legs: dict[str, Leg] | None = None
        self.policy = USUAL_CUSTOMER
        """How the customer is dealt with, once it is known who he is."""
        self.early: EarlyDialogs | None = None
        """What shapes ringing and early media; ``None``: it passes as it comes."""

    def meet(self, sip: CustomerSip) -> extensions.Refusal | None:
        """Learn who is calling; what his INVITE asks that his trunk does not do, if anything."""
        self.sip = sip
        if sip.listener:
            self.peer = leaving_from(sip.listener, self.source)
        refused = extensions.refusal(sip, self.invite)
        if refused is None:
            self.reliable = extensions.provisionals(self._context, sip, self.invite)
        return refused

    @property
    def base_tag(self) -> str:
        """What all our tags on this leg begin with, up to any ``-``."""
        return self._base

    def tag(self, attempt: int, remote_tag: str) -> str:
        """Our To tag for one egress dialog: the caller sees forks as forks, as he should.

        A vendor whose ringing had no tag gets none of its own for the tag it has later.
        """
        if self.early is not None:
            attempt, remote_tag = self.early.key(attempt, remote_tag)
        known = self._tags.get((attempt, remote_tag))
        if known is None:
            known = self._tags.pop((attempt, ""), "") or self._fresh_tag()
            self._tags[attempt, remote_tag] = known
        return known

    def fork(self, tag: str) -> tuple[int, str]:
        """The egress dialog, by attempt and its tag, that our To tag ``tag`` stands for.

        ``(0, "")`` for none.
        """
        for (attempt, remote_tag), known in self._tags.items():
            if known == tag:
                if remote_tag == ANY_FORK and self.early is not None:
                    remote_tag = self.early.first(attempt)
                return attempt, remote_tag
        return 0, ""

    def known_tag(self, attempt: int, remote_tag: str) -> str:
        """Our To tag that stands for one egress dialog; ``""`` when none does."""
        key = (attempt, remote_tag)
        if self.early is not None:
            key = self.early.key(attempt, remote_tag)
        tag = self._tags.get(key, "")
        return tag if tag and self.fork(tag) == (attempt, remote_tag) else ""

    @property
    def takes_offers(self) -> bool:
        """Whether a vendor's offer in a provisional response can be passed on and answered."""
        if self.reliable is None or not self.reliable.is_late:
            return False
        return self.early is None or self.early.passes_offers

    def belongs_to(self, policy: CustomerPolicy) -> None:
        """The customer is known."""
        self.policy = policy
        if policy.early_media is not None:
            self.early = EarlyDialogs(policy.early_media)

    def _fresh_tag(self) -> str:
        return f"{self._base}-{len(self._tags)}" if self._tags else self._base

    def progress(
        self, attempt: int, response: Response, sdp: bytes, source: VendorPolicy
    ) -> Reply | None:
        """What a vendor's provisional response becomes; ``None``: nothing is to be sent now."""
        status = response.status
        if self.early is not None:
            ringing = self.early.pass_on(attempt, response.to_tag, status, sdp)
            if ringing is None:
                return None
            status, sdp = ringing
        tag = self.tag(attempt, response.to_tag)
        if sdp and self.reliable is not None and self.takes_offers:
            self.early_leg(tag, attempt).session = sdp
        return self.provisional(status, tag, sdp, self.passed(response, source))

    def passed(self, response: Response, source: VendorPolicy) -> list[str]:
        """The lines of ringing or answer that pass to the caller."""
        policy = self.policy
        if policy.is_usual and source.headers is None:
            return passed_lines(response, RESPONSE_PASSES)
        headers = policy.headers or PLAIN
        stripped = (source.headers or PLAIN).stripped
        if self.early is not None and response.status < 200:
            stripped |= self.early.stripped
        lines = reason_lines(policy.reason, response, 0)
        if policy.is_told_called and source.is_trusted:
            lines += headers.unless_added(connected_lines(response, self._context.host(self.peer)))
        return [*lines, *headers.invite_lines(response, RESPONSE_USUAL, stripped)]

    def passed_in_refusal(self, response: Response | None, source: VendorPolicy) -> list[str]:
        """The lines of a vendor's refusal, if there was one, that pass to the caller."""
        headers = self.policy.headers
        if headers is None:
            return []
        if response is None:
            return [*headers.added]
        return headers.invite_lines(response, (), (source.headers or PLAIN).stripped)

    def accepts(self, request: Request, source: Peer) -> bool:
        """Whether a request that names our tag truly comes from the caller."""
        invite = self.invite
        return (request.call_id, request.from_tag, source.host) == (
            invite.call_id,
            invite.from_tag,
            self.source.host,
        )

    def refusal(self, status: int, headers: Iterable[str] = ()) -> Reply:
        """A final response that is no success."""
        return response_to(self.invite, status, to_tag=self._base, headers=headers)

    def answer(
        self,
        status: int,
        to_tag: str,
        sdp: bytes,
        headers: Iterable[str] = (),
        reason: str | None = None,
    ) -> Reply:
        """A provisional response or a 2xx, with our Contact."""
        allow = ALLOW if self.sip.transfer.mode == "refuse" else ALLOW_REFER
        contact = self._context.contact(self.peer, is_secure=self._is_secure)
        lines = [*headers, contact, allow]
        if self.sip.session_timer.mode != "off" and status == 200:
            lines += self._session_timer_lines()
        return response_to(self.invite, status, reason, to_tag=to_tag, headers=lines, body=sdp)

    def provisional(
        self, status: int, to_tag: str, sdp: bytes, headers: Iterable[str]
    ) -> Reply | None:
        """A provisional response; ``None`` for one that waits for the PRACK of another."""
        reliable = self.reliable
        if reliable is None or (reliable.only_offers and not sdp):
            return self.answer(status, to_tag, sdp, headers)
        due = reliable.give(Provisional(status, to_tag, sdp, tuple(headers)))
        return None if due is None else self._reliably(due, reliable)

    def on_prack(self, received: Request) -> Reply | None:
        """Take the PRACK of the last one; the next to send, if any."""
        reliable = self.reliable
        due = None if reliable is None else reliable.on_prack(received)
        return None if due is None or reliable is None else self._reliably(due, reliable)

    def holds_answer(self) -> bool:
        """Whether the 2xx has to wait for a PRACK, which then brings it up again."""
        reliable = self.reliable
        if reliable is None or not reliable.holds_answer:
            return False
        reliable.is_held = True
        return True

    @property
    def is_answer_due(self) -> bool:
        """Whether a 2xx that had to wait can go now."""
        reliable = self.reliable
        return reliable is not None and reliable.is_held and not reliable.holds_answer

    def _reliably(self, due: Provisional, reliable: Provisionals) -> Reply:
        rseq = reliable.number(due.to_tag)
        headers = [*due.headers, "Require: 100rel", f"RSeq: {rseq}"]
        sdp = b"" if due.to_tag in reliable.renewed else due.sdp
        reply = self.answer(due.status, due.to_tag, sdp, headers)
        return msgspec.structs.replace(reply, rseq=rseq)

    def _session_timer_lines(self) -> list[str]:
        terms = grant(self.invite, wishes_of(self.sip.session_timer))
        return [] if terms is None else granted_lines(self.invite, terms)

    def early_leg(self, to_tag: str, attempt: int) -> Leg:
        """The dialog of ``to_tag``, kept because something is asked inside it."""
        if self._early_legs is None:
            self._early_legs = {}
        if to_tag not in self._early_legs:
            leg = self._early_legs[to_tag] = self.leg(to_tag, attempt)
            leg.keeps_session = True
        return self._early_legs[to_tag]

    def leg(self, to_tag: str, attempt: int) -> Leg:
        """The dialog of ``to_tag``; to be confirmed once a 2xx is sent in it."""
        if self._early_legs is not None and to_tag in self._early_legs:
            return self._early_legs[to_tag]
        dialog = Dialog.from_request(self.invite, to_tag)
        return Leg(
            CALLER,
            dialog,
            self.peer,
            attempt=attempt,
            policy=self.policy,
            request_to=self.sip.nat.request_to,
            is_secure=self._is_secure,
            said=session(self.invite) if self.sip.transfer.mode == "honour" else None,
        )


def asks_security(invite: Request) -> bool:
    """Whether our Contact must be a ``sips`` URI (section 12.1.1)."""
    if invite.uri[:5].lower() == "sips:":
        return True
    route = invite.headers("record-route")
    if route:
        return "<sips:" in route[0].lower()
    contact = invite.contact
    return contact is not None and contact.uri[:5].lower() == "sips:"
