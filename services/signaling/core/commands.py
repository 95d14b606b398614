"""What a call asks of the outside, in the order it is to be done.

The order is a promise: persist before send, send before timer. Answers come back as inputs of
the call, with the ``token`` or ``owner`` that the command carried. Named tuples, because some
twenty are made per call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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


class Respond(NamedTuple):
    """Answer the request of server transaction ``key``."""

    key: str
    reply: Reply
    leg: str


class Request(NamedTuple):
    """Send a request; its responses go to ``owner``."""

    owner: Owner
    draft: RequestDraft
    peer: Peer
    leg: str


class Acknowledge(NamedTuple):
    """ACK the 2xx of our INVITE ``key``, now and whenever it is repeated."""

    key: str
    to_tag: str
    draft: RequestDraft
    peer: Peer
    leg: str


class Cancel(NamedTuple):
    """CANCEL our INVITE ``key``; held back until its first provisional response."""

    key: str
    leg: str
    headers: tuple[str, ...] = ()


class FindRoutes(NamedTuple):
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


class AskServer(NamedTuple):
    """Ask a routing server over HTTP; answered by ``on_ruling``."""

    url: str
    timeout_ms: int
    question: dict[str, str]


class Authorize(NamedTuple):
    """Ask rating to reserve credit; answered by ``on_credit``."""

    sell_terms: bytes


class Extend(NamedTuple):
    """Ask rating to cover more talk time; answered by ``on_extended``."""

    reservation_id: str
    sell_terms: bytes
    paid_ms: int


class ReleaseCredit(NamedTuple):
    """Give the reservation of an unanswered call back. Never answered."""

    reservation_id: str


class OfferMedia(NamedTuple):
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


class AnswerMedia(NamedTuple):
    """Rewrite the answer to the last offer; answered by ``on_media``."""

    token: int
    from_caller: bool
    sdp: bytes
    source_host: str
    attempt: int
    provisional: bool


class ForgetMedia(NamedTuple):
    """An attempt failed: its side's ports are not needed. Never answered."""

    attempt: int


class ReleaseMedia(NamedTuple):
    """The call is over; answered by ``on_media_stats``."""


class Persist(NamedTuple):
    """Make the answer durable, and the call as it is then; answered by ``on_durable``."""

    event: CallAnswered
    snapshot: CallSnapshot


class Keep(NamedTuple):
    """Replace what is kept of the call for a process that takes over. Never answered."""

    snapshot: CallSnapshot


class KeepEnd(NamedTuple):
    """Note that the call is over though its record is not complete. Never answered."""

    note: EndNote


class Emit(NamedTuple):
    """Tell the world. Never answered."""

    event: CallStarted | CallRinging | CallEnded


class Finished(NamedTuple):
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
