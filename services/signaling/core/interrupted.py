"""Calls that were being set up when their process died: they are refused and put on record."""

from __future__ import annotations

import datetime as dt

import msgspec

from services.common.causes import SIP_OF_REASON, EndReason, q850_of_sip
from services.common.events import CallEnded, CallStarted
from services.signaling.core.record import bounded
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import parse


class Begun(msgspec.Struct, array_like=True, frozen=True):
    """A call as it is when its INVITE has been accepted for processing."""

    event: CallStarted
    invite: bytes = b""
    source: Peer = Peer("udp", "", 0)


class Dialled(msgspec.Struct, array_like=True, frozen=True):
    """The last INVITE of a call to a vendor."""

    key: str
    invite: bytes
    peer: Peer


class InterruptedCall(msgspec.Struct, array_like=True, tag="begun"):
    """What is kept of a call that is being set up, for when its process dies."""

    begun: Begun
    dialled: Dialled | None = None


def given_up(node: str, begun: Begun, wall: dt.datetime) -> CallEnded:
    """The record of a call that ended with its process before it was answered."""
    event, reason = begun.event, EndReason.NODE_SHUTDOWN
    status = SIP_OF_REASON[reason]
    return CallEnded(
        call_id=event.call_id,
        node=node,
        invited_at=event.invited_at,
        ended_at=max(wall, event.invited_at),
        customer_trunk_id=event.customer_trunk_id,
        account_id=event.account_id,
        source=event.source,
        sip_call_id=_sip_call_id(begun.invite),
        caller=event.caller,
        called=event.called,
        end_reason=reason,
        sip_code_out=status,
        q850_out=q850_of_sip(status),
    )


def _sip_call_id(invite: bytes) -> str:
    try:
        return bounded(parse(invite).call_id)
    except MalformedMessage:
        return ""
