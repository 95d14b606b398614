"""A 2xx nobody waits for, of a fork or after a CANCEL (RFC 3261 section 13.2.2.4)."""

from __future__ import annotations

from services.signaling.core.addressing import leaving_from, peer_of
from services.signaling.core.context import Context
from services.signaling.core.legs import dialog_of
from services.signaling.sip.actions import Action
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response


def hang_up_stray(
    context: Context, layer: TransactionLayer, response: Response, key: str, now: float
) -> list[Action]:
    """ACK and BYE, if there is a way to whoever answered."""
    dialog = dialog_of(response)
    target = peer_of(dialog.next_hop, context)
    if target is None:
        return []
    if not target.reliable:
        # From where its INVITE left, which may have been chosen for this vendor.
        here = leaving_from(response.via.sent_by, target)
        target = here if context.listeners.is_reachable(here) else target
    ack = dialog.ack(response.cseq.number)
    actions = layer.send_ack(key, dialog.remote_tag, ack, target)
    _, bye = layer.send_request(dialog.request("BYE"), target, now)
    return [*actions, *bye]
