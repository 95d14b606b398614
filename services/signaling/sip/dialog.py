"""Dialogs: the lasting relationship of two user agents (RFC 3261 section 12).

A dialog keeps what it needs as small strings and no message, so that tens of thousands fit.
It builds the requests inside it and judges those received; whether a session exists, and what
is being negotiated, is its owner's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, TypedDict

from services.signaling.sip.build import RequestDraft, request
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr
from services.signaling.sip.message import Request, Response
from services.signaling.sip.uri import SipUri


class DialogState(TypedDict):
    """A dialog as plain values, for a snapshot."""

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    local_cseq: int
    remote_cseq: int
    remote_target: str
    route_set: list[str]
    is_confirmed: bool


class Dialog:
    """One dialog, early until confirmed, seen from our end."""

    __slots__ = (
        "call_id",
        "is_confirmed",
        "local",
        "local_cseq",
        "local_tag",
        "remote",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "route_set",
    )

    def __init__(self, state: DialogState) -> None:
        self.call_id = state["call_id"]
        self.local = state["local"]
        """Our From value in requests we send, tag included."""
        self.remote = state["remote"]
        """Our To value in requests we send, tag included."""
        self.local_tag = state["local_tag"]
        self.remote_tag = state["remote_tag"]
        """``""`` for a peer of RFC 2543."""
        self.local_cseq = state["local_cseq"]
        """The last number we used."""
        self.remote_cseq = state["remote_cseq"]
        """The last number the peer used; -1 before its first request."""
        self.remote_target = state["remote_target"]
        """Contact URI of the peer."""
        self.route_set = tuple(state["route_set"])
        """Route values in the order we send them."""
        self.is_confirmed = state["is_confirmed"]

    def snapshot(self) -> DialogState:
        """Everything needed to build it again after a restart."""
        return DialogState(
            call_id=self.call_id,
            local=self.local,
            remote=self.remote,
            local_tag=self.local_tag,
            remote_tag=self.remote_tag,
            local_cseq=self.local_cseq,
            remote_cseq=self.remote_cseq,
            remote_target=self.remote_target,
            route_set=list(self.route_set),
            is_confirmed=self.is_confirmed,
        )

    @classmethod
    def from_request(cls, invite: Request, local_tag: str) -> Self:
        """The callee's side, from an INVITE as delivered by the layer (section 12.1.1)."""
        dialog = cls.__new__(cls)
        dialog.call_id = invite.call_id
        dialog.local = f"{invite.first('to') or ''};tag={local_tag}"
        dialog.remote = invite.first("from") or ""
        dialog.local_tag = local_tag
        dialog.remote_tag = invite.from_tag
        dialog.local_cseq = 0
        dialog.remote_cseq = invite.cseq.number
        dialog.remote_target = _target(invite.contact or invite.from_)
        dialog.route_set = tuple(invite.headers("record-route"))
        dialog.is_confirmed = False
        return dialog

    @classmethod
    def from_response(cls, invite: RequestDraft, response: Response) -> Self:
        """The caller's side, from a response with a To tag (section 12.1.2).

        Every To tag of a forked INVITE makes a dialog of its own.
        """
        dialog = cls.__new__(cls)
        dialog.call_id = invite.call_id
        dialog.local = invite.from_
        dialog.remote = response.first("to") or ""
        dialog.local_tag = _tag_of(invite.from_)
        dialog.remote_tag = response.to_tag
        dialog.local_cseq = invite.cseq
        dialog.remote_cseq = -1
        dialog.remote_target = _target(response.contact) or invite.uri
        dialog.route_set = tuple(response.headers("record-route")[::-1])
        dialog.is_confirmed = 200 <= response.status < 300
        return dialog

    def matches(self, received: Request) -> bool:
        """Whether a request belongs to this dialog (section 12.2.2)."""
        return (
            received.call_id == self.call_id
            and received.to_tag == self.local_tag
            and received.from_tag == self.remote_tag
        )

    def on_request(self, received: Request) -> int:
        """Judge a request inside this dialog: 0, or the status to refuse it with.

        An accepted INVITE or UPDATE moves the remote target to its Contact. ACK and CANCEL carry
        the number of their INVITE and are not for this method.
        """
        number = received.cseq.number
        if number <= self.remote_cseq:
            # "the request is out of order and MUST be rejected with a 500" (section 12.2.2);
            # an equal number is no retransmission either: the layer absorbs those.
            return 500
        self.remote_cseq = number
        if received.method in {"INVITE", "UPDATE"}:
            self._refresh(received)
        return 0

    def on_response(self, response: Response) -> None:
        """Take a response to an INVITE or UPDATE of ours inside, or to the one that made it.

        A first 2xx to an INVITE confirms the dialog and renews its route set (section 13.2.2.4);
        every 2xx moves the remote target.
        """
        if not 200 <= response.status < 300:
            return
        if not self.is_confirmed and response.cseq.method == "INVITE":
            self.is_confirmed = True
            self.route_set = tuple(response.headers("record-route")[::-1])
        self._refresh(response)

    def confirm(self) -> None:
        """Take note that we sent a 2xx."""
        self.is_confirmed = True

    def request(
        self,
        method: str,
        *,
        headers: Iterable[str] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        max_forwards: int = 70,
    ) -> RequestDraft:
        """Draft the next request inside the dialog (section 12.2.1.1)."""
        self.local_cseq += 1
        return self._draft(method, self.local_cseq, headers, body, content_type, max_forwards)

    def ack(
        self,
        cseq: int,
        *,
        headers: Iterable[str] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> RequestDraft:
        """Draft the ACK of a 2xx to our INVITE with number ``cseq`` (section 13.2.2.4)."""
        return self._draft("ACK", cseq, headers, body, content_type, 70)

    @property
    def next_hop(self) -> str:
        """The URI whose host the next request goes to: the first route, or the peer itself."""
        if not self.route_set:
            return self.remote_target
        return NameAddr.parse(self.route_set[0]).uri

    def _draft(
        self,
        method: str,
        cseq: int,
        headers: Iterable[str],
        body: bytes,
        content_type: str,
        max_forwards: int,
    ) -> RequestDraft:
        uri, route = self._path()
        return request(
            method,
            uri,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=cseq,
            max_forwards=max_forwards,
            route=route,
            headers=headers,
            body=body,
            content_type=content_type,
        )

    def _path(self) -> tuple[str, tuple[str, ...]]:
        """Request URI and Route values (section 12.2.1.1)."""
        if not self.route_set:
            return self.remote_target, ()
        first = NameAddr.parse(self.route_set[0]).address
        if not isinstance(first, SipUri) or first.is_loose_router:
            return self.remote_target, self.route_set
        # A strict router wants itself in the request URI, and the target at the end.
        return str(first._replace(headers="")), (*self.route_set[1:], f"<{self.remote_target}>")

    def _refresh(self, message: Request | Response) -> None:
        try:
            self.remote_target = _target(message.contact) or self.remote_target
        except MalformedMessage:
            return  # keep the target that worked


def _target(contact: NameAddr | None) -> str:
    """The URI to send to; ``""`` for a Contact that is none or no SIP URI.

    What follows ``?`` goes: sent in a request URI, it would become headers of our request.
    """
    if contact is None:
        return ""
    if contact.is_sound:
        return contact.uri
    uri = contact.address
    if not isinstance(uri, SipUri):
        return ""
    return contact.uri if not uri.headers else str(uri._replace(headers=""))


def _tag_of(value: str) -> str:
    """The tag of a From value of ours."""
    _, found, tag = value.rpartition(";tag=")
    if found and tag.isalnum():
        return tag
    return NameAddr.parse(value).tag or ""
