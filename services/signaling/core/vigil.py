"""Sees to it that no answered call outlives its parties (RFC 4028, RFC 3261 section 14.1).

Each leg is refreshed, or probed, for itself: nothing of it crosses. What ends a call here tells
when its silent party was last heard, which is when the call ends for the bill.
"""

from __future__ import annotations

from typing import NamedTuple

from services.common.causes import EndReason
from services.common.sip_options.session_timer import SessionTimer
from services.signaling.core.commands import Acknowledge, Command, Owner, Request, Respond
from services.signaling.core.context import ALLOW, Context
from services.signaling.core.exchanges import Exchanges
from services.signaling.core.hunting import Answered
from services.signaling.core.ingress import Ingress
from services.signaling.core.legs import Leg
from services.signaling.core.logins import CHALLENGES
from services.signaling.core.watch import Watch, WatchState, allows_update, is_watched, wishes_of
from services.signaling.sip.build import response_to
from services.signaling.sip.message import Message, Response
from services.signaling.sip.message import Request as Received
from services.signaling.sip.session_timer import Terms, agreed, grant

DEFAULT = SessionTimer()
GONE = frozenset({408, 481})
"""Statuses that say the other end has no such dialog (RFC 3261 section 12.2.1.2)."""
_SPREAD_S = 20.0
"""Over which the refreshes and probes of a takeover are spread."""
_BYE_REPEATED_S = 32.0
"""64*T1: a BYE sent while nobody listened for less than this arrives in the end."""
_DOUBT = SessionTimer(probe_s=30)
"""How a leg is watched of which nobody knows whether its party has hung up meanwhile."""
_CANNOT_UPDATE = frozenset({405, 501})


class Ask(Owner):
    """A refresh or a probe under way."""

    __slots__ = ("cseq", "leg", "method")

    def __init__(self, leg: Leg, method: str) -> None:
        super().__init__()
        self.leg = leg
        self.method = method
        self.cseq = 0


class Lifeless(NamedTuple):
    """A leg has to be given up."""

    reason: EndReason
    leg: Leg
    at: float
    """When the call ended for the bill."""


Step = Command | Lifeless


class Vigil:
    """Both legs of one answered call; those without a watch are left alone."""

    __slots__ = ("_context", "_exchanges", "legs")

    def __init__(self, context: Context, exchanges: Exchanges, legs: list[Leg]) -> None:
        self._context = context
        self._exchanges = exchanges
        self.legs = legs

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        return min(
            (leg.watch.deadline for leg in self.legs if leg.watch and not leg.is_over),
            default=float("inf"),
        )

    # --- inputs -------------------------------------------------------------------------

    def on_timer(self, now: float) -> list[Step]:
        """Refresh, probe, give up."""
        steps: list[Step] = []
        for leg in self.legs:
            if leg.watch and not leg.is_over and leg.watch.deadline <= now:
                steps += self._on_due(leg, leg.watch, now)
        return steps

    def on_request(self, received: Received, key: str, leg: Leg, now: float) -> list[Step] | None:
        """Answer a refresh; ``None`` for what has to go on to the other leg."""
        watch = leg.watch
        if watch is None or received.method not in {"INVITE", "UPDATE"}:
            return None
        if watch.is_too_small(received):
            headers = [f"Min-SE: {watch.options.min_se_s}"]
            return [Respond(key, response_to(received, 422, headers=headers), leg.name)]
        if received.method != "UPDATE" or received.body or watch.options.mode == "off":
            return None
        contact = leg.contact(self._context)
        lines = [contact, ALLOW, *watch.granted_lines(received, now)]
        return [Respond(key, response_to(received, 200, headers=lines), leg.name)]

    def on_response(self, ask: Ask, response: Response, now: float) -> list[Step]:
        """Take a response to a request of ours."""
        status, leg, watch = response.status, ask.leg, ask.leg.watch
        if status < 200 or watch is None:
            return []
        if status in CHALLENGES and (draft := leg.again(ask, response)) is not None:
            ask.cseq = draft.cseq
            return [Request(ask, draft, leg.target(self._context), leg.name)]
        steps: list[Step] = []
        if ask.method == "INVITE":
            self._exchanges.release()
            if status < 300:
                leg.dialog.on_response(response)
                steps.append(self._acknowledge(ask))
        if status in GONE:
            return [*steps, _lifeless(leg)]
        if ask.method == "OPTIONS":
            watch.probe_at = now + watch.options.probe_s
        elif status < 300:
            watch.on_accepted(response, now)
        else:
            self._on_refused(ask, watch, response, now)
        return steps

    def on_failure(self, ask: Ask, status: int, now: float) -> list[Step]:
        """No response will come: 408 for silence; what could not be sent proves nothing."""
        watch = ask.leg.watch
        if ask.method == "INVITE":
            self._exchanges.release()
        if status == 408 or watch is None:
            return [_lifeless(ask.leg)]
        if ask.method == "OPTIONS":
            watch.probe_at = now + watch.options.probe_s
        elif watch.clock is not None:
            watch.clock.retry(now)
        return []

    # --- one step at a time -------------------------------------------------------------

    def _on_due(self, leg: Leg, watch: Watch, now: float) -> list[Step]:
        clock = watch.clock
        if clock is not None:
            return [_lifeless(leg)] if clock.ends_at <= now else self._refresh(leg, watch, now)
        if watch.capped_at <= now:
            return [Lifeless(EndReason.MAX_DURATION, leg, watch.capped_at)]
        quiet_until = leg.heard_at + watch.options.probe_s
        if quiet_until > now:
            watch.probe_at = quiet_until
            return []
        watch.probe_at = float("inf")
        return [self._send(Ask(leg, "OPTIONS"), b"")]

    def _refresh(self, leg: Leg, watch: Watch, now: float) -> list[Step]:
        clock = watch.clock
        assert clock is not None
        if self._exchanges.offer is not None or not leg.is_acknowledged:
            # The parties are at it themselves; theirs may refresh this leg too.
            clock.retry(now, 1.0 + self._context.chance())
            return []
        clock.refresh_at = float("inf")
        if watch.uses_update() or not leg.session:
            return [self._send(Ask(leg, "UPDATE"), b"")]
        ask = Ask(leg, "INVITE")
        self._exchanges.reserve(leg, ask, now)
        return [self._send(ask, leg.session)]

    def _send(self, ask: Ask, body: bytes) -> Step:
        leg, method = ask.leg, ask.method
        draft = leg.request(self._context, method, body=body)
        ask.cseq = draft.cseq
        if leg.login is not None:
            ask.draft = draft
        return Request(ask, draft, leg.target(self._context), leg.name)

    def _on_refused(self, ask: Ask, watch: Watch, response: Response, now: float) -> None:
        clock, status = watch.clock, response.status
        if clock is None:
            return
        if status == 491:
            clock.retry(now, self._glare_wait_s(ask.leg))
        elif status in _CANNOT_UPDATE and ask.method == "UPDATE" and watch.allows_update:
            watch.allows_update = False
            clock.refresh_at = now
        elif status != 422 or not watch.on_too_small(response, now):
            clock.retry(now)

    def _glare_wait_s(self, leg: Leg) -> float:
        """How long to leave the other side its turn (RFC 3261 section 14.1)."""
        chance = self._context.chance()
        # Ours is the Call-ID of every egress leg, theirs that of the ingress leg.
        return round(2 * chance if leg.is_caller else 2.1 + 1.9 * chance, 2)

    def _acknowledge(self, ask: Ask) -> Acknowledge:
        leg = ask.leg
        target = leg.target(self._context)
        draft = leg.ack(ask.cseq)
        return Acknowledge(ask.key, leg.dialog.remote_tag, draft, target, leg.name)


