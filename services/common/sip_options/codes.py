"""How SIP statuses and Q.850 causes are understood, translated and sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from services.common.causes import EndReason
from services.common.sip_options.group import Conflict, Group
from services.common.sip_options.text import Cause, CauseKey, Refusal, Status, StatusKey

_CHALLENGES: Final = frozenset({401, 407, 494})
"""Statuses that mean nothing without a header of theirs."""
_REASONS: Final = frozenset(EndReason)

_Unchanged = Annotated[int, msgspec.Meta(ge=0, le=699)]
_Statuses = Annotated[list[Status], msgspec.Meta(max_length=100)]
_Causes = Annotated[list[Cause], msgspec.Meta(max_length=127)]


class VendorCodes(Group, frozen=True):
    """What a vendor's refusals mean."""

    treat_as: dict[StatusKey, Refusal] = msgspec.field(default_factory=dict)
    """Received status: the status it is taken for in the search for a vendor, the end reason and
    what the customer is told. The record keeps the received one."""
    status_causes: dict[StatusKey, Cause] = msgspec.field(default_factory=dict)
    """Received status: the Q.850 cause it stands for when no Reason came with it."""
    stop_causes: _Causes = msgspec.field(default_factory=list)
    """Q.850 causes in a received Reason that end the search for a vendor, whatever the status."""
    hunt_on: _Statuses = msgspec.field(default_factory=list)
    """Statuses after which the next vendor is tried, although they would stop the search."""
    reason: Literal["pass", "inject", "none"] = "pass"
    """Reason in CANCEL and BYE to the vendor: the customer's, always one of ours, or none."""


class CustomerCodes(Group, frozen=True):
    """What a customer is told when a call fails."""

    reasons: dict[str, Refusal] = msgspec.field(default_factory=dict)
    """End reason: the status for it, whatever the vendor said."""
    prefer_q850: bool = False
    """Whether a Q.850 cause in the vendor's Reason decides the status, by the usual table."""
    cause_status: dict[CauseKey, Refusal] = msgspec.field(default_factory=dict)
    """Q.850 cause: status, where the usual table does not suit; used with ``prefer_q850``."""
    status_map: dict[StatusKey, _Unchanged] = msgspec.field(default_factory=dict)
    """Status: the status the customer sees instead. The vendor's is looked up first, then the one
    that would be sent, then ``other``. 0: just as the vendor said."""
    cause_map: dict[CauseKey, Cause] = msgspec.field(default_factory=dict)
    """Q.850 cause that would be sent: the one the customer sees instead."""
    reason: Literal["pass", "received", "inject", "none"] = "pass"
    """Reason in refusals, CANCEL and BYE to the customer: the vendor's or else one of ours, only
    the vendor's, always one of ours, or none."""

    def conflicts(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        for unknown in sorted(self.reasons.keys() - _REASONS):
            yield Conflict("reasons", f"{unknown[:60]!r} is no end reason")
        for status in sorted({*self.status_map.values()}):
            if 0 < status < 400:
                yield Conflict("status_map", f"leads to statuses from 400 on, or 0, not {status}")
        for name in ("reasons", "status_map", "cause_status"):
            told: dict[str, int] = getattr(self, name)
            for status in sorted(_CHALLENGES.intersection(told.values())):
                yield Conflict(name, f"{status} would be a challenge without a question")

    def nonsense(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        if self.cause_status and not self.prefer_q850:
            yield Conflict("cause_status", "means nothing without prefer_q850")
