"""One side of a call: our end of a dialog, and the requests and answers written on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec

from services.common.sip_options.trunk import DEFAULT_CUSTOMER, CustomerSip
from services.signaling.core import extensions
from services.signaling.core.addressing import leaving_from, place_of, target_of
from services.signaling.core.code_policy import reason_lines
from services.signaling.core.commands import Owner
from services.signaling.core.context import ACCEPT, ALLOW, ALLOW_REFER, Context
from services.signaling.core.early_media import ANY_FORK, EarlyDialogs
from services.signaling.core.header_policy import BYE_USUAL, PLAIN, RESPONSE_USUAL, passing
from services.signaling.core.headers import (
    BYE_PASSES,
    RESPONSE_PASSES,
    passed_lines,
    reason_line,
)
from services.signaling.core.identity import connected_lines
from services.signaling.core.logins import Login
from services.signaling.core.provisionals import Provisional, Provisionals
from services.signaling.core.trunk_policy import USUAL_CUSTOMER, CustomerPolicy, VendorPolicy
from services.signaling.core.watch import Watch, WatchState, wishes_of
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import Reply, RequestDraft, response_to
from services.signaling.sip.dialog import Dialog, DialogState
from services.signaling.sip.listeners import SECURE
from services.signaling.sip.message import Request, Response
from services.signaling.sip.session_timer import grant, granted_lines

CALLER = "A"
"""Name of the ingress leg; egress legs are B1, B2 and so on, by attempt."""

CSEQ_GAP = 1000
"""More requests than a call sends between two snapshots."""
_OFFERING = frozenset({"INVITE", "UPDATE"})


def reachable(peer: Peer) -> Peer:
    """A peer of a process that died: its connections died with it."""
    return peer._replace(connection=0) if peer.reliable else peer


class LegState(msgspec.Struct, array_like=True, frozen=True):
    """A leg as plain values."""

    name: str
    peer: Peer
    attempt: int
    is_acknowledged: bool
    dialog: DialogState
    session: bytes = b""
    watch: WatchState | None = None
    said: bytes | None = None

    @property
    def reachable(self) -> Peer:
        """The peer, as this process reaches it."""
        return reachable(self.peer)


class Leg:
    """A dialog that a call has with one party, from the moment it can carry requests."""

    __slots__ = (
        "attempt", "dialog", "heard_at", "is_acknowledged", "is_over", "is_secure",
        "keeps_session", "login", "name", "peer", "policy", "request_to", "said", "session",
        "watch",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        dialog: Dialog,
        peer: Peer,
        *,
        attempt: int,
        policy: CustomerPolicy | VendorPolicy = USUAL_CUSTOMER,
        login: Login | None = None,
        request_to: str = "auto",
        is_secure: bool = False,
        said: bytes | None = None,
    ) -> None:
        self.name = name
        self.dialog = dialog
        self.peer = peer
        """Where its first message came from or went to."""
        self.attempt = attempt
        """Egress attempt whose media this leg has; the caller's is that of the answered one."""
        self.login = login
        """How we prove ourselves here, once the vendor has asked for it."""
        self.request_to = request_to
        """The trunk's rule for where requests go: :func:`.addressing.target_of`."""
        self.is_secure = is_secure
        """Whether we are a ``sips`` URI in it."""
        self.is_acknowledged = name != CALLER
        """Whether a BYE may be sent: not before the ACK of our 2xx (section 15)."""
        self.is_over = False
        """Whether BYE was sent or received."""
        self.policy = policy
        """What passes to this party and how it is told of causes."""
        self.heard_at = 0.0
        """When the party last said anything inside the answered call."""
        self.keeps_session = False
        """Whether :attr:`session` is needed: refreshes by INVITE repeat it."""
        self.session = b""
        """The SDP last agreed that we sent."""
        self.said = said
        """The SDP last agreed that the party sent; ``None`` where nobody may need it."""
        self.watch: Watch | None = None

    def keep_session(self, sdp: bytes) -> None:
        """Take note of SDP that we sent and that was accepted."""
        if sdp and self.keeps_session:
            self.session = sdp

    def snapshot(self) -> LegState:
        """Everything needed to build it again after a restart."""
        return LegState(
            self.name,
            self.peer,
            self.attempt,
            self.is_acknowledged,
            self.dialog.snapshot(),
            self.session,
            None if self.watch is None else self.watch.snapshot(),
            self.said,
        )

    @classmethod
    def restored(cls, state: LegState, policy: CustomerPolicy | VendorPolicy, now: float) -> Self:
        """The leg of a process that died.

        Numbers it used since the snapshot are unknown, hence skipped (a gap is allowed, RFC 3261
        section 12.2.2).
        """
        dialog = Dialog(state.dialog)
        dialog.local_cseq += CSEQ_GAP
        leg = cls(state.name, dialog, state.reachable, attempt=state.attempt, policy=policy)
        leg.is_acknowledged = state.is_acknowledged
        # Of the process that died it is known that it had not given the party up.
        leg.heard_at = now
        leg.session, leg.keeps_session = state.session, bool(state.session)
        leg.said = state.said
        return leg

    @property
    def is_caller(self) -> bool:
        """Whether this leg faces the customer, or stands in for him."""
        return self.name[0] == CALLER

    def request(
        self,
        context: Context,
        method: str,
        *,
        headers: Iterable[str] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        max_forwards: int = 70,
    ) -> RequestDraft:
        """Draft the next request on this leg."""
        lines = list(headers)
        if method in _OFFERING:
            lines += (self.contact(context), ALLOW)
            if self.watch is not None:
                lines += self.watch.asking_lines()
        draft = self.dialog.request(
            method, headers=lines, body=body, content_type=content_type, max_forwards=max_forwards
        )
        return draft if self.login is None else self.login.sign(draft)

    def ack(self, cseq: int, body: bytes = b"") -> RequestDraft:
        """Draft the ACK of a 2xx to our INVITE with number ``cseq``."""
        draft = self.dialog.ack(cseq, body=body)
        return draft if self.login is None else self.login.sign_ack(draft)

    def again(self, owner: Owner, response: Response) -> RequestDraft | None:
        """The request of ``owner`` once more, if its response asks for proof we can give."""
        draft, owner.draft = owner.draft, None
        if draft is None or self.login is None or not self.login.accept(response):
            return None
        self.dialog.local_cseq += 1
        return self.login.again(draft, self.dialog.local_cseq)

    def contact(self, context: Context) -> str:
        """Our Contact header on this leg."""
        return context.contact(self.peer, is_secure=self.is_secure)

    def target(self, context: Context) -> Peer:
        """Where requests on this leg go: its first route or its Contact."""
        return target_of(self.dialog.next_hop, self.peer, context, self.request_to)

    def accepts(self, request: Request, source: Peer) -> bool:
        """Whether a request that names our tag truly comes from the other end of this leg.

        Tags and Call-ID can leak; the address is checked too, against where the dialog was
        set up and where the party asked us to send to.
        """
        dialog = self.dialog
        if request.call_id != dialog.call_id or request.from_tag != dialog.remote_tag:
            return False
        return source.host == self.peer.host or source.host in _hosts(dialog)


