"""The guard, shown to operators and obeying them, over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import grpc

from proto.signaling.v1 import guard_pb2 as pb
from proto.signaling.v1 import guard_pb2_grpc as pb_grpc
from services.common.errors import Invalid
from services.signaling.app.gate import Gate
from services.signaling.core import firewall
from services.signaling.core.flood import FloodMeters
from services.signaling.core.guard import ban_target, overlaps
from services.signaling.core.overload import Overload

_Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 1_000
LONGEST_BAN_S = 7 * 24 * 3600


class GuardServicer(pb_grpc.GuardServicer):
    """Implements ``tandem.signaling.v1.Guard``."""

    def __init__(
        self,
        gate: Gate,
        overload: Overload,
        meters: FloodMeters,
        *,
        node: str,
        listeners: Sequence[firewall.Listener],
        trusted: Callable[[], frozenset[str]],
        firewall_state: Callable[[], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._gate = gate
        self._overload = overload
        self._meters = meters
        self._node = node
        self._listeners = listeners
        self._trusted = trusted
        self._firewall_state = firewall_state
        self._monotonic = monotonic

    async def Show(  # noqa: N802 - the contract's name
        self,
        request: pb.ShowGuardRequest,
        context: _Context,  # noqa: ARG002
    ) -> pb.ShowGuardReply:
        """Bans, counters and meters."""
        now, gate = self._monotonic(), self._gate
        limit = min(request.limit or DEFAULT_LIMIT, LARGEST_LIMIT)
        reply = pb.ShowGuardReply(
            node=self._node,
            counters={**gate.counters_by_name, **gate.guard.counters},
            admitted_share=self._overload.share,
            queue_age_s=self._overload.age_s,
            firewall=self._firewall_state(),
        )
        for ban in gate.guard.bans(now):
            reply.bans.add(
                target=ban.target,
                seconds_left=round(ban.until - now),
                reason=ban.reason,
                hits=ban.hits,
            )
        for kind, counted in gate.guard.meters(now, limit).items():
            for key, count in counted:
                reply.counted.add(kind=kind, key=key, count=count)
        for meter in self._meters.meters(limit):
            reply.sources.add(
                source=meter.source,
                cps=meter.cps,
                baseline_cps=meter.baseline_cps,
                flooding=meter.is_flooding,
            )
        return reply

    async def Ban(  # noqa: N802
        self,
        request: pb.BanRequest,
        context: _Context,  # noqa: ARG002
    ) -> pb.BanReply:
        """Keep an address or network out. Trunks are heard all the same."""
        target = _target(request.target)
        if not 0 < request.seconds <= LONGEST_BAN_S:
            raise Invalid("seconds", f"must be from 1 to {LONGEST_BAN_S}")
        if overlaps(target, self._trusted()):
            raise Invalid("target", "is the address of a trunk, which is never banned")
        gate = self._gate
        gate.act(gate.guard.ban(target, float(request.seconds), self._monotonic()))
        return pb.BanReply(target=target)

    async def Unban(  # noqa: N802
        self,
        request: pb.UnbanRequest,
        context: _Context,  # noqa: ARG002
    ) -> pb.UnbanReply:
        """Let in again."""
        actions = self._gate.guard.unban(_target(request.target))
        self._gate.act(actions)
        return pb.UnbanReply(found=bool(actions))

    async def Rules(  # noqa: N802
        self,
        request: pb.RulesRequest,
        context: _Context,  # noqa: ARG002
    ) -> pb.RulesReply:
        """What the kernel would be told, for sites that load their rules themselves."""
        trusted = self._trusted()
        match request.format:
            case "nftables":
                name = firewall.table_name(self._node)
                text = firewall.nftables_file(name, self._listeners, trusted)
            case "iptables":
                text = firewall.iptables_file(self._listeners, trusted)
            case _:
                raise Invalid("format", "is neither nftables nor iptables")
        return pb.RulesReply(text=text)


def _target(text: str) -> str:
    try:
        return ban_target(text)
    except ValueError as error:
        raise Invalid("target", str(error)) from error
