"""What is told about calls on the bus, and how it is framed.

One message carries the events of one group commit::

    {"node": "sig-1", "epoch": 3, "seq": 17, "events": [...]}

and its id (``Nats-Msg-Id``) is ``node/epoch/seq``, so a message sent twice is stored once.
"""

import datetime as dt
from decimal import Decimal
from typing import Annotated, TypeAlias

import msgspec

CALLS_STREAM = "CALLS"
"""JetStream stream over ``calls.>``."""
PROGRESS_SUBJECT = "calls.progress"
"""Batches of :class:`CallStarted`, :class:`CallRinging` and :class:`CallAnswered`."""
ENDED_SUBJECT = "calls.ended"
"""Batches of :class:`CallEnded`: each INVITE that got past the transport is counted in one."""
CDR_STREAM = "CDR"
"""JetStream stream over ``cdr.>``."""
RATED_SUBJECT = "cdr.rated"
"""Batches of :class:`CdrRated`."""
LOCATION_STREAM = "LOCATION"
"""JetStream stream over ``location.>``: the last word on each registered contact."""
CONFIG_CHANGED_SUBJECT = "config.changed"
"""Core NATS, no stream: :class:`ConfigChanged`. Readers also poll the revision."""

Instant: TypeAlias = Annotated[dt.datetime, msgspec.Meta(tz=True)]
"""A wall time with its zone: one without could be any of two dozen instants, and is refused."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Common to everything told about a call."""

    call_id: str
    node: str


class CallStarted(Event, frozen=True, kw_only=True, tag="started"):
    """An INVITE was accepted for processing."""

    invited_at: Instant
    customer_trunk_id: str = ""
    account_id: str = ""
    source: str = ""
    caller: str = ""
    called: str = ""


class CallRinging(Event, frozen=True, kw_only=True, tag="ringing"):
    """The called party is alerted, or early media flows."""

    ringing_at: Instant
    status: int
    vendor_trunk_id: str


class CallAnswered(Event, frozen=True, kw_only=True, tag="answered"):
    """Durable before the caller sees the answer; enough to close a call whose end was lost."""

    invited_at: Instant
    answered_at: Instant
    customer_trunk_id: str
    account_id: str
    vendor_trunk_id: str
    vendor_account_id: str
    caller: str
    called: str
    sell_terms: msgspec.Raw
    buy_terms: msgspec.Raw
    reservation_id: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One egress INVITE, or a vendor that was skipped before it was sent."""

    vendor_trunk_id: str
    account_id: str
    target: str
    """``host:port;transport``."""
    sip_call_id: str = ""
    caller: str = ""
    called: str = ""
    """Numbers as sent to this vendor."""
    started_at: Instant
    ringing_at: Instant | None = None
    ended_at: Instant | None = None
    sip_code: int = 0
    """Final code received; 0 when none came."""
    q850: int = 0
    reason_header: str = ""
    end_reason: str = ""
    buy_terms: msgspec.Raw = msgspec.Raw(b"null")


class StreamStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RTP received from one party."""

    packets: int = 0
    bytes: int = 0
    """Payload and RTP header, without IP and UDP."""
    lost: int = 0
    jitter_ms: float = 0.0
    first_at: Instant | None = None
    last_at: Instant | None = None
    refused: int = 0
    """Packets from strangers."""
    source: str = ""
    """Address latched on."""


class CallEnded(Event, frozen=True, kw_only=True, tag="ended"):
    """Everything known of a finished call; rating turns it into the record."""

    invited_at: Instant
    ringing_at: Instant | None = None
    answered_at: Instant | None = None
    ended_at: Instant
    talk_ms: int = 0
    """Answer to disconnect on the monotonic clock; 0 when never answered."""
    pdd_ms: int | None = None
    """INVITE to the first 18x with ringing or media."""
    customer_trunk_id: str = ""
    """Empty when the source was unknown."""
    account_id: str = ""
    source: str = ""
    """``host:port;transport`` the INVITE came from."""
    sip_call_id: str = ""
    caller: str = ""
    called: str = ""
    """As received."""
    caller_billed: str = ""
    called_billed: str = ""
    """As matched against the sell deck."""
    attempts: tuple[Attempt, ...] = ()
    answered_attempt: int | None = None
    """Index into ``attempts``."""
    sell_terms: msgspec.Raw = msgspec.Raw(b"null")
    reservation_id: str = ""
    end_side: str = "server"
    """``caller``, ``callee`` or ``server``."""
    end_reason: str
    """A value of :class:`services.common.causes.EndReason`."""
    cause_source: str = "internal"
    """``internal``, ``vendor`` or ``customer``."""
    sip_code_in: int = 0
    """Final code received from the last vendor."""
    sip_code_out: int = 0
    """Final code sent to the customer."""
    q850_in: int = 0
    q850_out: int = 0
    reason_header: str = ""
    """Raw ``Reason`` received with the disconnect."""
    media_caller: StreamStats | None = None
    media_callee: StreamStats | None = None
    """``None`` when the audio did not pass through us."""
    explanation: msgspec.Raw = msgspec.Raw(b"null")
    count: int = 1
    """Calls told of: more than 1 when many that came to nothing are told of as one, which has the
    numbers of the first and ended with the last."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What one party pays (customer) or is paid (vendor) for one call."""

    account_id: str
    currency: str
    amount: Decimal
    billed_s: int
    rate_id: int
    deck_id: str
    prefix: str
    price: Decimal
    """Per minute, after the first interval."""


class CdrRated(msgspec.Struct, frozen=True, kw_only=True, tag="rated"):
    """The call detail record: the call and what it cost."""

    call: CallEnded
    customer: Charge | None = None
    """``None`` when no sell rate was found for the call."""
    vendor: Charge | None = None
    """``None`` when no vendor answered."""
    rated_at: Instant


class ConfigChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in Postgres is now at ``revision`` or later."""

    revision: int


Progress = CallStarted | CallRinging | CallAnswered
CallEvent = CallStarted | CallRinging | CallAnswered | CallEnded


class ProgressBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A message on :data:`PROGRESS_SUBJECT`."""

    node: str
    epoch: int
    seq: int
    events: list[CallStarted | CallRinging | CallAnswered]


class EndedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A message on :data:`ENDED_SUBJECT`."""

    node: str
    epoch: int
    seq: int
    events: list[CallEnded]


class RatedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A message on :data:`RATED_SUBJECT`, numbered as the batch it was made from."""

    node: str
    epoch: int
    seq: int
    events: list[CdrRated]


encode = msgspec.json.Encoder().encode
decode_progress = msgspec.json.Decoder(ProgressBatch).decode
decode_ended = msgspec.json.Decoder(EndedBatch).decode
decode_rated = msgspec.json.Decoder(RatedBatch).decode
decode_config_changed = msgspec.json.Decoder(ConfigChanged).decode


def message_id(node: str, epoch: int, seq: int) -> str:
    """The ``Nats-Msg-Id`` of a batch."""
    return f"{node}/{epoch}/{seq}"
