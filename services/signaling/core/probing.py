"""Asks vendors by OPTIONS whether they live; what they say goes to :class:`VendorHealth`.

One question at a time to each address. An answer that comes too late is none, except that it
ends the wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.signaling.core.addressing import vendor_peer
from services.signaling.core.context import ACCEPT, ALLOW, Context
from services.signaling.core.outgoing import bracketed
from services.signaling.core.retry_after import retry_after_s
from services.signaling.core.trunks import VendorPlace
from services.signaling.core.vendor_health import Place
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft, request
from services.signaling.sip.listeners import default_port
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import TimerValues

PROBE_TIMERS: Final = TimerValues(patience=8)
"""The next OPTIONS follows soon: one that is not answered is not repeated for long."""
TIMEOUT_S: Final = PROBE_TIMERS.timeout
"""4 seconds: an OPTIONS over UDP has been sent four times by then."""
_APART_S: Final = 0.02
"""Between the first questions after a start: hundreds of vendors are not asked at once."""

NEVER: Final = float("inf")


class Question(NamedTuple):
    """An OPTIONS to send; its outcome is told with ``place`` and ``number``."""

    place: Place
    number: int
    draft: RequestDraft
    peer: Peer


class Change(NamedTuple):
    """An address went down, or with an empty ``failure`` up."""

    vendor_trunk_id: str
    peer: Peer
    failure: str


class _Asked:
    """One address that is asked again and again."""

    __slots__ = ("due_at", "number", "vendor", "waits_until")

    def __init__(self, vendor: VendorPlace, due_at: float) -> None:
        self.vendor = vendor
        self.due_at = due_at
        self.number = 0
        """Of the question under way or asked last."""
        self.waits_until = NEVER
        """When the question under way counts as unanswered."""

    @property
    def deadline(self) -> float:
        return min(self.due_at, self.waits_until)


class Prober:
    """See the module docstring."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked: dict[Place, _Asked] = {}
        self._changes: list[Change] = []

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        return min((asked.deadline for asked in self._asked.values()), default=NEVER)

    def use(self, places: Sequence[VendorPlace], now: float) -> None:
        """Ask these vendors from now on; those known keep their turn."""
        before, self._asked = self._asked, {}
        for vendor in places:
            if not vendor.enabled or not vendor.sip.probe.every_s:
                continue
            for peer in self._context.reach.every_peer(vendor):
                place = (vendor.id, peer)
                asked = before.get(place)
                if asked is None:
                    asked = _Asked(vendor, now + len(self._asked) * _APART_S)
                asked.vendor = vendor
                asked.due_at = min(asked.due_at, now + vendor.sip.probe.every_s)
                self._asked[place] = asked
        self._context.reach.health.keep_only({*self._asked}, {vendor.id for vendor in places})

    def on_timer(self, now: float) -> list[Question]:
        """Give up on what was not answered; ask whose turn it is."""
        questions: list[Question] = []
        for place, asked in self._asked.items():
            if asked.waits_until <= now:
                self._tell(place, asked, "no answer to OPTIONS", now)
            if asked.due_at <= now:
                asked.due_at = now + asked.vendor.sip.probe.every_s
                question = self._question(place, asked, now)
                if question is not None:
                    questions.append(question)
        return questions

    def on_response(self, question: Question, response: Response, now: float) -> None:
        """Take the final response."""
        asked = self._waiting(question)
        if asked is None:
            return
        if response.status != 503:
            self._tell(question.place, asked, "", now)
            return
        seconds = min(retry_after_s(response), asked.vendor.sip.retry_after.longest_s)
        why = f"503 to OPTIONS with Retry-After: {seconds}" if seconds else "503 to OPTIONS"
        self._context.reach.health.rest(*question.place, seconds, why, now)
        self._tell(question.place, asked, why, now)

    def on_failure(self, question: Question, status: int, now: float) -> None:
        """No response will come: 408 after silence, 503 when it could not be sent."""
        asked = self._waiting(question)
        if asked is not None:
            why = "no answer to OPTIONS" if status == 408 else "OPTIONS cannot be delivered"
            self._tell(question.place, asked, why, now)

    def changes(self) -> list[Change]:
        """Addresses that went up or down since this was last asked."""
        changes, self._changes = self._changes, []
        return changes

    def _waiting(self, question: Question) -> _Asked | None:
        """Whose question this is, while its answer still counts."""
        asked = self._asked.get(question.place)
        if asked is None or asked.number != question.number or asked.waits_until == NEVER:
            return None
        return asked

    def _tell(self, place: Place, asked: _Asked, failure: str, now: float) -> None:
        asked.waits_until = NEVER
        if self._context.reach.health.on_probe(place, asked.vendor.sip.probe, failure, now):
            self._changes.append(Change(*place, failure))

    def _question(self, place: Place, asked: _Asked, now: float) -> Question | None:
        context = self._context
        is_resting = context.reach.health.is_resting(place, now)
        if is_resting or asked.waits_until != NEVER:
            return None
        vendor, (transport, host, port, *_) = asked.vendor, place[1]
        peer = vendor_peer(vendor.host, host, port, transport, vendor.sip)
        if not context.listeners.is_reachable(peer):
            return None
        asked.number += 1
        asked.waits_until = now + TIMEOUT_S
        uri = _uri(vendor, peer)
        draft = request(
            "OPTIONS",
            uri,
            from_=f"<sip:{context.host(peer)}>;tag={context.new_tag()}",
            to=f"<{uri}>",
            call_id=context.new_call_id(),
            cseq=1,
            headers=(context.contact(peer), ALLOW, ACCEPT, *context.agent),
        )
        return Question(place, asked.number, draft, peer)


def _uri(vendor: VendorPlace, peer: Peer) -> str:
    port = "" if peer.port == default_port(peer.transport) else f":{peer.port}"
    transport = "" if peer.transport == "udp" else f";transport={peer.transport}"
    return f"sip:{bracketed(vendor.host)}{port}{transport}"
