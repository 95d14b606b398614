"""The facts of one call as they become known, and the events told from them.

Instants are monotonic seconds; wall time is read once, at the INVITE, and the rest is offset
from it. Nothing received is overwritten by what we made of it.
"""

from __future__ import annotations

import datetime as dt
from sys import intern

import msgspec

from services.common.causes import SIP_OF_REASON, EndReason, q850_of_sip
from services.common.events import (
    Attempt,
    CallAnswered,
    CallEnded,
    CallRinging,
    CallStarted,
    StreamStats,
)
from services.signaling.core.headers import q850_received, reason_header
from services.signaling.core.values import Candidate, Plan
from services.signaling.sip.actions import Peer
from services.signaling.sip.message import Request

LONGEST_TEXT = 256
"""Characters kept of anything a stranger wrote: records must not grow at his pleasure."""

_NULL = b"null"


def bounded(text: str) -> str:
    """``text`` cut to what a record keeps, without control characters; equal texts are shared."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT]
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return intern(text)


def peer_text(peer: Peer) -> str:
    """A peer as records write it: ``host:port;transport``."""
    host = f"[{peer.host}]" if ":" in peer.host else peer.host
    return intern(f"{host}:{peer.port};{peer.transport}")  # one of few, in many records


class AttemptRecord:
    """One egress INVITE, or one vendor skipped before it was sent."""

    __slots__ = (
        "candidate", "end_reason", "ended_at", "q850", "reason_header", "ringing_at",
        "sip_call_id", "sip_code", "started_at", "target",
    )  # fmt: skip

    def __init__(self, candidate: Candidate, started_at: float) -> None:
        self.candidate = candidate
        self.target = ""
        """Where it went, as :func:`peer_text` writes it; empty while it went nowhere."""
        self.started_at = started_at
        self.ringing_at: float | None = None
        self.ended_at: float | None = None
        self.sip_call_id = ""
        self.sip_code = 0
        self.q850 = 0
        self.reason_header = ""
        self.end_reason = ""


class CallRecord:
    """Everything the record of one call will say."""

    __slots__ = (
        "account_id", "answered_at", "answered_attempt", "attempts", "call_id", "called",
        "called_billed", "caller", "caller_billed", "cause_source", "customer_trunk_id",
        "end_reason", "end_side", "ended_at", "explanation", "invited_at", "invited_wall",
        "media_callee", "media_caller", "node", "noticed_at", "privacy", "q850_in", "q850_out",
        "reason_header", "reservation_id", "ringing_at", "sell_terms", "silent", "sip_call_id",
        "sip_code_in", "sip_code_out", "source",
    )  # fmt: skip

    def __init__(self, call_id: str, node: str, invited_at: float, wall: dt.datetime) -> None:
        self.call_id = call_id
        self.node = node
        self.invited_at = invited_at
        self.invited_wall = wall
        self.customer_trunk_id = self.account_id = self.source = self.sip_call_id = ""
        self.caller = self.called = self.caller_billed = self.called_billed = ""
        self.privacy = ""
        """What the caller asked to be withheld, as in Privacy (RFC 3323)."""
        self.sell_terms = self.explanation = _NULL
        self.reservation_id = ""
        self.attempts: list[AttemptRecord] = []
        self.answered_attempt: int | None = None
        self.ringing_at: float | None = None
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.end_side = "server"
        self.end_reason = ""
        self.cause_source = "internal"
        self.sip_code_in = self.sip_code_out = 0
        self.q850_in = self.q850_out = 0
        self.reason_header = ""
        self.silent = ""
        """``caller`` or ``callee`` when the call ended because that one was heard no more."""
        self.noticed_at = 0.0
        """When that was noticed; the call ended when he was last heard."""
        self.media_caller: StreamStats | None = None
        self.media_callee: StreamStats | None = None

    def wall(self, instant: float) -> dt.datetime:
        """Wall time of a monotonic instant of this call."""
        return self.invited_wall + dt.timedelta(seconds=instant - self.invited_at)

    def plan(self, plan: Plan) -> None:
        """Keep what routing decided."""
        self.account_id = plan.account_id or self.account_id
        self.caller_billed = plan.caller_billed
        self.called_billed = plan.called_billed
        self.sell_terms = plan.sell_terms or _NULL
        self.explanation = plan.explanation or _NULL

    def answer(self, attempt: AttemptRecord, now: float) -> None:
        """The call was answered on ``attempt``."""
        self.answered_at = now
        self.answered_attempt = self.attempts.index(attempt)
        attempt.sip_code = self.sip_code_in = 200

    def end(self, reason: EndReason, now: float, *, side: str = "server") -> None:
        """The call is over. The first cause is the cause: later ones change nothing."""
        if self.ended_at is not None:
            return
        self.ended_at = now
        self.end_reason = reason
        self.end_side = side
        if side != "server":
            self.cause_source = "customer" if side == "caller" else "vendor"
        if self.answered_at is not None:
            self.q850_out = self.q850_out or q850_of_end(reason)
            self.answered_on.ended_at, self.answered_on.end_reason = now, reason

    def note_cause(self, received: Request) -> None:
        """Keep what the BYE or CANCEL that ends the call says of its cause."""
        self.q850_in = q850_received(received) or 16
        self.reason_header = bounded(reason_header(received))

    @property
    def answered_on(self) -> AttemptRecord:
        """The attempt that was answered."""
        assert self.answered_attempt is not None
        return self.attempts[self.answered_attempt]

    def doubt(self, silent: str, noticed_at: float) -> None:
        """A party fell silent, which was noticed only now; ``""`` for none."""
        self.silent, self.noticed_at = silent, noticed_at

    def hear(self, caller: StreamStats | None, callee: StreamStats | None) -> None:
        """Take what was relayed: audio is a proof of life as good as signaling."""
        self.media_caller, self.media_callee = caller, callee
        heard = caller if self.silent == "caller" else callee if self.silent else None
        if heard is None or heard.last_at is None or self.ended_at is None:
            return
        heard_at = self.invited_at + (heard.last_at - self.invited_wall).total_seconds()
        self.ended_at = max(self.ended_at, min(heard_at, self.noticed_at))
        self.answered_on.ended_at = self.ended_at

    @property
    def talk_ms(self) -> int:
        """Answer to disconnect in milliseconds; 0 when never answered."""
        if self.answered_at is None or self.ended_at is None:
            return 0
        return round((self.ended_at - self.answered_at) * 1000)

    # --- events ---------------------------------------------------------------------

    def started(self) -> CallStarted:
        """Told when the call was accepted for processing."""
        return CallStarted(
            call_id=self.call_id,
            node=self.node,
            invited_at=self.invited_wall,
            customer_trunk_id=self.customer_trunk_id,
            account_id=self.account_id,
            source=self.source,
            caller=self.caller,
            called=self.called,
        )

    def ringing(self, attempt: AttemptRecord, status: int, now: float) -> CallRinging:
        """Told at the first ringing or early media."""
        return CallRinging(
            call_id=self.call_id,
            node=self.node,
            ringing_at=self.wall(now),
            status=status,
            vendor_trunk_id=attempt.candidate.vendor_trunk_id,
        )

    def answered(self, attempt: AttemptRecord) -> CallAnswered:
        """Made durable before the caller sees the answer."""
        candidate = attempt.candidate
        return CallAnswered(
            call_id=self.call_id,
            node=self.node,
            invited_at=self.invited_wall,
            answered_at=self.wall(self.answered_at or self.invited_at),
            customer_trunk_id=self.customer_trunk_id,
            account_id=self.account_id,
            vendor_trunk_id=candidate.vendor_trunk_id,
            vendor_account_id=candidate.account_id,
            caller=self.caller,
            called=self.called,
            sell_terms=msgspec.Raw(self.sell_terms),
            buy_terms=msgspec.Raw(candidate.buy_terms or _NULL),
            reservation_id=self.reservation_id,
        )

    def ended(self) -> CallEnded:
        """The last event of the call."""
        pdd_ms = None
        first_sign = self.ringing_at if self.ringing_at is not None else None
        if first_sign is not None:
            pdd_ms = round((first_sign - self.invited_at) * 1000)
        return CallEnded(
            call_id=self.call_id,
            node=self.node,
            invited_at=self.invited_wall,
            ringing_at=self._wall(self.ringing_at),
            answered_at=self._wall(self.answered_at),
            ended_at=self.wall(self.invited_at if self.ended_at is None else self.ended_at),
            talk_ms=self.talk_ms,
            pdd_ms=pdd_ms,
            customer_trunk_id=self.customer_trunk_id,
            account_id=self.account_id,
            source=self.source,
            sip_call_id=self.sip_call_id,
            caller=self.caller,
            called=self.called,
            caller_billed=self.caller_billed,
            called_billed=self.called_billed,
            attempts=tuple([self._attempt(attempt) for attempt in self.attempts]),
            answered_attempt=self.answered_attempt,
            sell_terms=msgspec.Raw(self.sell_terms),
            reservation_id=self.reservation_id,
            end_side=self.end_side,
            end_reason=self.end_reason,
            cause_source=self.cause_source,
            sip_code_in=self.sip_code_in,
            sip_code_out=self.sip_code_out,
            q850_in=self.q850_in,
            q850_out=self.q850_out,
            reason_header=self.reason_header,
            media_caller=self.media_caller,
            media_callee=self.media_callee,
            explanation=msgspec.Raw(self.explanation),
        )

    def _wall(self, instant: float | None) -> dt.datetime | None:
        return None if instant is None else self.wall(instant)

    def _attempt(self, attempt: AttemptRecord) -> Attempt:
        candidate = attempt.candidate
        return Attempt(
            vendor_trunk_id=candidate.vendor_trunk_id,
            account_id=candidate.account_id,
            target=attempt.target or candidate.target,
            sip_call_id=attempt.sip_call_id,
            caller=candidate.caller,
            called=candidate.called,
            started_at=self.wall(attempt.started_at),
            ringing_at=self._wall(attempt.ringing_at),
            ended_at=self._wall(attempt.ended_at),
            sip_code=attempt.sip_code,
            q850=attempt.q850,
            reason_header=attempt.reason_header,
            end_reason=attempt.end_reason,
            buy_terms=msgspec.Raw(candidate.buy_terms or _NULL),
        )


# Q.850 has a cause of its own for a call torn down by us: 31, normal unspecified, except
# where the table of RFC 3398 knows better through the status we would have refused with.
_Q850_OF_END = {
    EndReason.NORMAL: 16,
    EndReason.ADMIN_DISCONNECT: 31,
    EndReason.MAX_DURATION: 31,
    EndReason.BALANCE_EXHAUSTED: 31,
    EndReason.RTP_TIMEOUT: 41,
    EndReason.NO_ACK: 102,
    EndReason.SESSION_TIMEOUT: 102,
    EndReason.NODE_SHUTDOWN: 41,
}


def q850_of_end(reason: EndReason) -> int:
    """The cause we send when we end an answered call for ``reason``."""
    cause = _Q850_OF_END.get(reason)
    if cause is None:
        cause = q850_of_sip(SIP_OF_REASON.get(reason, 500))
    return cause
