"""The services the API asks, playing their part on a real gRPC port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

import grpc

from proto.rating.v1 import rating_pb2, rating_pb2_grpc
from proto.routing.v1 import routing_pb2, routing_pb2_grpc
from proto.signaling.v1 import signaling_pb2, signaling_pb2_grpc


@dataclass
class Others:
    """What was asked, and what is answered."""

    address: str = ""
    payments: dict[str, rating_pb2.PayRequest] = field(default_factory=dict)
    plans: list[routing_pb2.PlanRequest] = field(default_factory=list)
    calls: dict[str, signaling_pb2.LiveCall] = field(default_factory=dict)
    hung_up: list[str] = field(default_factory=list)
    vendors: list[signaling_pb2.VendorState] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator[Self]:
        others = cls()
        server = grpc.aio.server()
        rating_pb2_grpc.add_RatingServicer_to_server(_Rating(others), server)  # type: ignore[no-untyped-call]  # generated
        routing_pb2_grpc.add_RoutingServicer_to_server(_Routing(others), server)  # type: ignore[no-untyped-call]  # generated
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
            at_unix_ms=1_900_000_000_000, leg="A", summary="INVITE sip:1", raw=b"INVITE sip:1\r\n"
        )
        return signaling_pb2.LadderReply(steps=[step])
