"""Requests too large for one UDP packet: by TCP, else by UDP after all (RFC 3261 18.1.1)."""

from __future__ import annotations

from typing import Final, NamedTuple

from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.transaction.invite_client import InviteClientTransaction
from services.signaling.sip.transaction.non_invite_client import NonInviteClientTransaction
from services.signaling.sip.transaction.timers import TimerValues

LARGEST_DATAGRAM: Final = 1300
"""Bytes beyond which a request asks for a transport with congestion control."""

ClientTransaction = InviteClientTransaction | NonInviteClientTransaction


class Grown(NamedTuple):
    """A request under way by TCP because of its size, as it would have gone by UDP."""

    draft: RequestDraft
    target: Peer
    timers: TimerValues

    def by_udp(self, via_line: str, failed: ClientTransaction) -> ClientTransaction:
        """The transaction that takes the place of ``failed``, which led nowhere."""
        wire = self.draft.wire(via_line)
        transaction = client_transaction(self.draft, wire, failed.key, self.target, self.timers)
        if isinstance(transaction, InviteClientTransaction):
            assert isinstance(failed, InviteClientTransaction)
            transaction.cancel_headers = failed.cancel_headers
        return transaction


def is_oversize(wire: bytes, target: Peer) -> bool:
    """Whether a request to ``target`` is to go by TCP for its size."""
    manner = target.manner
    return manner is not None and manner.grows and len(wire) > LARGEST_DATAGRAM


def client_transaction(
    draft: RequestDraft, wire: bytes, key: str, target: Peer, timers: TimerValues
) -> ClientTransaction:
    """The machine for a request: INVITE has one of its own."""
    if draft.method == "INVITE":
        return InviteClientTransaction(wire, key, target, timers)
    return NonInviteClientTransaction(wire, key, target, timers)
