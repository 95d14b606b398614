"""routing over its link. Implements :class:`services.signaling.ports.Planner`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from sys import intern

from proto.routing.v1 import routing_pb2 as pb
from services.common.link import Link
from services.common.link_methods import ROUTING_LINK
from services.signaling.core.commands import FindRoutes
from services.signaling.core.values import Candidate, OfferedRoute, Plan

TIMEOUT_S = 1.0
"""Post-dial delay the customer would not forgive; his next choice is better than our wait."""
MOST_CANDIDATES = 100

RoutingLink = Link[pb.PlanRequest, pb.PlanReply, pb.PlanReply]


def open_routing_link(address: str) -> RoutingLink:
    """The link to routing; its ``run()`` keeps it connected."""
    return Link(ROUTING_LINK, address, timeout_s=TIMEOUT_S)


class LinkedPlanner:
    """Asks over the link, translates the answers."""

    def __init__(self, link: RoutingLink) -> None:
        self._link = link

    def plan(
        self, question: FindRoutes, at_unix_ms: int, on_plan: Callable[[Plan | None], None]
    ) -> None:
        """See :meth:`services.signaling.ports.Planner.plan`."""
        request = pb.PlanRequest(
            customer_trunk_id=question.customer_trunk_id,
            caller=question.caller,
            called=question.called,
            at_unix_ms=at_unix_ms,
            busy_vendor_trunk_ids=question.busy,
            note=question.note,
        )
        if question.offered:
            request.offered.extend([_offered(route) for route in question.offered])
        self._link.request(request, lambda reply: on_plan(None if reply is None else _plan(reply)))


def _offered(route: OfferedRoute) -> pb.OfferedRoute:
    return pb.OfferedRoute(
        vendor=route.vendor,
        called=route.called,
        caller=route.caller,
        max_call_s=route.max_call_s,
    )


# Values are copied out: a protobuf message that is kept keeps its whole batch. What repeats within
# a call, or from call to call, is kept once: that is a sixth of a call's memory.


@lru_cache(4096)
def _shared(terms: bytes) -> bytes:
    """The same object for equal prices."""
    return terms


def _plan(reply: pb.PlanReply) -> Plan:
    return Plan(
        refused=reply.refused,
        account_id=intern(reply.account_id),
        caller_billed=intern(reply.caller_billed),
        called_billed=intern(reply.called_billed),
        sell_terms=_shared(reply.sell_terms or b"null"),
        candidates=tuple([_candidate(item) for item in reply.candidates[:MOST_CANDIDATES]]),
        explanation=reply.explanation or b"null",
        max_call_s=reply.max_call_s,
    )


def _candidate(item: pb.Candidate) -> Candidate:
    return Candidate(
        vendor_trunk_id=intern(item.vendor_trunk_id),
        account_id=intern(item.account_id),
        host=intern(item.host),
        port=item.port or 5060,
        transport=intern(item.transport or "udp"),
        caller=intern(item.caller),
        called=intern(item.called),
        buy_terms=_shared(item.buy_terms or b"null"),
        media_proxy=item.media_proxy,
        trying_timeout_ms=item.trying_timeout_ms or 5_000,
        ringing_timeout_ms=item.ringing_timeout_ms or 120_000,
        max_calls=item.max_calls,
        max_cps=item.max_cps,
        stop_codes=tuple(item.stop_codes),
        max_call_s=item.max_call_s,
    )
