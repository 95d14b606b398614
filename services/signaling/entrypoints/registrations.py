"""Registrations as the contract shows them."""

from __future__ import annotations

from proto.signaling.v1 import signaling_pb2 as pb
from services.signaling.app.registrations import Registrations
from services.signaling.core.accounts import Account, AccountState
from services.signaling.core.location import Binding
from services.signaling.core.record import peer_text
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.actions import Peer

_NEVER = float("inf")


def listed(
    registrations: Registrations, table: TrunkTable, node: str, *, unix_ms: int, now: float
) -> pb.ListRegistrationsReply:
    """Customers' contacts, then our own accounts."""
    reply = pb.ListRegistrationsReply()
    reply.registrations.extend(_contact(one, table) for one in registrations.bindings())
    for account in registrations.accounts.values():
        expires_ms = registrations.expires_in_s(account) * 1000
        reply.registrations.append(_account(account, node, expires_ms, unix_ms, now))
    return reply


def _contact(binding: Binding, table: TrunkTable) -> pb.Registration:
    user = table.digest.users.get(binding.username)
    return pb.Registration(
        direction="in",
        username=binding.username,
        customer_trunk_id="" if user is None else user.trunk.id,
        contact=binding.uri,
        source=peer_text(binding.source),
        state=AccountState.REGISTERED,
        expires_at_unix_ms=round(binding.expires_at * 1000),
        node=binding.node,
        agent=binding.agent,
    )


def _account(
    account: Account, node: str, expires_ms: int, unix_ms: int, now: float
) -> pb.Registration:
    host, port, transport, _ = account.place
    waits = account.state in (AccountState.REFUSED, AccountState.UNREACHABLE)
    retry_s = account.deadline - now if waits and account.deadline != _NEVER else None
    return pb.Registration(
        direction="out",
        username=account.sip.auth.username,
        vendor_trunk_id=account.vendor_trunk_id,
        contact=account.contact,
        source=peer_text(Peer(transport, host, port)),
        state=account.state,
        expires_at_unix_ms=unix_ms + expires_ms if expires_ms else 0,
        status=account.status,
        retry_at_unix_ms=0 if retry_s is None else unix_ms + round(retry_s * 1000),
        node=node,
    )
