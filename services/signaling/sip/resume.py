"""INVITE transactions of a process that died, for the layer of the next.

Part of the layer, whose state it fills. Only what its peers may still repeat, or wait for, is
worth it: see RFC 6026, timers L and M.
"""

from __future__ import annotations

from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.headers import MAGIC_COOKIE
from services.signaling.sip.invite_usage import UasAnswer
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.matching import reply_target
from services.signaling.sip.message import Response, parse
from services.signaling.sip.transaction.invite_client import InviteClientTransaction
from services.signaling.sip.transaction.invite_server import InviteServerTransaction


def resume_answer(
    layer: TransactionLayer, key: str, data: bytes, source: Peer, *, answered_at: float, now: float
) -> bool:
    """Go on with the 2xx ``data`` to the INVITE ``key``, which had been sent, or not yet.

    It is repeated until its ACK, and repetitions of its INVITE are absorbed; ``False`` when the
    time for both is over.
    """
    until = answered_at + layer._timers.timeout
    if until <= now:
        return False
    reply = parse(data)
    assert isinstance(reply, Response)
    peer = reply_target(reply, source, layer.reply_to)
    invite = InviteServerTransaction(key, peer, source, layer._timers)
    invite.resume_accepted(until)
    invite.to_tag = reply.to_tag
    invite.merge_key = (reply.call_id, reply.from_tag, reply.cseq.number)
    name = (reply.call_id, reply.to_tag, reply.cseq.number)
    answer = UasAnswer(data, key, name, peer, layer._timers)
    answer.resume(now, until)
    _adopt(layer, invite)
    _adopt(layer, answer)
    return True


def resume_invite(
    layer: TransactionLayer,
    key: str,
    to_tag: str,
    peer: Peer,
    ack: tuple[RequestDraft, Peer] | None,
    *,
    answered_at: float,
    now: float,
) -> None:
    """Go on with an INVITE of ours that has drawn a 2xx with this tag.

    ``ack`` is sent whenever the 2xx is repeated; ``None`` when none was sent yet.
    """
    until = answered_at + layer._timers.timeout
    if until <= now:
        return
    invite = InviteClientTransaction(b"", key, peer, layer._timers)
    invite.resume_accepted(to_tag, until)
    if ack is not None:
        draft, target = ack
        invite.remember_ack(
            to_tag, draft.wire(layer._via_line(target, MAGIC_COOKIE + layer._ids())), target
        )
    _adopt(layer, invite)


def resume_ringing(layer: TransactionLayer, key: str, wire: bytes, peer: Peer) -> None:
    """Go on with an INVITE of ours that has drawn no final response.

    It is to be cancelled: nobody waits for it any more, and no timer of its own ends it.
    """
    invite = InviteClientTransaction(wire, key, peer, layer._timers)
    invite.resume_ringing()
    _adopt(layer, invite)


def _adopt(
    layer: TransactionLayer,
    timed: InviteClientTransaction | InviteServerTransaction | UasAnswer,
) -> None:
    if isinstance(timed, UasAnswer):
        layer._answers[timed.name] = timed
    elif isinstance(timed, InviteServerTransaction):
        layer._servers[timed.key] = timed
        layer._initial[timed.merge_key] = timed.key
    else:
        layer._clients[timed.key] = timed
    layer._schedule.file(timed)
