"""A vendor's early dialogs: their reliable responses, and what is agreed in them (RFC 3262)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from services.signaling.core.commands import Owner, Request
from services.signaling.core.context import Context
from services.signaling.core.legs import Leg, session
from services.signaling.core.watch import allows_update
from services.signaling.sip.actions import Peer
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response
from services.signaling.sip.reliable import UacProvisionals, is_reliable, rseq_of

if TYPE_CHECKING:
    from services.signaling.core.attempt import Attempt

_MOST_KEPT = 16
"""Offers that are kept for a 2xx, per attempt."""


class Agreed(NamedTuple):
    """The answer that completed the last offer and answer of an early dialog."""

    from_caller: bool
    sdp: bytes
    """As its sender wrote it."""


class _Reliable(NamedTuple):
    """A reliable response, as its PRACK needs it."""

    leg: Leg
    rseq: int
    cseq: int


class ReliableDialogs:
    """Those of one egress INVITE that is responded to reliably, by To tag.

    A fork is acknowledged, answered and hung up for itself. To a late offer (``is_late``) the
    first reliable response with SDP brings the offer. The caller is given that of one fork:
    media knows one session per attempt. Another fork's waits for its 2xx.
    """

    __slots__ = (
        "_complete", "_is_late", "_legs", "_offer", "_order", "_unanswered", "_updatable",
        "agreed_last", "answer", "updating",
    )  # fmt: skip

    def __init__(self, *, is_late: bool = False) -> None:
        self._is_late = is_late
        self._legs: dict[str, Leg] = {}
        self._order = UacProvisionals()
        self._complete: set[str] = set()
        """Where a first offer has its answer."""
        self._updatable: set[str] = set()
        """Whose vendor says that he takes UPDATE."""
        self._unanswered: set[str] = set()
        """Where an offer waits for its 2xx."""
        self._offer: _Reliable | None = None
        """The response whose offer is with the caller: its PRACK waits for his answer."""
        self.answer = b""
        """The caller's answer to the offer that was passed on, while it is rewritten."""
        self.agreed_last: dict[str, Agreed] = {}
        """Where more has been agreed on than the INVITE and its response say."""
        self.updating = ""
        """The dialog in which an UPDATE with an offer is under way."""

    def acknowledge(
        self, context: Context, attempt: Attempt, response: Response
    ) -> list[Request] | None:
        """The PRACK of a reliable response, unless it has to wait for an answer.

        ``None`` for one not to be looked at at all.
        """
        tag = response.to_tag
        if self.is_offering(tag) or tag in self._unanswered or not self._order.is_next(response):
            return None
        leg = self._legs.get(tag)
        if leg is None:
            leg = self._legs[tag] = new_leg(attempt, response)
        if allows_update(response):
            self._updatable.add(tag)
        assert attempt.draft is not None
        reliable = _Reliable(leg, rseq_of(response), attempt.draft.cseq)
        if session(response) and tag not in self._complete:
            if not self._is_late:
                self._complete.add(tag)
            elif self._offer is None and not self._complete:
                self._offer = reliable
                return []
            else:
                self._unanswered.add(tag)
                return []
        return [_prack(context, reliable, b"")]

    def give_answer(self, context: Context, sdp: bytes) -> Request:
        """The PRACK that takes the caller's answer along, rewritten as ``sdp``."""
        offer, given = self._offer, self.answer
        assert offer is not None
        self._offer, self.answer = None, b""
        tag = offer.leg.dialog.remote_tag
        self._complete.add(tag)
        self.agreed_last[tag] = Agreed(from_caller=True, sdp=given)
        offer.leg.session = sdp
        return _prack(context, offer, sdp)

    def is_passed_on(self, response: Response) -> bool:
        """Whether a response brings the offer that the caller is given."""
        offer = self._offer
        return offer is not None and (offer.leg.dialog.remote_tag, offer.rseq) == (
            response.to_tag,
            rseq_of(response),
        )

    def is_offering(self, tag: str) -> bool:
        """Whether the offer of this dialog is with the caller and has no answer yet."""
        return self._offer is not None and self._offer.leg.dialog.remote_tag == tag

    def is_busy(self, tag: str) -> bool:
        """Whether an offer is under way in this dialog: its 2xx has to wait."""
        return self.is_offering(tag) or (bool(tag) and self.updating == tag)

    def is_complete(self, tag: str) -> bool:
        """Whether a first offer has its answer in this dialog: another may be made."""
        return tag in self._complete

    def is_updatable(self, tag: str) -> bool:
        """Whether another offer may be made in this dialog, and its vendor takes UPDATE."""
        return tag in self._complete and tag in self._updatable

    def leg(self, tag: str) -> Leg:
        """The dialog of a tag that is known."""
        return self._legs[tag]

    def accepts(self, request: Received, source: Peer) -> bool:
        """Whether a request comes from where one of these dialogs is said to be."""
        leg = self._legs.get(request.from_tag)
        return leg is not None and leg.accepts(request, source)

    def confirmed(self, response: Response) -> Leg | None:
        """The leg that a 2xx confirms, if it was known before: its PRACKs have been counted."""
        leg = self._legs.get(response.to_tag)
        if leg is not None:
            leg.dialog.on_response(response)
        return leg


def new_leg(attempt: Attempt, response: Response) -> Leg:
    """The leg of a dialog that a response makes."""
    assert attempt.draft is not None
    dialog = Dialog.from_response(attempt.draft, response)
    return Leg(
        attempt.name,
        dialog,
        attempt.peer,
        attempt=attempt.number,
        policy=attempt.policy,
        login=attempt.login,
        request_to=attempt.sip.nat.request_to,
    )


def offered_early(attempt: Attempt, response: Response, sdp: bytes) -> bytes:
    """The offer in a provisional response to an INVITE without one, if it is to be passed on.

    One that cannot be is kept, should the 2xx leave it out: from a vendor who responds reliably
    though nobody asked for it, or of a second fork. An offer may not stand in an unreliable
    response at all (RFC 3261 section 13.2.1).
    """
    if not sdp or not is_reliable(response):
        return b""
    if attempt.dialogs is not None and attempt.dialogs.is_passed_on(response):
        return sdp
    if len(attempt.early) < _MOST_KEPT:
        attempt.early.setdefault(response.to_tag, sdp)
    return b""


def _prack(context: Context, response: _Reliable, sdp: bytes) -> Request:
    leg = response.leg
    rack = f"RAck: {response.rseq} {response.cseq} INVITE"
    prack = leg.request(context, "PRACK", headers=(rack,), body=sdp)
    # The layer repeats it; whatever becomes of it, the INVITE decides.
    return Request(Owner(), prack, leg.target(context), leg.name)
