"""What the parties ask inside their dialogs before the call is answered.

PRACK ends here, or takes the answer to a vendor's offer along (RFC 3262 section 5). UPDATE with an
offer goes on to the other side (RFC 3311) where both dialogs have completed a first offer and
answer; the 2xx to the INVITE waits for its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.common.causes import EndReason
from services.signaling.core.admission import early_reply, prack_reply
from services.signaling.core.attempt import Attempt, State
from services.signaling.core.commands import Command, Owner, Respond
from services.signaling.core.context import Context
from services.signaling.core.early_dialogs import Agreed
from services.signaling.core.exchanges import RETRY_AFTER, Broken, Exchange, Exchanges
from services.signaling.core.exchanges import Step as ExchangeStep
from services.signaling.core.hunting import Hunt
from services.signaling.core.hunting import Step as HuntStep
from services.signaling.core.ingress import Ingress
from services.signaling.core.legs import CALLER, Leg, session
from services.signaling.core.route_finding import RouteFinding
from services.signaling.core.values import MediaAnswer
from services.signaling.core.watch import allows_update
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import response_to
from services.signaling.sip.message import Request as Received
from services.signaling.sip.message import Response

_CANNOT = frozenset({405, 408, 481, 501})
"""Statuses by which a party has no UPDATE or no such dialog: for the other side, 504. Whether the
call can go on its INVITE decides."""


class Hopeless(NamedTuple):
    """There is no way for the parties to agree on a session."""

    reason: EndReason


Step = HuntStep | Hopeless


class EarlyRequests:
    """Of one call. Whom a request came from has been checked."""

    __slots__ = ("_agreed", "_answer", "_context", "_exchanges", "_ingress", "_pair")

    def __init__(self, context: Context, ingress: Ingress) -> None:
        self._context = context
        self._ingress = ingress
        self._pair: tuple[Attempt, str] | None = None
        """Between whose dialogs the UPDATE under way passes: the vendor's by its tag."""
        self._exchanges: Exchanges | None = None
        self._agreed = 0
        """How many were agreed on between them before it."""
        self._answer: Agreed | None = None
        """What it was answered with, from when that has come."""

    # --- inputs -------------------------------------------------------------------------

    def on_request(
        self,
        received: Received,
        key: str,
        leg: str,
        peer: Peer,
        hunt: Hunt | RouteFinding | None,
        now: float,
        *,
        is_answered: bool,
    ) -> list[Step]:
        """Answer anything but BYE, or pass it on.

        With ``is_answered`` a vendor has answered, and the caller is about to hear of it.
        """
        is_caller, method = leg == CALLER, received.method
        if method == "PRACK" and is_caller:
            return self._on_prack(received, key, hunt)
        if method == "UPDATE" and session(received) and isinstance(hunt, Hunt):
            is_free = self._exchanges is None or self._exchanges.offer is None
            if not is_answered and not (is_free and hunt.has_answer):
                return self._on_update(received, key, hunt, now, is_caller=is_caller)
        return [Respond(key, early_reply(received, leg, self._context, peer), leg)]

    def on_response(
        self, owner: Owner, response: Response, hunt: Hunt | RouteFinding | None, now: float
    ) -> list[Step]:
        """Take a response to an UPDATE that was passed on."""
        exchanges = self._exchanges
        if exchanges is None or exchanges.offer is not owner or not isinstance(hunt, Hunt):
            return []
        assert isinstance(owner, Exchange)
        if response.status in _CANNOT:
            return self._go_on(exchanges.close(504), hunt)
        sdp = session(response)
        self._answer = Agreed(owner.to_leg.is_caller, sdp) if sdp else None
        return self._go_on(exchanges.on_response(owner, response, now), hunt)

    def on_failure(self, owner: Owner, hunt: Hunt | RouteFinding | None) -> list[Step]:
        """No response will come."""
        exchanges = self._exchanges
        if exchanges is None or owner is not exchanges.offer or not isinstance(hunt, Hunt):
            return []
        return self._go_on(exchanges.close(504), hunt)

    def owns(self, token: int) -> bool:
        """Whether SDP is being rewritten for an UPDATE under ``token``."""
        offer = None if self._exchanges is None else self._exchanges.offer
        return offer is not None and bool(token) and offer.token == token

    def on_media(
        self, token: int, answer: MediaAnswer | None, hunt: Hunt, now: float
    ) -> list[Step]:
        """Take rewritten SDP; ``None`` when media did not answer."""
        assert self._exchanges is not None
        return self._go_on(self._exchanges.on_media(token, answer, now), hunt)

    def leave(self, hunt: Hunt | RouteFinding | None) -> list[Command]:
        """Answer what is under way with a vendor who is out: 504, or 487 if there is no other."""
        if self._pair is None or self._exchanges is None:
            return []
        attempt, current = self._pair[0], None if hunt is None else hunt.current
        if attempt is current and attempt.state is State.CALLING:
            return []
        self._pair, exchanges, self._exchanges = None, self._exchanges, None
        return exchanges.close(487 if current is None else 504)

    # --- PRACK --------------------------------------------------------------------------

    def _on_prack(
        self, received: Received, key: str, hunt: Hunt | RouteFinding | None
    ) -> list[Step]:
        ingress, sdp = self._ingress, session(received)
        due = ingress.on_prack(received)
        reliable = ingress.reliable
        offered = reliable.acknowledged if reliable is not None and reliable.is_late else ""
        steps: list[Step]
        if not offered:
            steps = [Respond(key, prack_reply(received), CALLER)]
        elif not isinstance(hunt, Hunt) or not hunt.expects_answer(*ingress.fork(offered)):
            # The vendor who made that offer is out.
            steps = [Respond(key, response_to(received, 200), CALLER)]
        elif sdp:
            steps = [Respond(key, response_to(received, 200), CALLER), *hunt.on_answer(sdp)]
        else:
            reply = response_to(received, 400, "Missing Answer")
            return [Respond(key, reply, CALLER), Hopeless(EndReason.CODEC_MISMATCH)]
        if due is not None:
            steps.append(Respond(ingress.key, due, CALLER))
        return steps

    # --- UPDATE -------------------------------------------------------------------------

    def _on_update(
        self, received: Received, key: str, hunt: Hunt, now: float, *, is_caller: bool
    ) -> list[Step]:
        attempt, name = hunt.current, CALLER
        if not is_caller:
            assert attempt is not None
            name = attempt.name
        if is_caller:
            number, remote_tag = self._ingress.fork(received.to_tag)
            if attempt is not None and attempt.number != number:
                attempt = None  # his vendor is out
            status = self._why_not_from_caller(received.to_tag, attempt, remote_tag)
        else:
            assert attempt is not None
            remote_tag = received.from_tag
            status = self._why_not_from_vendor(attempt, remote_tag)
        if status:
            return [_refused(received, key, name, status)]
        assert attempt is not None
        near, far = self._legs(attempt, remote_tag)
        from_leg, to_leg = (near, far) if is_caller else (far, near)
        status = from_leg.dialog.on_request(received)
        if status:
            return [_refused(received, key, name, status)]
        exchanges = self._between(attempt, remote_tag)
        return self._go_on(exchanges.on_request(received, key, from_leg, to_leg, now), hunt)

    def _why_not_from_caller(self, tag: str, attempt: Attempt | None, remote_tag: str) -> int:
        """The status to refuse an offer of the caller with; 0 when it may pass."""
        reliable = self._ingress.reliable
        dialogs = None if attempt is None else attempt.dialogs
        if reliable is None or tag not in reliable.agreed:
            # Either his own offer has no answer yet, or a vendor's has none from him.
            is_theirs = dialogs is not None and dialogs.is_offering(remote_tag)
            return 491 if is_theirs else 500
        if dialogs is None or attempt is None or attempt.state is not State.CALLING:
            return 504
        if dialogs.is_offering(remote_tag):
            return 500  # his answer to the vendor's is on its way
        return 0 if dialogs.is_updatable(remote_tag) else 504

    def _why_not_from_vendor(self, attempt: Attempt, remote_tag: str) -> int:
        """The status to refuse an offer of a vendor with; 0 when it may pass."""
        ingress, dialogs = self._ingress, attempt.dialogs
        if dialogs is None or not dialogs.is_complete(remote_tag):
            is_his = dialogs is not None and dialogs.is_offering(remote_tag)
            return 500 if is_his else 491
        if ingress.reliable is None or not allows_update(ingress.invite):
            return 504
        tag = ingress.known_tag(attempt.number, remote_tag)
        if not tag:
            return 504
        # The caller has yet to acknowledge what this vendor has said.
        return 0 if tag in ingress.reliable.agreed else 500

    def _legs(self, attempt: Attempt, remote_tag: str) -> tuple[Leg, Leg]:
        assert attempt.dialogs is not None
        far = attempt.dialogs.leg(remote_tag)
        far.keeps_session = True
        tag = self._ingress.known_tag(attempt.number, remote_tag)
        return self._ingress.early_leg(tag, attempt.number), far

    def _between(self, attempt: Attempt, remote_tag: str) -> Exchanges:
        exchanges = self._exchanges
        if exchanges is not None and exchanges.offer is not None:
            return exchanges  # which refuses it, whatever dialog it belongs to
        if exchanges is None or self._pair is None or self._pair[0] is not attempt:
            media_proxy = attempt.candidate.media_proxy
            exchanges = Exchanges(self._context, media_proxy=media_proxy, is_early=True)
            self._exchanges, self._agreed = exchanges, 0
        self._pair, self._answer = (attempt, remote_tag), None
        return exchanges

    def _go_on(self, steps: Sequence[ExchangeStep], hunt: Hunt) -> list[Step]:
        """Take note of how far an offer has come; a 2xx may have waited for its answer."""
        assert self._pair is not None
        assert self._exchanges is not None
        (attempt, tag), exchanges = self._pair, self._exchanges
        dialogs = attempt.dialogs
        assert dialogs is not None
        if exchanges.agreed != self._agreed:
            self._agreed = exchanges.agreed
            if self._answer is not None:
                dialogs.agreed_last[tag] = self._answer
                assert self._ingress.reliable is not None
                known = self._ingress.known_tag(attempt.number, tag)
                self._ingress.reliable.renewed.add(known)
        dialogs.updating = tag if exchanges.offer is not None else ""
        followed: list[Step] = []
        for step in steps:
            if isinstance(step, Broken):
                return [*followed, Hopeless(step.reason)]
            followed.append(step)
        return followed if dialogs.updating else [*followed, *hunt.resume()]


def _refused(received: Received, key: str, leg: str, status: int) -> Respond:
    headers = (RETRY_AFTER,) if status == 500 else ()
    return Respond(key, response_to(received, status, headers=headers), leg)
