"""The other services over gRPC: routing plans, rating books, signaling knows the live calls."""

import datetime as dt
from collections.abc import Sequence
from typing import TypeVar

import grpc
import msgspec

from proto.rating.v1.rating_pb2 import PayRequest
from proto.rating.v1.rating_pb2_grpc import RatingStub
from proto.routing.v1.routing_pb2 import Candidate as CandidateMessage
from proto.routing.v1.routing_pb2 import OfferedRoute, PlanReply, PlanRequest
from proto.routing.v1.routing_pb2_grpc import RoutingStub
from proto.signaling.v1.signaling_pb2 import (
    HangupRequest,
    LadderRequest,
    LadderStep,
    ListCallsRequest,
    ListRegistrationsRequest,
    ListVendorsRequest,
    LiveCall,
    Registration,
    TargetState,
    VendorState,
)
from proto.signaling.v1.signaling_pb2_grpc import SignalingStub
from services.api.core.pcap import Endpoint, Packet
from services.api.core.records import Record, instant_text
from services.api.ports import CallFilter, Paid, Payment, Trial
from services.common.errors import Unavailable
from services.common.grpc import open_channel, translated_rpc

_TIMEOUT_S = 5.0
_DEFAULT_LIMIT = 1000

ValueT = TypeVar("ValueT")


class GrpcCashier:
    """Implements :class:`services.api.ports.Cashier`."""

    def __init__(self, address: str) -> None:
        self.channel = open_channel(address)
        self._stub = RatingStub(self.channel)  # type: ignore[no-untyped-call]  # generated

    async def pay(self, payment: Payment) -> Paid:
        """See :meth:`services.api.ports.Cashier.pay`."""
        request = PayRequest(
            payment_id=payment.id,
            account_id=payment.account_id,
            amount=f"{payment.amount:f}",
            currency=payment.currency,
            kind=payment.kind,
            note=payment.note,
            actor=payment.actor,
        )
        with translated_rpc("rating"):
            reply = await self._stub.Pay(request, timeout=_TIMEOUT_S)
        return Paid(reply.balance, reply.duplicate)


class GrpcPlanner:
    """Implements :class:`services.api.ports.Planner`."""

    def __init__(self, address: str) -> None:
        self.channel = open_channel(address)
        self._stub = RoutingStub(self.channel)  # type: ignore[no-untyped-call]  # generated

    async def plan(self, trial: Trial) -> Record:
        """See :meth:`services.api.ports.Planner.plan`."""
        request = PlanRequest(
            id=1,
            customer_trunk_id=trial.customer_trunk_id,
            caller=trial.caller,
            called=trial.called,
            at_unix_ms=int(trial.at.timestamp() * 1000),
            busy_vendor_trunk_ids=trial.busy_vendor_trunk_ids,
            offered=[
                OfferedRoute(
                    vendor=route.vendor_trunk,
                    called=route.called,
                    caller=route.caller,
                    max_call_s=route.max_call_s,
                )
                for route in trial.offered
            ],
        )
        with translated_rpc("routing"):
            return _plan(await self._stub.Plan(request, timeout=_TIMEOUT_S))


def _plan(reply: PlanReply) -> Record:
    return {
        "refused": reply.refused or None,
        "account_id": reply.account_id,
        "caller_billed": reply.caller_billed,
        "called_billed": reply.called_billed,
        "sell_terms": _json(reply.sell_terms),
        "max_call_s": reply.max_call_s or None,
        "candidates": [_candidate(one) for one in reply.candidates],
        "explanation": _json(reply.explanation),
    }


def _candidate(one: CandidateMessage) -> Record:
    return {
        "vendor_trunk_id": one.vendor_trunk_id,
        "account_id": one.account_id,
        "target": f"{one.host}:{one.port};{one.transport}",
        "caller": one.caller,
        "called": one.called,
        "buy_terms": _json(one.buy_terms),
        "media_proxy": one.media_proxy,
        "trying_timeout_ms": one.trying_timeout_ms,
        "ringing_timeout_ms": one.ringing_timeout_ms,
        "max_calls": one.max_calls or None,
        "max_cps": one.max_cps or None,
        "stop_codes": list(one.stop_codes),
        "max_call_s": one.max_call_s or None,
    }


def _json(data: bytes) -> object:
    return msgspec.json.decode(data) if data else None


