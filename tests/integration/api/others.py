"""The services the API asks, playing their part on a real gRPC port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

import grpc

from proto.rating.v1 import rating_pb2, rating_pb2_grpc
from proto.routing.v1 import routing_pb2, routing_pb2_grpc
from proto.signaling.v1 import guard_pb2, guard_pb2_grpc, signaling_pb2, signaling_pb2_grpc


@dataclass
class Others:
    """What was asked, and what is answered."""

    address: str = ""
    payments: dict[str, rating_pb2.PayRequest] = field(default_factory=dict)
    plans: list[routing_pb2.PlanRequest] = field(default_factory=list)
    calls: dict[str, signaling_pb2.LiveCall] = field(default_factory=dict)
    hung_up: list[str] = field(default_factory=list)
    vendors: list[signaling_pb2.VendorState] = field(default_factory=list)
    registrations: list[signaling_pb2.Registration] = field(default_factory=list)
    bans: dict[str, int] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator[Self]:
        others = cls()
        server = grpc.aio.server()
        rating_pb2_grpc.add_RatingServicer_to_server(_Rating(others), server)  # type: ignore[no-untyped-call]  # generated
        routing_pb2_grpc.add_RoutingServicer_to_server(_Routing(others), server)  # type: ignore[no-untyped-call]  # generated
        guard_pb2_grpc.add_GuardServicer_to_server(_Guard(others), server)  # type: ignore[no-untyped-call]  # generated
        signaling_pb2_grpc.add_SignalingServicer_to_server(_Signaling(others), server)  # type: ignore[no-untyped-call]  # generated
        port = server.add_insecure_port("127.0.0.1:0")
        others.address = f"127.0.0.1:{port}"
        await server.start()
        try:
            yield others
        finally:
            await server.stop(0)


class _Rating(rating_pb2_grpc.RatingServicer):
    def __init__(self, others: Others) -> None:
        self._others = others

    async def Pay(  # noqa: N802
        self, request: rating_pb2.PayRequest, _context: object
    ) -> rating_pb2.PayReply:
        known = self._others.payments
        duplicate = request.payment_id in known
        known.setdefault(request.payment_id, request)
        balance = sum(
            Decimal(one.amount) for one in known.values() if one.account_id == request.account_id
        )
        return rating_pb2.PayReply(balance=str(balance), duplicate=duplicate)


class _Routing(routing_pb2_grpc.RoutingServicer):
    def __init__(self, others: Others) -> None:
        self._others = others

    async def Plan(  # noqa: N802
        self, request: routing_pb2.PlanRequest, _context: object
    ) -> routing_pb2.PlanReply:
        self._others.plans.append(request)
        return routing_pb2.PlanReply(
            account_id="acc_1",
            called_billed=request.called.lstrip("+"),
            sell_terms=b'{"currency":"USD"}',
            explanation=b'{"because":"one vendor"}',
            candidates=[
                routing_pb2.Candidate(
                    vendor_trunk_id="vtr_1",
                    host="192.0.2.9",
                    port=5060,
                    transport="udp",
                    called=request.called.lstrip("+"),
                    buy_terms=b"{}",
                )
            ],
        )


class _Signaling(signaling_pb2_grpc.SignalingServicer):
    def __init__(self, others: Others) -> None:
        self._others = others

    async def ListCalls(  # noqa: N802
        self, request: signaling_pb2.ListCallsRequest, _context: object
    ) -> signaling_pb2.ListCallsReply:
        calls = [
            call
            for call_id, call in sorted(self._others.calls.items())
            if call_id > request.after and request.call_id in ("", call_id)
        ]
        limit = request.limit or 1000
        return signaling_pb2.ListCallsReply(calls=calls[:limit], total=len(self._others.calls))

    async def ListRegistrations(  # noqa: N802
        self, _request: signaling_pb2.ListRegistrationsRequest, _context: object
    ) -> signaling_pb2.ListRegistrationsReply:
        return signaling_pb2.ListRegistrationsReply(registrations=self._others.registrations)

    async def Hangup(  # noqa: N802
        self, request: signaling_pb2.HangupRequest, _context: object
    ) -> signaling_pb2.HangupReply:
        found = self._others.calls.pop(request.call_id, None) is not None
        if found:
            self._others.hung_up.append(request.call_id)
        return signaling_pb2.HangupReply(found=found)

    async def ListVendors(  # noqa: N802
        self, request: signaling_pb2.ListVendorsRequest, _context: object
    ) -> signaling_pb2.ListVendorsReply:
        del request
        return signaling_pb2.ListVendorsReply(vendors=self._others.vendors)

    async def Ladder(  # noqa: N802
        self, request: signaling_pb2.LadderRequest, _context: object
    ) -> signaling_pb2.LadderReply:
        if request.call_id not in self._others.calls:
            return signaling_pb2.LadderReply()
        step = signaling_pb2.LadderStep(
            at_unix_ms=1_900_000_000_000,
            at_unix_us=1_900_000_000_000_123,
            leg="A",
            summary="INVITE sip:1",
            raw=b"INVITE sip:1\r\n",
            peer="192.0.2.1:5060;udp",
            local="[2001:db8::1]:5070;tls",
        )
        return signaling_pb2.LadderReply(steps=[step])


class _Guard(guard_pb2_grpc.GuardServicer):
    def __init__(self, others: Others) -> None:
        self._others = others

    async def Show(  # noqa: N802
        self, request: guard_pb2.ShowGuardRequest, _context: object
    ) -> guard_pb2.ShowGuardReply:
        reply = guard_pb2.ShowGuardReply(node="signaling-1", firewall="off", admitted_share=0.5)
        for target, seconds in self._others.bans.items():
            reply.bans.add(target=target, seconds_left=seconds, reason="operator", hits=7)
        reply.counted.add(kind="unknown_source", key="203.0.113.9", count=request.limit)
        reply.sources.add(source="ctr_1", cps=12.5, baseline_cps=2.0, flooding=True)
        reply.counters["shed"] = 3
        return reply

    async def Ban(  # noqa: N802
        self, request: guard_pb2.BanRequest, _context: object
    ) -> guard_pb2.BanReply:
        target = request.target.lower()
        self._others.bans[target] = request.seconds
        return guard_pb2.BanReply(target=target)

    async def Unban(  # noqa: N802
        self, request: guard_pb2.UnbanRequest, _context: object
    ) -> guard_pb2.UnbanReply:
        return guard_pb2.UnbanReply(found=self._others.bans.pop(request.target, 0) > 0)

    async def Rules(  # noqa: N802
        self, request: guard_pb2.RulesRequest, _context: object
    ) -> guard_pb2.RulesReply:
        return guard_pb2.RulesReply(text=f"# {request.format}\n")
