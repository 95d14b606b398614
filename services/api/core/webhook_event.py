"""What webhooks tell about a call: one message for each of setup, ringing, answer and end."""

import datetime as dt
from dataclasses import dataclass

import msgspec

from services.api.core.records import instant_text
from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted

SETUP = "call.setup"
RINGING = "call.ringing"
ANSWER = "call.answer"
END = "call.end"
TEST = "webhook.test"

TYPES = (SETUP, RINGING, ANSWER, END)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Told:
    """One message, ready to be signed and sent."""

    event_id: str
    """The same for the same event, however often the bus delivers it."""
    event_type: str
    call_id: str
    body: bytes


def tell(event: CallStarted | CallRinging | CallAnswered | CallEnded) -> Told:
    """The message for one event of a call."""
    match event:
        case CallStarted():
            return _told(SETUP, event.call_id, event.invited_at, {
                "customer_trunk_id": event.customer_trunk_id,
                "account_id": event.account_id,
                "source": event.source,
                "caller": event.caller,
                "called": event.called,
            })  # fmt: skip
        case CallRinging():
            return _told(RINGING, event.call_id, event.ringing_at, {
                "vendor_trunk_id": event.vendor_trunk_id,
                "sip_code": event.status,
            }, f"{event.vendor_trunk_id}/{event.ringing_at.timestamp():.3f}")  # fmt: skip
        case CallAnswered():
            return _told(ANSWER, event.call_id, event.answered_at, {
                "customer_trunk_id": event.customer_trunk_id,
                "account_id": event.account_id,
                "vendor_trunk_id": event.vendor_trunk_id,
                "vendor_account_id": event.vendor_account_id,
                "caller": event.caller,
                "called": event.called,
                "invited_at": instant_text(event.invited_at),
            })  # fmt: skip
        case CallEnded():
            return _told(END, event.call_id, event.ended_at, _end(event))


def _end(event: CallEnded) -> dict[str, object]:
    answered = event.answered_attempt
    chosen = event.attempts[answered] if answered is not None else None
    return {
        "customer_trunk_id": event.customer_trunk_id,
        "account_id": event.account_id,
        "vendor_trunk_id": chosen.vendor_trunk_id if chosen else "",
        "caller": event.caller,
        "called": event.called,
        "caller_billed": event.caller_billed,
        "called_billed": event.called_billed,
        "invited_at": instant_text(event.invited_at),
        "ringing_at": instant_text(event.ringing_at) if event.ringing_at else None,
        "answered_at": instant_text(event.answered_at) if event.answered_at else None,
        "talk_ms": event.talk_ms,
        "pdd_ms": event.pdd_ms,
        "attempts": len(event.attempts),
        "end_side": event.end_side,
        "end_reason": event.end_reason,
        "sip_code": event.sip_code_out,
        "q850": event.q850_out,
        "count": event.count,
    }


def _told(
    event_type: str, call_id: str, at: dt.datetime, fields: dict[str, object], which: str = ""
) -> Told:
    event_id = f"{call_id}/{event_type.removeprefix('call.')}" + (f"/{which}" if which else "")
    body = _encode(
        {
            "type": event_type,
            "timestamp": instant_text(at),
            "data": {"event_id": event_id, "call_id": call_id, **fields},
        }
    )
    return Told(event_id, event_type, call_id, body)


def tell_test(webhook_id: str, event_id: str, at: dt.datetime) -> Told:
    """A message that only shows that the endpoint can be reached."""
    body = _encode(
        {
            "type": TEST,
            "timestamp": instant_text(at),
            "data": {"event_id": event_id, "webhook_id": webhook_id},
        }
    )
    return Told(event_id, TEST, "", body)


def wants(events: tuple[str, ...], event_type: str) -> bool:
    """Whether a webhook subscribed to ``events`` (none: all) is told of ``event_type``."""
    return not events or event_type in events
