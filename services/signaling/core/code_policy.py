"""What a vendor's refusal means, and what a customer is told: statuses, causes, Reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from services.common.causes import (
    SIP_OF_REASON,
    STOP_HUNTING,
    EndReason,
    q850_of_refusal,
    q850_of_sip,
    sip_of_q850,
)
from services.common.sip_options.codes import CustomerCodes, VendorCodes
from services.signaling.core.headers import passed_lines, q850_reason, q850_received, reason_line
from services.signaling.core.values import Candidate
from services.signaling.sip.message import Message, Response

_OTHER: Final = 0
"""Stands for all statuses that are not named."""
_CHALLENGES: Final = frozenset({401, 407, 494})
_WARNING: Final = re.compile(r"[1-9][0-9]{2}(?= )")


def _by_number(table: Mapping[str, int]) -> dict[int, int]:
    return {_OTHER if key == "other" else int(key): value for key, value in table.items()}


def warning_received(response: Message) -> int:
    """The first code of a Warning header; 0 without one."""
    match = _WARNING.match(response.first("warning") or "")
    return 0 if match is None else int(match[0])


class VendorCodePolicy:
    """How the refusals of one vendor are taken."""

    __slots__ = ("_causes", "_hunt_on", "_stop_causes", "_treat_as", "reason")

    def __init__(self, options: VendorCodes) -> None:
        self._treat_as = _by_number(options.treat_as)
        self._causes = _by_number(options.status_causes)
        self._stop_causes = frozenset(options.stop_causes)
        self._hunt_on = frozenset(options.hunt_on)
        self.reason = options.reason
        """Of the Reason in CANCEL and BYE to him: ``pass``, ``inject`` or ``none``."""

    def treated(self, status: int) -> int:
        """The status a received one is taken for."""
        return self._treat_as.get(status) or self._treat_as.get(_OTHER) or status

    def cause_of(self, status: int) -> int:
        """The Q.850 cause of a status that came without one; 0 for the usual."""
        return self._causes.get(status) or self._causes.get(_OTHER) or 0

    def stops(self, candidate: Candidate, status: int, cause: int) -> bool:
        """Whether no other vendor is to be tried; ``cause`` is that of a received Reason."""
        if cause in self._stop_causes:
            return True
        return status not in self._hunt_on and candidate.stops_at(status)


class Verdict(NamedTuple):
    """What a vendor's refusal amounts to."""

    status: int
    """What it is taken for."""
    cause: int
    """Received, or what the received status stands for."""
    stops: bool


def verdict(policy: VendorCodePolicy | None, candidate: Candidate, response: Response) -> Verdict:
    """Judge a final response that is no success."""
    status = response.status
    received = q850_received(response)
    cause = received or q850_of_sip(status, warning_received(response))
    if policy is None:
        return Verdict(status, cause, candidate.stops_at(status))
    treated = policy.treated(status)
    if not received:
        cause = policy.cause_of(status) or cause
    return Verdict(treated, cause, policy.stops(candidate, treated, received))


class Refusal(NamedTuple):
    """The final response that ends a customer's INVITE without success."""

    status: int
    cause: int
    """Q.850: that of its Reason, or what the status stands for."""
    reasons: list[str]
    """Reason lines."""