def keep_vigil(
    context: Context,
    exchanges: Exchanges,
    ingress: Ingress,
    caller: Leg,
    answered: Answered,
    now: float,
) -> Vigil | None:
    """The vigil over a call that was just answered; ``None`` when no trunk asks for one."""
    if ingress.sip.transfer.mode == "honour" and answered.attempt.draft is not None:
        # Where an attended transfer fails, the callee's new offer has to be answered with it.
        answered.leg.keeps_session = True
        answered.leg.keep_session(answered.leg.session or answered.attempt.draft.body)
    near, far = ingress.sip.session_timer, answered.attempt.sip.session_timer
    if near is far is DEFAULT or not (is_watched(near) or is_watched(far)):
        return None
    callee, response = answered.leg, answered.response
    if is_watched(near):
        terms = None if near.mode == "off" else grant(ingress.invite, wishes_of(near))
        _watch(caller, near, terms, ingress.invite, answered.sdp, now)
    if is_watched(far):
        terms = None if far.mode == "off" else agreed(response, wishes_of(far))
        draft = answered.attempt.draft
        _watch(callee, far, terms, response, b"" if draft is None else draft.body, now)
    return Vigil(context, exchanges, [caller, callee])


def resume_vigil(
    context: Context,
    exchanges: Exchanges,
    legs: list[tuple[Leg, SessionTimer, WatchState | None]],
    now: float,
    lost_at: float,
) -> Vigil | None:
    """The vigil of a process that died, over legs with the options their trunks have now.

    Refreshes since the snapshot are unknown: a session timer begins anew, and where refreshing
    is our part it is done soon, a little later on one leg than on another. If nobody listened for
    longer than a BYE is repeated, legs without a watch are asked whether they are still there.
    """
    for leg, options, state in legs:
        if state is None or not is_watched(options):
            if now - lost_at > _BYE_REPEATED_S:
                leg.watch = Watch(_DOUBT, None, now, allows_update=False)
                leg.watch.probe_at = now + _SPREAD_S * context.chance()
                leg.heard_at = lost_at
            continue
        leg.watch = watch = Watch.restored(options, state)
        leg.keeps_session = options.mode != "off" and options.refresh != "update"
        clock = watch.clock
        if clock is not None:
            clock.restart(clock.terms, now)
            if clock.terms.we_refresh:
                clock.refresh_at = now + 1.0 + _SPREAD_S * context.chance()
    watched = [leg for leg, _, _ in legs]
    return Vigil(context, exchanges, watched) if any(leg.watch for leg in watched) else None


def _watch(
    leg: Leg, options: SessionTimer, terms: Terms | None, said: Message, sdp: bytes, now: float
) -> None:
    leg.watch = Watch(options, terms, now, allows_update=allows_update(said))
    leg.keeps_session |= options.mode != "off" and options.refresh != "update"
    leg.keep_session(leg.session or sdp)  # what was agreed before the answer is newer


def is_refresh(response: Response) -> bool:
    """Whether a response accepts what may agree on a session timer."""
    return 200 <= response.status < 300 and response.cseq.method in {"INVITE", "UPDATE"}


def _lifeless(leg: Leg) -> Lifeless:
    return Lifeless(EndReason.SESSION_TIMEOUT, leg, leg.heard_at)
