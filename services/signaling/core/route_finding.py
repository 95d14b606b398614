"""Asks the customer's own routing server where a call may go, before routing is asked.

What the server offers is priced and vetted by routing like anything else. A server that is
away, late or makes no sense costs the call its ``timeout_ms`` at most; then the options say
whether routing decides alone or the call is refused.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from services.common.causes import EndReason
from services.common.sip_options.routing import CustomerRouting
from services.signaling.core.commands import (
    Acknowledge,
    AskServer,
    Cancel,
    Command,
    FindRoutes,
    Owner,
    Request,
)
from services.signaling.core.context import ALLOW, Context
from services.signaling.core.headers import address
from services.signaling.core.legs import Leg
from services.signaling.core.offered_routes import Refusal, Ruling, from_response
from services.signaling.core.outgoing import Offer, bracketed
from services.signaling.core.record import CallRecord, bounded
from services.signaling.core.targets import Service
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft, header, request
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response
from services.signaling.sip.uri import SipUri, parse_sip_uri

LEG: Final = "R"
"""What ladders call the dialog with a redirect server."""
NEVER: Final = float("inf")


class TurnedDown(NamedTuple):
    """The call may not go on."""

    reason: EndReason
    status: int = 0
    """0 for that of the reason."""


Step = Command | TurnedDown


class RouteFinding(Owner):
    """See the module docstring; owner of the INVITE to a SIP redirect server."""

    __slots__ = (
        "_context", "_draft", "_is_over", "_peer", "_question", "_record", "_routing", "deadline",
    )  # fmt: skip

    # What a hunt has, and a call looks at before the answer.
    current: None = None
    is_settled = True

    def __init__(
        self, context: Context, record: CallRecord, routing: CustomerRouting, question: FindRoutes
    ) -> None:
        super().__init__()
        self._question = question
        """For routing, once the server has spoken."""
        self._context = context
        self._record = record
        self._routing = routing
        self._draft: RequestDraft | None = None
        self._peer: Peer | None = None
        self._is_over = False
        self.deadline = NEVER
        """When :meth:`on_timer` is next due."""

    # --- inputs -------------------------------------------------------------------------

    def start(self, offer: Offer, now: float) -> list[Step]:
        """Ask; the caller's SDP goes along, for servers that choose by codec."""
        record, routing = self._record, self._routing
        self.deadline = now + routing.timeout_ms / 1000
        if not routing.server.startswith("sip:"):
            question = {
                "call_id": record.call_id,
                "customer_trunk": record.customer_trunk_id,
                "caller": self._question.caller,
                "called": self._question.called,
                "source": record.source,
            }
            return [AskServer(routing.server, routing.timeout_ms, question)]
        uri = parse_sip_uri(routing.server)
        peer = self._find(uri)
        if peer is None:
            return self._fail("routing server cannot be reached")
        self._peer, self._draft = peer, self._invite(uri, peer, offer)
        return [Request(self, self._draft, peer, LEG)]

    def on_ruling(self, ruling: Ruling | None) -> list[Step]:
        """Take what the server said; ``None`` when that was nothing."""
        if self._is_over:
            return []
        if ruling is None:
            return self._fail("routing server gave no usable answer")
        self._end()
        if isinstance(ruling, Refusal):
            self._record.reason_header = bounded(ruling.text)
            return [TurnedDown(EndReason.ROUTING_SERVER_REFUSED, ruling.status)]
        return [msgspec.structs.replace(self._question, offered=ruling)]

    def on_answer(self, response: Response) -> list[Step]:
        """Take a response to the INVITE, however late."""
        if response.status < 200:
            return []
        steps: list[Step] = self._hang_up(response) if response.status < 300 else []
        return steps + self.on_ruling(from_response(response))

    def on_silence(self) -> list[Step]:
        """No response to the INVITE will come."""
        return [] if self._is_over else self._fail("routing server cannot be reached")

    def on_timer(self, now: float) -> list[Step]:
        """Stop waiting."""
        if now < self.deadline:
            return []
        late = self.stop(EndReason.ROUTING_SERVER_FAILED, now)
        return [*late, *self._fail("routing server did not answer in time")]

    def stop(
        self,
        reason: EndReason,  # noqa: ARG002 - a hunt notes it
        now: float,  # noqa: ARG002
        received: Received | None = None,  # noqa: ARG002
    ) -> list[Step]:
        """Nobody needs the answer any more."""
        is_asking = not self._is_over and self._draft is not None
        self._end()
        return [Cancel(self.key, LEG)] if is_asking else []

    # --- steps --------------------------------------------------------------------------

    def _end(self) -> None:
        self._is_over, self.deadline = True, NEVER

    def _fail(self, why: str) -> list[Step]:
        self._end()
        if self._routing.on_failure == "refuse":
            return [TurnedDown(EndReason.ROUTING_SERVER_FAILED)]
        return [msgspec.structs.replace(self._question, note=why)]

    def _find(self, uri: SipUri) -> Peer | None:
        """The server's address; never our own, which would ask itself for ever."""
        reach = self._context.reach
        transport = uri.transport or "udp"
        host, port = uri.address
        # A name without port is one for SRV (RFC 3263 section 4.2).
        peers = reach.served(server_service(uri)) if uri.port is None else []
        peers = peers or reach.peers(host, port, transport)
        if not peers or (peers[0].host, peers[0].port) in reach.own:
            return None
        return peers[0]

    def _invite(self, uri: SipUri, peer: Peer, offer: Offer) -> RequestDraft:
        context, record, question = self._context, self._record, self._question
        host = bracketed(uri.address[0])
        port = "" if uri.port is None else f":{uri.port}"
        transport = f";transport={uri.transport}" if uri.transport else ""
        tag = context.new_tag()
        return request(
            "INVITE",
            address(question.called, host)[1:-1] + port + transport,
            from_=f"{address(question.caller, context.host(peer))};tag={tag}",
            to=address(question.called, host),
            call_id=context.new_call_id(),
            cseq=1,
            max_forwards=offer.max_forwards,
            headers=(
                context.contact(peer),
                ALLOW,
                *context.agent,
                header("X-Call-ID", record.call_id),
                header("X-Customer-Trunk", record.customer_trunk_id),
                header("X-Source", record.source),
            ),
            body=offer.sdp,
        )

    def _hang_up(self, response: Response) -> list[Step]:
        """It answered the call instead of redirecting it: ACK and BYE."""
        assert self._draft is not None
        assert self._peer is not None
        dialog = Dialog.from_response(self._draft, response)
        leg = Leg(LEG, dialog, self._peer, attempt=0)
        target = leg.target(self._context)
        bye = leg.request(self._context, "BYE")
        return [
            Acknowledge(self.key, dialog.remote_tag, dialog.ack(1), target, LEG),
            Request(Owner(), bye, target, LEG),
        ]


def server_service(uri: SipUri) -> Service:
    """What DNS is asked about a server named without port."""
    return Service(uri.host.lower(), uri.transport or "udp", "srv")