class CustomerCodePolicy:
    """What one customer is told."""

    __slots__ = (
        "_cause_map",
        "_cause_status",
        "_prefers_q850",
        "_reasons",
        "_status_map",
        "reason",
    )

    def __init__(self, options: CustomerCodes) -> None:
        self._reasons: dict[str, int] = dict(options.reasons)
        self._prefers_q850 = options.prefer_q850
        self._cause_status = _by_number(options.cause_status)
        self._status_map = _by_number(options.status_map)
        self._cause_map = _by_number(options.cause_map)
        self.reason = options.reason
        """Of the Reason sent to him: ``pass``, ``received``, ``inject`` or ``none``."""

    def refusal(
        self, reason: EndReason, status: int, response: Response | None, taken_for: int
    ) -> Refusal:
        """The response for ``reason``; ``status`` is what would be sent without a policy.

        ``taken_for``: what the vendor's ``response`` counts as; 0 when he had not the last word.
        """
        sent = self._status(reason, status, response, taken_for)
        passed, received = _passed(response)
        usual = _cause(reason, sent, received)
        cause = self._cause_map.get(usual, usual)
        is_as_received = cause == usual or not received
        match self.reason:
            case "none":
                lines = []
            case "received" if is_as_received:
                lines = passed
            case "pass" if passed and is_as_received:
                lines = passed
            case _:
                lines = [reason_line(cause)]
        return Refusal(sent, cause, lines)

    def _status(
        self, reason: EndReason, status: int, response: Response | None, taken_for: int
    ) -> int:
        if (told := self._reasons.get(reason)) is not None:
            return told
        if self._prefers_q850 and response is not None:
            status = self._status_of_cause(response) or status
        table = self._status_map
        if not table:
            return status
        for key in (taken_for or status, status, _OTHER):
            told = table.get(key)
            if told is not None:
                return told or (taken_for if _is_presentable(taken_for) else status)
        return status

    def _status_of_cause(self, response: Response) -> int:
        found = q850_reason(response)
        if found is None or not found.cause:
            return 0
        cause = found.cause & 0x7F
        return self._cause_status.get(cause) or sip_of_q850(cause, found.location)


def _is_presentable(status: int) -> bool:
    """Whether a vendor's status makes sense without the headers that came with it."""
    return status >= 400 and status not in _CHALLENGES


def _passed(response: Response | None) -> tuple[list[str], int]:
    """The Reason lines a vendor's response would pass on, and their Q.850 cause."""
    if response is None:
        return [], 0
    lines = passed_lines(response, ("reason",))
    return lines, q850_received(response) if lines else 0


def _cause(reason: EndReason, status: int, received: int) -> int:
    if reason is EndReason.CANCELLED or not received:
        return q850_of_refusal(reason, status)
    return received


def refusal(
    policy: CustomerCodePolicy | None,
    reason: EndReason,
    status: int,
    response: Response | None = None,
    taken_for: int = 0,
) -> Refusal:
    """The final response for a call that ends before its answer; ``status`` 0: the usual one."""
    status = status or SIP_OF_REASON.get(reason, 503)
    if policy is None:
        lines, received = _passed(response)
        cause = _cause(reason, status, received)
        return Refusal(status, cause, lines or [reason_line(cause)])
    return policy.refusal(reason, status, response, taken_for)


def reason_lines(mode: str, received: Message | None, cause: int) -> list[str]:
    """The Reason of a CANCEL, BYE or ringing of ours: that of ``received``, or of our ``cause``.

    ``mode``: ``pass`` copies, and injects only where nothing is copied; ``received`` copies or
    leaves it; a ``cause`` of 0 is nothing to inject.
    """
    if mode == "none":
        return []
    if received is not None and mode != "inject":
        return passed_lines(received, ("reason",))
    own = [reason_line(cause)] if cause else []
    return [] if mode == "received" else own


def compiled_for_vendor(options: VendorCodes) -> VendorCodePolicy | None:
    """The policy of these options; ``None`` when they are the defaults."""
    return None if options == VendorCodes() else VendorCodePolicy(options)


def compiled_for_customer(options: CustomerCodes) -> CustomerCodePolicy | None:
    """The policy of these options; ``None`` when they are the defaults."""
    return None if options == CustomerCodes() else CustomerCodePolicy(options)


def known_reason(reason: str) -> EndReason:
    """The end reason another service named; what it made up is our error to report."""
    try:
        return EndReason(reason)
    except ValueError:
        return EndReason.INTERNAL_ERROR


def status_out(reason: EndReason, status: int) -> int:
    """What the caller hears: the called party's verdict as it is, everything else as ours.

    A vendor's 401 or 500 concerns us and him; passed on it would mislead the customer's
    own failover.
    """
    if status in STOP_HUNTING or status in {480, 488, 606}:
        return status
    return SIP_OF_REASON.get(reason, 503)
