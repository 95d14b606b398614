"""The guard of signaling over gRPC. Implements :class:`services.api.ports.Guard`."""

from collections.abc import Sequence

import grpc

from proto.signaling.v1.guard_pb2 import (
    BanRequest,
    RulesRequest,
    ShowGuardReply,
    ShowGuardRequest,
    UnbanRequest,
)
from proto.signaling.v1.guard_pb2_grpc import GuardStub
from services.api.core.records import Record
from services.common.grpc import translated_rpc

_TIMEOUT_S = 5.0
_WHAT = "signaling"


class GrpcGuard:
    """Asks every signaling process, over channels that others use too."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._stubs = [
            GuardStub(channel)  # type: ignore[no-untyped-call]  # generated
            for channel in channels
        ]

    async def show(self, limit: int) -> list[Record]:
        """See :meth:`services.api.ports.Guard.show`."""
        request = ShowGuardRequest(limit=limit)
        nodes = []
        for stub in self._stubs:
            with translated_rpc(_WHAT):
                nodes.append(_node(await stub.Show(request, timeout=_TIMEOUT_S)))
        return nodes

    async def ban(self, target: str, seconds: int) -> str:
        """See :meth:`services.api.ports.Guard.ban`."""
        written = target
        for stub in self._stubs:
            with translated_rpc(_WHAT):
                request = BanRequest(target=target, seconds=seconds)
                written = str((await stub.Ban(request, timeout=_TIMEOUT_S)).target)
        return written

    async def unban(self, target: str) -> bool:
        """See :meth:`services.api.ports.Guard.unban`."""
        found = False
        for stub in self._stubs:
            with translated_rpc(_WHAT):
                reply = await stub.Unban(UnbanRequest(target=target), timeout=_TIMEOUT_S)
            found = found or bool(reply.found)
        return found

    async def rules(self, form: str) -> str:
        """See :meth:`services.api.ports.Guard.rules`."""
        texts = []
        for stub in self._stubs:
            with translated_rpc(_WHAT):
                reply = await stub.Rules(RulesRequest(format=form), timeout=_TIMEOUT_S)
            texts.append(str(reply.text))
        return "\n".join(texts)


def _node(reply: ShowGuardReply) -> Record:
    meters: dict[str, list[Record]] = {}
    for one in reply.counted:
        meters.setdefault(one.kind, []).append({"key": one.key, "count": one.count})
    return {
        "node": reply.node,
        "firewall": reply.firewall,
        "admitted_share": round(reply.admitted_share, 3),
        "queue_age_ms": round(reply.queue_age_s * 1000),
        "bans": [
            {
                "target": ban.target,
                "seconds_left": ban.seconds_left,
                "reason": ban.reason,
                "hits": ban.hits,
            }
            for ban in reply.bans
        ],
        "counters": dict(sorted(reply.counters.items())),
        "last_minute": meters,
        "sources": [
            {
                "source": one.source,
                "cps": round(one.cps, 2),
                "baseline_cps": round(one.baseline_cps, 2),
                "flooding": one.flooding,
            }
            for one in reply.sources
        ],
    }
