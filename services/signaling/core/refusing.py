"""The final response that ends a call before its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.common.causes import EndReason
from services.signaling.core.code_policy import refusal
from services.signaling.core.ingress import Ingress
from services.signaling.core.record import CallRecord
from services.signaling.core.trunk_policy import USUAL_VENDOR
from services.signaling.sip.build import Reply

if TYPE_CHECKING:
    from services.signaling.core.hunting import Lost


def refused(
    ingress: Ingress,
    record: CallRecord,
    reason: EndReason,
    now: float,
    *,
    status: int,
    lost: Lost | None,
    headers: Sequence[str],
    side: str,
) -> Reply:
    """Note why the call ends, and write what its caller is told of it."""
    is_vendors_word = lost is not None and lost.response is not None
    record.end(reason, now, side="callee" if is_vendors_word else side)
    response, taken_for, source = (None, 0, USUAL_VENDOR) if lost is None else lost[2:]
    # With headers of its own it asks the caller for something: no code of it can change.
    codes = None if headers else ingress.policy.codes
    told = refusal(codes, reason, status, response, taken_for)
    record.sip_code_out, record.q850_out = told.status, told.cause
    lines = [*told.reasons, *headers, *ingress.passed_in_refusal(response, source)]
    return ingress.refusal(told.status, lines)
