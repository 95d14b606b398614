"""What a call is told by routing, rating and media, in signaling's own words.

Terms and explanation are opaque bytes here: they travel through to the record unread.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from services.common.causes import STOP_HUNTING
from services.common.events import StreamStats
from services.signaling.sip.actions import Peer


class CallState(StrEnum):
    """Where a call is."""

    ROUTING = "routing"
    AUTHORIZING = "authorizing"
    DIALLING = "dialling"
    RINGING = "ringing"
    ANSWERING = "answering"
    """A vendor answered; the answer is being made durable."""
    ANSWERED = "answered"
    ENDING = "ending"


class OfferedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One route as a routing server names it; whether it may be used is for routing to say."""

    vendor: str
    """Id or name of a vendor trunk, or the host it is configured with."""
    called: str = ""
    """As it is to be sent; empty for the vendor trunk's own notation."""
    caller: str | None = None
    """As it is to be sent; ``None`` for the one received."""
    max_call_s: int = 0
    """0 = no cap of its own."""


class Way(NamedTuple):
    """How to write and where to send a request for a registered contact."""

    uri: str
    route: tuple[str, ...]
    peer: Peer


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor trunk to try, with everything one attempt needs."""

    vendor_trunk_id: str
    account_id: str
    host: str
    port: int = 5060
    transport: str = "udp"
    caller: str = ""
    called: str = ""
    """Numbers as sent to this vendor."""
    buy_terms: bytes = b"null"
    media_proxy: bool = False
    trying_timeout_ms: int = 5_000
    """INVITE to any response."""
    ringing_timeout_ms: int = 120_000
    """INVITE to final response."""
    max_calls: int = 0
    """0 = no limit, as ``max_cps``."""
    max_cps: int = 0
    stop_codes: tuple[int, ...] = ()
    """Statuses that end the hunt, instead of the defaults when not empty."""
    max_call_s: int = 0
    """Longest talk by this route, beside the plan's own cap; 0 = none."""
    way: Way | None = None
    """The way to the registered contact that it has become."""

    @property
    def target(self) -> str:
        """``host:port;transport``, as written in records."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port};{self.transport}"

    def stops_at(self, status: int) -> bool:
        """Whether no other vendor is to be tried after ``status`` from this one."""
        return status in (self.stop_codes or STOP_HUNTING)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the call may go, best vendor first; or why it may not."""

    refused: str = ""
    """An end reason; empty when the call may go."""
    account_id: str = ""
    caller_billed: str = ""
    called_billed: str = ""
    sell_terms: bytes = b"null"
    candidates: tuple[Candidate, ...] = ()
    explanation: bytes = b"null"
    max_call_s: int = 0
    """0 = no cap."""


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """How long the call may talk; or why it may not."""

    refused: str = ""
    reservation_id: str = ""
    """Empty when nothing has to be reserved: talk time is then unlimited."""
    paid_ms: int = 0
    """Talk time covered, from answer."""


class MediaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The SDP to send on, or why there is none."""

    error: str = ""
    """An end reason."""
    sdp: bytes = b""


class MediaStats(msgspec.Struct, frozen=True, kw_only=True):
    """What was relayed from each side."""

    caller: StreamStats | None = None
    callee: StreamStats | None = None
