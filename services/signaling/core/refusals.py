"""Records of INVITEs that were answered before they became calls."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict

from services.common.causes import EndReason, q850_of_refusal
from services.common.events import CallEnded
from services.signaling.core.headers import numbers
from services.signaling.core.record import CallRecord, bounded, peer_text
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.sip.actions import Refused
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import readable
from services.signaling.sip.message import Request

MOST_REMEMBERED = 4096

_REASONS = {
    405: EndReason.UNSUPPORTED,
    415: EndReason.UNSUPPORTED,
    416: EndReason.UNSUPPORTED,
    420: EndReason.UNSUPPORTED,
    482: EndReason.LOOP,
    501: EndReason.UNSUPPORTED,
    503: EndReason.NODE_CAPACITY,
}


RETRY_AFTER = "Retry-After: 60"
"""Seconds; told while draining: by then another process has this one's place."""


class Refusals:
    """Makes one record of each refused INVITE, however often it is repeated."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def is_new(self, refused: Refused) -> bool:
        """Whether this is a call's first INVITE, and not seen among the last ones."""
        request = refused.request
        if _is_in_dialog(request):
            return False
        raw = [request.first(name) or "" for name in ("via", "call-id", "cseq", "from")]
        key = (peer_text(refused.source), *map(bounded, raw))
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return True


def _is_in_dialog(request: Request) -> bool:
    try:
        return bool(request.to_tag)
    except MalformedMessage:
        return False


def refused_record(
    refused: Refused,
    call_id: str,
    node: str,
    trunk: CustomerTrunk | None,
    now: float,
    wall: dt.datetime,
) -> CallEnded:
    """The record of one INVITE that the transaction layer answered by itself."""
    request, source, status = refused
    record = CallRecord(call_id, node, now, wall)
    record.source = peer_text(source)
    record.sip_call_id = bounded(request.call_id)
    record.caller, record.called = numbers_of(request)
    if trunk is not None:
        record.customer_trunk_id, record.account_id = trunk.id, trunk.account_id
    reason = _REASONS.get(status, EndReason.MALFORMED)
    record.end(reason, now)
    record.sip_code_out, record.q850_out = status, q850_of_refusal(reason, status)
    return record.ended()


def numbers_of(request: Request) -> tuple[str, str]:
    """Caller and called number as records keep them; ``""`` for what cannot be read."""
    try:
        caller, called = numbers(request)
    except MalformedMessage:
        return "", ""
    return bounded(readable(caller)), bounded(readable(called))
