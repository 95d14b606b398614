"""What a call asks of the outside, in the order it is to be done.

The order is a promise: persist before send, send before timer. Answers come back as inputs of
the call, with the ``token`` or ``owner`` that the command carried. Structures of msgspec, as
some twenty are made per call (:mod:`services.signaling.sip.actions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted
from services.signaling.core.values import OfferedRoute
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import Reply, RequestDraft

if TYPE_CHECKING:
    from services.signaling.core.snapshot import CallSnapshot, EndNote


class Owner:
    """Whoever sent a request and is told of its responses."""

    __slots__ = ("draft", "key")

    def __init__(self) -> None:
        self.key = ""
        """The client transaction, filled in when the request is sent."""
        self.draft: RequestDraft | None = None
        """What was sent, as long as it may have to be sent again with credentials."""


class Respond(msgspec.Struct, frozen=True, gc=False):
    """Answer the request of server transaction ``key``."""

    key: str
    reply: Reply
    leg: str


class Request(msgspec.Struct, frozen=True, gc=False):
    """Send a request; its responses go to ``owner``."""

    owner: Owner
    draft: RequestDraft
    peer: Peer
    leg: str


class Acknowledge(msgspec.Struct, frozen=True, gc=False):
    """ACK the 2xx of our INVITE ``key``, now and whenever it is repeated."""

    key: str
    to_tag: str
    draft: RequestDraft
    peer: Peer
    leg: str


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """CANCEL our INVITE ``key``; held back until its first provisional response."""

    key: str
    leg: str
    headers: tuple[str, ...] = ()


class FindRoutes(msgspec.Struct, frozen=True, gc=False):
    """Ask routing; answered by ``on_plan``."""

    customer_trunk_id: str
    caller: str
    called: str
    busy: frozenset[str]
    """Vendor trunks that are full here."""
    offered: tuple[OfferedRoute, ...] = ()
    """What a routing server allows, in its order; empty: routing chooses."""
    note: str = ""
    """For the explanation: what came before this question."""


class AskServer(msgspec.Struct, frozen=True, gc=False):
    """Ask a routing server over HTTP; answered by ``on_ruling``."""

    url: str
    timeout_ms: int
    question: dict[str, str]


class Authorize(msgspec.Struct, frozen=True, gc=False):
    """Ask rating to reserve credit; answered by ``on_credit``."""

    sell_terms: bytes


class Extend(msgspec.Struct, frozen=True, gc=False):
    """Ask rating to cover more talk time; answered by ``on_extended``."""

    reservation_id: str
    sell_terms: bytes
    paid_ms: int


class ReleaseCredit(msgspec.Struct, frozen=True, gc=False):
    """Give the reservation of an unanswered call back. Never answered."""

    reservation_id: str


class OfferMedia(msgspec.Struct, frozen=True, gc=False):
    """Rewrite an SDP offer for the other side; answered by ``on_media``."""

    token: int
    from_caller: bool
    sdp: bytes
    source_host: str
    attempt: int
    target_host: str = ""
    """Where the other side's SIP goes: its ports get the IP version of that."""
    awaits_rtp: bool = False
    """Whether the callee's first packet is to be told: by ``on_rtp``."""


class AnswerMedia(msgspec.Struct, frozen=True, gc=False):
    """Rewrite the answer to the last offer; answered by ``on_media``."""

    token: int
    from_caller: bool
    sdp: bytes
    source_host: str
    attempt: int
    provisional: bool


class ForgetMedia(msgspec.Struct, frozen=True, gc=False):
    """An attempt failed: its side's ports are not needed. Never answered."""

    attempt: int


class ReleaseMedia(msgspec.Struct, frozen=True, gc=False):
    """The call is over; answered by ``on_media_stats``."""


class Persist(msgspec.Struct, frozen=True, gc=False):
    """Make the answer durable, and the call as it is then; answered by ``on_durable``."""

    event: CallAnswered
    snapshot: CallSnapshot


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Replace what is kept of the call for a process that takes over. Never answered."""

    snapshot: CallSnapshot


class KeepEnd(msgspec.Struct, frozen=True, gc=False):
    """Note that the call is over though its record is not complete. Never answered."""

    note: EndNote


class Emit(msgspec.Struct, frozen=True, gc=False):
    """Tell the world. Never answered."""

    event: CallStarted | CallRinging | CallEnded


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The call needs nothing any more: always its last command."""


Command = (
    Respond
    | Request
    | Acknowledge
    | Cancel
    | AskServer
    | FindRoutes
    | Authorize
    | Extend
    | ReleaseCredit
    | OfferMedia
    | AnswerMedia
    | ForgetMedia
    | ReleaseMedia
    | Persist
    | Keep
    | KeepEnd
    | Emit
    | Finished
)