def _hosts(dialog: Dialog) -> set[str]:
    places = (place_of(dialog.remote_target), place_of(dialog.next_hop))
    return {place[0] for place in places if place is not None}


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
        return self.answer(due.status, due.to_tag, sdp, headers)._replace(rseq=rseq)

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


def closing_lines(
    to: CustomerPolicy | VendorPolicy,
    source: CustomerPolicy | VendorPolicy | None,
    received: Request | None,
    cause: int,
) -> list[str]:
    """What a BYE or CANCEL to one party says of the reason.

    ``received`` came from the party of ``source``, its copy goes out; else the call ends by us,
    for a Q.850 ``cause``, 0 for none worth telling.
    """
    from_headers = None if source is None else source.headers
    if to.headers is None and to.codes is None and from_headers is None:
        if received is not None:
            return passed_lines(received, BYE_PASSES)
        return [reason_line(cause)] if cause else []
    lines = reason_lines(to.reason, received, cause)
    if received is not None:
        lines += passing(received, BYE_USUAL, to.headers, from_headers)
    return lines


def options_reply(request: Request, tag: str) -> Reply:
    """The answer to OPTIONS, in or out of a dialog: what we can do (section 11.2)."""
    return response_to(request, 200, to_tag=tag, headers=[ALLOW, ACCEPT])


def dialog_of(response: Response) -> Dialog:
    """The dialog of a 2xx that nobody waits for any more, from the response alone."""
    contact = response.contact
    return Dialog(
        DialogState(
            call_id=response.call_id,
            local=response.first("from") or "",
            remote=response.first("to") or "",
            local_tag=response.from_tag,
            remote_tag=response.to_tag,
            local_cseq=response.cseq.number,
            remote_cseq=-1,
            remote_target=contact.uri if contact is not None else response.to.uri,
            route_set=response.headers("record-route")[::-1],
            is_confirmed=True,
        )
    )


def session(message: Request | Response) -> bytes:
    """The SDP a message carries; ``b""`` when it carries none."""
    return message.body if message.body and message.content_type == "application/sdp" else b""
