"""Plans over the wire: batches on links, single requests for tests and tools."""

from collections.abc import Callable, Sequence

import grpc

from proto.routing.v1 import routing_pb2 as pb
from proto.routing.v1 import routing_pb2_grpc
from services.common.causes import EndReason
from services.common.errors import Unavailable
from services.common.explanation import encode_explanation
from services.common.grpc import Server
from services.common.link_methods import ROUTING_LINK
from services.common.link_server import Replies
from services.routing.app import Routing
from services.routing.core.judging import Candidate
from services.routing.core.offered import OfferedRoute
from services.routing.core.plan import Plan, Refusal, Request

_NO_LIMIT = 0
_MOST_OFFERED = 100


class RoutingServicer(routing_pb2_grpc.RoutingServicer):
    """Answers ``tandem.routing.v1.Routing``.

    Args:
        now_us: microseconds since 1970, for requests that name no instant.
    """

    def __init__(self, routing: Routing, now_us: Callable[[], int]) -> None:
        self._routing = routing
        self._now_us = now_us

    def add_to(self, server: Server) -> None:
        """Offer both calls; before the server starts."""
        server.add(routing_pb2_grpc.add_RoutingServicer_to_server, self)
        server.add_link(ROUTING_LINK, self.on_items)

    def on_items(
        self,
        items: Sequence[pb.PlanRequest],
        replies: Replies[pb.PlanReply, pb.PlanReply],
    ) -> None:
        """Answer a batch in place: a plan waits for nothing."""
        for item in items:
            replies.send(self.answer(item))

    async def Plan(  # noqa: N802 - the contract's name
        self,
        request: pb.PlanRequest,
        context: grpc.aio.ServicerContext[pb.PlanRequest, pb.PlanReply],
    ) -> pb.PlanReply:
        """Answer one request."""
        del context
        return self.answer(request)

    def answer(self, asked: pb.PlanRequest) -> pb.PlanReply:
        """The reply to one request; also before any configuration was loaded."""
        request = Request(
            customer_trunk_id=asked.customer_trunk_id,
            caller=asked.caller,
            called=asked.called,
            at_us=asked.at_unix_ms * 1000 if asked.at_unix_ms else self._now_us(),
            busy=asked.busy_vendor_trunk_ids,
            offered=[_offered(route) for route in asked.offered[:_MOST_OFFERED]],
            note=asked.note,
        )
        try:
            decision = self._routing.plan(request)
        except Unavailable:
            return pb.PlanReply(id=asked.id, refused=EndReason.ROUTING_UNAVAILABLE)
        if isinstance(decision, Refusal):
            return _refusal(asked.id, decision)
        return _plan(asked.id, decision)


def _offered(route: pb.OfferedRoute) -> OfferedRoute:
    return OfferedRoute(
        vendor=route.vendor,
        called=route.called,
        caller=route.caller if route.HasField("caller") else None,
        max_call_s=route.max_call_s,
    )


def _refusal(number: int, refusal: Refusal) -> pb.PlanReply:
    return pb.PlanReply(
        id=number,
        refused=refusal.reason,
        account_id=refusal.account_id,
        caller_billed=refusal.caller_billed,
        called_billed=refusal.called_billed,
        explanation=encode_explanation(refusal.explanation),
    )


def _plan(number: int, plan: Plan) -> pb.PlanReply:
    return pb.PlanReply(
        id=number,
        account_id=plan.customer.rates.account.id,
        caller_billed=plan.caller_billed,
        called_billed=plan.called_billed,
        sell_terms=plan.sell_terms,
        candidates=[_candidate(each, plan.caller) for each in plan.candidates],
        explanation=encode_explanation(plan.explanation),
        max_call_s=plan.max_call_s,
    )


def _candidate(candidate: Candidate, caller: str) -> pb.Candidate:
    vendor = candidate.vendor
    return pb.Candidate(
        vendor_trunk_id=vendor.id,
        account_id=vendor.rates.account.id,
        host=vendor.host,
        port=vendor.port,
        transport=vendor.transport,
        caller=caller if candidate.caller is None else candidate.caller,
        called=candidate.called,
        buy_terms=candidate.buy_terms,
        media_proxy=candidate.media_proxy,
        trying_timeout_ms=vendor.trying_timeout_ms,
        ringing_timeout_ms=vendor.ringing_timeout_ms,
        max_calls=vendor.max_calls or _NO_LIMIT,
        max_cps=vendor.max_cps or _NO_LIMIT,
        stop_codes=vendor.stop_codes,
        max_call_s=candidate.max_call_s,
    )
