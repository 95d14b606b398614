"""What operators do to live calls, over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import grpc

from proto.signaling.v1 import signaling_pb2 as pb
from proto.signaling.v1 import signaling_pb2_grpc as pb_grpc
from services.common.causes import EndReason
from services.signaling.app.switch import Switch
from services.signaling.core.call import Call
from services.signaling.core.record import peer_text
from services.signaling.core.values import CallState, Candidate
from services.signaling.core.vendor_view import VendorView
from services.signaling.entrypoints.registrations import listed
from services.signaling.sip.actions import Peer

_Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"

DEFAULT_LIMIT = 1_000
LARGEST_LIMIT = 10_000

_PUBLIC_STATE = {
    CallState.AUTHORIZING: "routing",
    CallState.ANSWERING: "ringing",
}
"""States that are nobody's business but ours; the others are shown by their own names."""


class SignalingServicer(pb_grpc.SignalingServicer):
    """Implements ``tandem.signaling.v1.Signaling``."""

    def __init__(
        self,
        switch: Switch,
        *,
        node: str,
        monotonic: Callable[[], float],
        unix_us: Callable[[float], int],
        local: Callable[[Peer], tuple[str, int]],
        vendors: Callable[[float], list[VendorView]],
    ) -> None:
        self._switch = switch
        self._node = node
        self._monotonic = monotonic
        self._unix_us = unix_us
        self._local = local
        self._vendors = vendors

    async def ListCalls(  # noqa: N802 - the contract's name
        self,
        request: pb.ListCallsRequest,
        context: _Context,  # noqa: ARG002
    ) -> pb.ListCallsReply:
        """Live calls, oldest first."""
        limit = min(request.limit or DEFAULT_LIMIT, LARGEST_LIMIT)
        now = self._monotonic()
        reply = pb.ListCallsReply()
        matching = (call for call in self._switch.live(request.after) if _matches(call, request))
        for call in matching:
            reply.calls.append(self._live_call(call, now))
            if len(reply.calls) >= limit:
                break
        reply.total = sum(_matches(call, request) for call in self._switch.calls.values())
        return reply

    async def Hangup(  # noqa: N802
        self,
        request: pb.HangupRequest,
        context: _Context,  # noqa: ARG002
    ) -> pb.HangupReply:
        """End one call."""
        found = self._switch.hang_up(request.call_id, EndReason.ADMIN_DISCONNECT)
        return pb.HangupReply(found=found)

    async def Ladder(  # noqa: N802
        self,
        request: pb.LadderRequest,
        context: _Context,  # noqa: ARG002
    ) -> pb.LadderReply:
        """The messages of one call, live or recent."""
        # Steps have monotonic instants: one pair of readings turns all of them into wall time.
        zero_us = self._unix_us(0.0)
        return pb.LadderReply(
            steps=[
                pb.LadderStep(
                    at_unix_ms=(zero_us + round(step.at * 1e6)) // 1000,
                    at_unix_us=zero_us + round(step.at * 1e6),
                    local=self._local_text(step.peer),
                    leg=step.leg,
                    sent=step.sent,
                    peer=peer_text(step.peer),
                    summary=step.summary,
                    raw=step.raw,
                )
                for step in self._switch.ladders.steps(request.call_id)
            ]
        )

    def _local_text(self, peer: Peer) -> str:
        host, port = self._local(peer)
        return peer_text(Peer(peer.transport, host, port))

    async def ListRegistrations(  # noqa: N802
        self,
        request: pb.ListRegistrationsRequest,  # noqa: ARG002
        context: _Context,  # noqa: ARG002
    ) -> pb.ListRegistrationsReply:
        """Who is registered here, and where we are."""
        now = self._monotonic()
        return listed(
            self._switch.registrations,
            self._switch.trunks,
            self._node,
            unix_ms=self._unix_us(now) // 1000,
            now=now,
        )

    async def ListVendors(  # noqa: N802
        self,
        request: pb.ListVendorsRequest,  # noqa: ARG002
        context: _Context,  # noqa: ARG002
    ) -> pb.ListVendorsReply:
        """Vendor trunks, and whether they can be called."""
        now = self._monotonic()

        def unix_ms(instant: float | None) -> int:
            return 0 if instant is None else self._unix_us(instant) // 1000

        return pb.ListVendorsReply(
            vendors=[_vendor_state(view, self._node, unix_ms) for view in self._vendors(now)]
        )

    def _live_call(self, call: Call, now: float) -> pb.LiveCall:
        record = call.record
        vendor = _vendor(call)
        talk_ms = 0
        if record.answered_at is not None:
            until = now if record.ended_at is None else record.ended_at
            talk_ms = max(0, round((until - record.answered_at) * 1000))
        return pb.LiveCall(
            call_id=record.call_id,
            state=_PUBLIC_STATE.get(call.state, call.state.value),
            customer_trunk_id=record.customer_trunk_id,
            account_id=record.account_id,
            vendor_trunk_id="" if vendor is None else vendor.vendor_trunk_id,
            vendor_account_id="" if vendor is None else vendor.account_id,
            caller=record.caller,
            called=record.called,
            invited_at_unix_ms=_unix_ms(call, record.invited_at),
            ringing_at_unix_ms=_unix_ms(call, record.ringing_at),
            answered_at_unix_ms=_unix_ms(call, record.answered_at),
            talk_ms=talk_ms,
            attempts=len(record.attempts),
            node=self._node,
            media_proxy=vendor is not None and vendor.media_proxy,
        )


def _vendor_state(
    view: VendorView, node: str, unix_ms: Callable[[float | None], int]
) -> pb.VendorState:
    return pb.VendorState(
        vendor_trunk_id=view.place.id,
        name=view.place.name,
        state=view.state.state,
        since_unix_ms=unix_ms(view.state.since),
        why=view.state.why,
        until_unix_ms=unix_ms(view.state.until),
        calls=view.calls,
        targets=[
            pb.TargetState(
                target=peer_text(peer),
                state=state.state,
                since_unix_ms=unix_ms(state.since),
                why=state.why,
                until_unix_ms=unix_ms(state.until),
            )
            for peer, state in view.targets
        ],
        node=node,
    )


def _vendor(call: Call) -> Candidate | None:
    attempts = call.record.attempts
    if not attempts:
        return None
    answered = call.record.answered_attempt
    return attempts[-1 if answered is None else answered].candidate


def _unix_ms(call: Call, instant: float | None) -> int:
    return 0 if instant is None else round(call.record.wall(instant).timestamp() * 1000)


def _matches(call: Call, request: pb.ListCallsRequest) -> bool:
    record = call.record
    if request.call_id and record.call_id != request.call_id:
        return False
    vendor = _vendor(call)
    if request.account_id and request.account_id not in {
        record.account_id,
        vendor.account_id if vendor is not None else "",
    }:
        return False
    return not request.trunk_id or request.trunk_id in {
        record.customer_trunk_id,
        vendor.vendor_trunk_id if vendor is not None else "",
    }
