"""One side of a call: our end of a dialog, and the requests and answers written on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec

from services.signaling.core.addressing import place_of, target_of
from services.signaling.core.code_policy import reason_lines
from services.signaling.core.commands import Owner
from services.signaling.core.context import ACCEPT, ALLOW, Context
from services.signaling.core.header_policy import BYE_USUAL, passing
from services.signaling.core.headers import (
    BYE_PASSES,
    passed_lines,
    reason_line,
)
from services.signaling.core.logins import Login
from services.signaling.core.trunk_policy import USUAL_CUSTOMER, CustomerPolicy, VendorPolicy
from services.signaling.core.watch import Watch, WatchState
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import Reply, RequestDraft, response_to
from services.signaling.sip.dialog import Dialog, DialogState
from services.signaling.sip.message import Request, Response

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