class GrpcLiveCalls:
    """Implements :class:`services.api.ports.LiveCalls` over any number of signaling processes."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.channels = [open_channel(address) for address in addresses]
        self._stubs = [
            SignalingStub(channel)  # type: ignore[no-untyped-call]  # generated
            for channel in self.channels
        ]

    async def calls(self, chosen: CallFilter) -> tuple[list[Record], int]:
        """See :meth:`services.api.ports.LiveCalls.calls`."""
        request = ListCallsRequest(
            limit=chosen.limit,
            after=chosen.after,
            call_id=chosen.call_id,
            account_id=chosen.account_id,
            trunk_id=chosen.trunk_id,
        )
        found: list[LiveCall] = []
        total = 0
        for stub in self._stubs:
            with translated_rpc("signaling"):
                reply = await stub.ListCalls(request, timeout=_TIMEOUT_S)
            found += reply.calls
            total += reply.total
        found.sort(key=lambda call: call.call_id)
        return [_live(call) for call in found[: chosen.limit or _DEFAULT_LIMIT]], total

    async def hang_up(self, call_id: str) -> bool:
        """See :meth:`services.api.ports.LiveCalls.hang_up`."""
        away: Unavailable | None = None
        for stub in self._stubs:
            try:
                with translated_rpc("signaling"):
                    reply = await stub.Hangup(HangupRequest(call_id=call_id), timeout=_TIMEOUT_S)
            except Unavailable as error:
                away = error
                continue
            if reply.found:
                return True
        if away is not None:
            raise away
        return False

    async def vendors(self) -> list[Record]:
        """See :meth:`services.api.ports.LiveCalls.vendors`."""
        found: list[VendorState] = []
        for stub in self._stubs:
            with translated_rpc("signaling"):
                found += (await stub.ListVendors(ListVendorsRequest(), timeout=_TIMEOUT_S)).vendors
        found.sort(key=lambda vendor: (vendor.name, vendor.node))
        return [_vendor(vendor) for vendor in found]

    async def ladder(self, call_id: str) -> list[Record]:
        """See :meth:`services.api.ports.LiveCalls.ladder`."""
        return [
            {
                "at": _instant(step.at_unix_ms),
                "leg": step.leg,
                "sent": step.sent,
                "peer": step.peer,
                "summary": step.summary,
                "raw": step.raw.decode("utf-8", "backslashreplace"),
            }
            for step in await self._steps(call_id)
        ]

    async def packets(self, call_id: str) -> list[Packet]:
        """See :meth:`services.api.ports.LiveCalls.packets`."""
        packets: list[Packet] = []
        for step in await self._steps(call_id):
            ends = (_endpoint(step.peer), _endpoint(step.local))
            destination, source = ends if step.sent else ends[::-1]
            packets.append(Packet(step.at_unix_us, source, destination, step.raw))
        return packets

    async def _steps(self, call_id: str) -> list[LadderStep]:
        steps: list[LadderStep] = []
        for stub in self._stubs:
            with translated_rpc("signaling"):
                reply = await stub.Ladder(LadderRequest(call_id=call_id), timeout=_TIMEOUT_S)
            steps += reply.steps
        return steps

    async def registrations(self) -> list[Record]:
        """See :meth:`services.api.ports.LiveCalls.registrations`."""
        found: dict[tuple[str, ...], Registration] = {}
        for stub in self._stubs:
            with translated_rpc("signaling"):
                reply = await stub.ListRegistrations(
                    ListRegistrationsRequest(), timeout=_TIMEOUT_S
                )
            for one in reply.registrations:
                # Every process knows all contacts, and has accounts of its own.
                found[one.direction, one.username, one.contact, one.node] = one
        return [_registration(one) for _, one in sorted(found.items())]


def _endpoint(text: str) -> Endpoint:
    """Host and port of ``host:port;transport``."""
    host, _, port = text.partition(";")[0].rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port or 0)  # noqa: S104 - shown, not bound


def _registration(one: Registration) -> Record:
    return {
        "direction": one.direction,
        "username": one.username,
        "customer_trunk_id": one.customer_trunk_id or None,
        "vendor_trunk_id": one.vendor_trunk_id or None,
        "contact": one.contact,
        "source": one.source,
        "state": one.state,
        "expires_at": _instant(one.expires_at_unix_ms),
        "status": one.status or None,
        "retry_at": _instant(one.retry_at_unix_ms),
        "node": one.node,
        "agent": one.agent,
    }


def _vendor(vendor: VendorState) -> Record:
    return {
        "vendor_trunk_id": vendor.vendor_trunk_id,
        "name": vendor.name,
        **_state(vendor),
        "calls": vendor.calls,
        "targets": [{"target": one.target, **_state(one)} for one in vendor.targets],
        "node": vendor.node,
    }


def _state(seen: VendorState | TargetState) -> Record:
    return {
        "state": seen.state,
        "since": _instant(seen.since_unix_ms),
        "why": seen.why,
        "until": _instant(seen.until_unix_ms),
    }


def _live(call: LiveCall) -> Record:
    return {
        "call_id": call.call_id,
        "state": call.state,
        "customer_trunk_id": call.customer_trunk_id,
        "account_id": call.account_id,
        "vendor_trunk_id": call.vendor_trunk_id or None,
        "vendor_account_id": call.vendor_account_id or None,
        "caller": call.caller,
        "called": call.called,
        "invited_at": _instant(call.invited_at_unix_ms),
        "ringing_at": _instant(call.ringing_at_unix_ms),
        "answered_at": _instant(call.answered_at_unix_ms),
        "talk_ms": call.talk_ms,
        "attempts": call.attempts,
        "node": call.node,
        "media_proxy": call.media_proxy,
    }


def _instant(unix_ms: int) -> str | None:
    if unix_ms == 0:
        return None
    return instant_text(dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC))


class ChannelProbe:
    """Whether another service can be reached. Implements :class:`services.api.ports.Probe`."""

    def __init__(self, name: str, channels: Sequence[grpc.aio.Channel]) -> None:
        self.name = name
        self._channels = channels

    async def check(self) -> str:
        """See :meth:`services.api.ports.Probe.check`."""
        away = 0
        for channel in self._channels:
            state = channel.get_state(try_to_connect=True)
            while state not in _SETTLED:
                await channel.wait_for_state_change(state)
                state = channel.get_state()
            away += state is not grpc.ChannelConnectivity.READY
        return f"{away} of {len(self._channels)} cannot be reached" if away else ""


_SETTLED = (
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
    grpc.ChannelConnectivity.SHUTDOWN,
)
