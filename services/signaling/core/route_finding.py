"""Asks the customer's own routing server where a call may go, before routing is asked.

What the server offers is priced and vetted by routing like anything else. A server that is
away, late or makes no sense costs the call its ``timeout_ms`` at most; then the options say
whether routing decides alone or the call is refused.

A SIP server may have several addresses (RFC 3263): after silence, 503 or a failed connection the
next one is asked, each for its share of the time that is left. One that has failed comes last for
a while, so that not every call waits for it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from services.common.causes import EndReason
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.addressing import leaving_from
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
from services.signaling.core.reach import literal_address, server_place
from services.signaling.core.record import CallRecord, bounded
from services.signaling.core.retry_after import retry_after_s
from services.signaling.core.vendor_health import plain
from services.signaling.sip.actions import Manner, Peer
from services.signaling.sip.build import RequestDraft, header, request
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response
from services.signaling.sip.uri import SipUri, parse_sip_uri

LEG: Final = "R"
"""What ladders call the dialog with a redirect server."""
NEVER: Final = float("inf")
LAST_FOR_S: Final = 30.0
"""How long an address that did not answer comes after those that may."""
LONGEST_REST_S: Final = 300
"""The same for one that asked to be left alone by Retry-After."""


class TurnedDown(NamedTuple):
    """The call may not go on."""

    reason: EndReason
    status: int = 0
    """0 for that of the reason."""


Step = Command | TurnedDown


class Asked(Owner):
    """One INVITE to one address of a redirect server."""

    __slots__ = ("finding", "invite", "peer", "until")

    def __init__(
        self, finding: RouteFinding, peer: Peer, invite: RequestDraft, until: float
    ) -> None:
        super().__init__()
        self.finding = finding
        self.peer = peer
        self.invite = invite
        self.until = until
        """When the next address is asked, if there is one."""


class RouteFinding:
    """See the module docstring."""

    __slots__ = (
        "_asked",
        "_context",
        "_is_over",
        "_left",
        "_listener",
        "_offer",
        "_question",
        "_record",
        "_routing",
        "_until",
        "_uri",
    )  # fmt: skip

    # What a hunt has, and a call looks at before the answer.
    current: None = None
    is_settled = True

    def __init__(
        self, context: Context, record: CallRecord, sip: CustomerSip, question: FindRoutes
    ) -> None:
        self._question = question
        """For routing, once the server has spoken."""
        self._context = context
        self._record = record
        self._routing = sip.routing
        self._listener = sip.listener
        self._uri: SipUri | None = None
        self._offer: Offer | None = None
        self._asked: Asked | None = None
        """The INVITE whose answer is waited for."""
        self._left: list[Peer] = []
        """Addresses not asked yet."""
        self._is_over = False
        self._until = NEVER

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        return min(self._until, self._asked.until) if self._asked is not None else self._until

    # --- inputs -------------------------------------------------------------------------

    def start(self, offer: Offer, now: float) -> list[Step]:
        """Ask; the caller's SDP goes along, for servers that choose by codec."""
        record, routing = self._record, self._routing
        self._until = now + routing.timeout_ms / 1000
        if not routing.server.startswith("sip:"):
            question = {
                "call_id": record.call_id,
                "customer_trunk": record.customer_trunk_id,
                "caller": self._question.caller,
                "called": self._question.called,
                "source": record.source,
            }
            return [AskServer(routing.server, routing.timeout_ms, question)]
        self._uri, self._offer = parse_sip_uri(routing.server), offer
        self._left = self._find(self._uri, now)
        return self._ask_next(now)

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

    def on_answer(self, asked: Asked, response: Response, now: float) -> list[Step]:
        """Take a response to an INVITE, however late; also of an address given up on."""
        if response.status < 200:
            return []
        steps: list[Step] = self._hang_up(asked, response) if response.status < 300 else []
        if self._is_over:
            return steps
        ruling = from_response(response)
        if asked is not self._asked:
            is_offer = ruling is not None and not isinstance(ruling, Refusal)
            return [*steps, *self._cancel(), *self.on_ruling(ruling)] if is_offer else steps
        if response.status == 503:
            seconds = min(retry_after_s(response), LONGEST_REST_S) or LAST_FOR_S
            self._demote(asked, seconds, now)
            if self._left:
                return self._ask_next(now)
        return steps + self.on_ruling(ruling)

    def on_silence(self, asked: Asked, now: float) -> list[Step]:
        """No response to an INVITE will come."""
        if self._is_over or asked is not self._asked:
            return []
        self._demote(asked, LAST_FOR_S, now)
        return self._ask_next(now)

    def on_timer(self, now: float) -> list[Step]:
        """Ask another address, or stop waiting."""
        if now < self.deadline:
            return []
        given_up: list[Step] = [*self._cancel()]
        if self._asked is not None:
            self._demote(self._asked, LAST_FOR_S, now)
        if now < self._until:
            return [*given_up, *self._ask_next(now)]
        return [*given_up, *self._fail("routing server did not answer in time")]

    def stop(
        self,
        reason: EndReason,  # noqa: ARG002 - a hunt notes it
        now: float,  # noqa: ARG002
        received: Received | None = None,  # noqa: ARG002
    ) -> list[Step]:
        """Nobody needs the answer any more."""
        cancelled = self._cancel()
        self._end()
        return [*cancelled]

    # --- steps --------------------------------------------------------------------------

    def _end(self) -> None:
        self._is_over, self._until, self._asked = True, NEVER, None

    def _fail(self, why: str) -> list[Step]:
        self._end()
        if self._routing.on_failure == "refuse":
            return [TurnedDown(EndReason.ROUTING_SERVER_FAILED)]
        return [msgspec.structs.replace(self._question, note=why)]

    def _cancel(self) -> list[Cancel]:
        return [] if self._asked is None else [Cancel(self._asked.key, LEG)]

    def _find(self, uri: SipUri, now: float) -> list[Peer]:
        """The server's addresses; never our own, which would ask itself for ever."""
        context, server = self._context, self._routing.server
        reach, health = context.reach, context.reach.health
        peers = [
            peer
            for peer in reach.located(server_place(uri))
            if (peer.host, peer.port) not in reach.own
        ]
        if not health.is_quiet:
            peers.sort(key=lambda peer: health.is_resting((server, peer), now))
        return peers

    def _ask_next(self, now: float) -> list[Step]:
        if not self._left:
            return self._fail("routing server cannot be reached")
        uri, offer = self._uri, self._offer
        assert uri is not None
        assert offer is not None
        peer = self._left.pop(0)
        if peer.transport == "tls" and not literal_address(uri.host):
            # "the certificate ... for the domain that was queried" (RFC 3263 section 4.1)
            peer = peer._replace(manner=Manner(uri.host.lower().rstrip(".")))
        peer = leaving_from(self._listener, peer)
        share_s = (self._until - now) / (len(self._left) + 1)
        until = now + share_s if self._left else NEVER
        self._asked = asked = Asked(self, peer, self._invite(uri, peer, offer), until)
        return [Request(asked, asked.invite, peer, LEG)]

    def _demote(self, asked: Asked, seconds: float, now: float) -> None:
        """Have an address that does not answer asked last for a while."""
        server, health = self._routing.server, self._context.reach.health
        health.rest(server, plain(asked.peer), seconds, "routing server did not answer", now)

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

    def _hang_up(self, asked: Asked, response: Response) -> list[Step]:
        """It answered the call instead of redirecting it: ACK and BYE."""
        dialog = Dialog.from_response(asked.invite, response)
        leg = Leg(LEG, dialog, asked.peer, attempt=0)
        target = leg.target(self._context)
        bye = leg.request(self._context, "BYE")
        return [
            Acknowledge(asked.key, dialog.remote_tag, dialog.ack(1), target, LEG),
            Request(Owner(), bye, target, LEG),
        ]
