"""Use cases of the media service: offer, answer, forget, release, and what nobody asked for.

A call is kept for the process that would go on with it: an answered one before its parties hear
of what was agreed, one that is not answered yet once it has lasted until the next sweep.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from services.common.causes import EndReason
from services.media.core.exchange import (
    Aim,
    Describe,
    Endpoint,
    NoOffer,
    Outcome,
    Slot,
    Unusable,
)
from services.media.core.port_pool import NoRtpPorts
from services.media.core.reception import Report
from services.media.core.sdp import Description, MalformedSdp, parse
from services.media.core.session import Session
from services.media.core.snapshot import SessionState
from services.media.ports import Journal, Relay, Reports

_NOTHING: Final = Report()


class Owner(Protocol):
    """The signaling process that a call belongs to."""

    @property
    def is_closed(self) -> bool:
        """Whether it has gone."""

    def tell_silence(self, call_id: str) -> None:
        """Neither party of a call sends audio any more."""

    def tell_rtp(self, call_id: str, attempt: int) -> None:
        """The callee of an attempt has begun to send audio, as was to be told."""


class _Nobody:
    """Whoever owned a call when this process began: an :class:`Owner` that says so will come."""

    is_closed = True

    def tell_silence(self, _call_id: str) -> None:
        """Nobody hears."""

    def tell_rtp(self, _call_id: str, _attempt: int) -> None:
        """Nobody hears."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When calls that nobody ends are ended."""

    orphan_s: float = 300.0
    orphan_held_s: float = 7_200.0
    learn_any: bool = False


@dataclass(slots=True)
class _Call:
    session: Session
    owner: Owner
    is_kept: bool = False
    """Whether the journal knows it."""


class MediaCalls:
    """All calls of this process. Everything happens on one loop, at once."""

    def __init__(
        self,
        relay: Relay,
        journal: Journal,
        new_session_id: Callable[[], int],
        limits: Limits | None = None,
    ) -> None:
        self._relay = relay
        self._journal = journal
        self._new_session_id = new_session_id
        self._limits = limits or Limits()
        self._calls: dict[str, _Call] = {}
        self._call_of_endpoint: dict[int, str] = {}
        self._unkept: set[str] = set()
        self._unkept_answered: set[str] = set()
        self.is_draining = False
        """Set to refuse new calls; those in progress go on."""
        self.offers = 0
        self.answers = 0
        self.released = 0
        self.reaped = 0
        self.restored = 0
        self.silences = 0
        self.one_sided = 0
        """Calls at whose end one party had sent audio and the other had not."""
        self.packets = 0
        """Of calls that are over; ``lost`` and ``refused`` likewise."""
        self.lost = 0
        self.refused = 0
        self.refusals: dict[str, int] = dict.fromkeys(
            (EndReason.CODEC_MISMATCH, EndReason.NO_RTP_PORTS, EndReason.MEDIA_UNAVAILABLE), 0
        )

    @property
    def live(self) -> int:
        """Calls in progress."""
        return len(self._calls)

    def restore(self, kept: Mapping[str, SessionState], now: float) -> None:
        """Go on with the calls of an earlier process; to be called once, before anything else.

        Until their owners say that they are there, they count as orphans. A call whose ports
        cannot be had is given up: its owner will ask for it, and hear that it is unknown.
        """
        for call_id, state in kept.items():
            try:
                session = Session.restored(
                    state, self._new_session_id, now, learn_any=self._limits.learn_any
                )
            except MalformedSdp:
                self._journal.forget(call_id)
                continue
            had = [each for each in session.endpoints if self._relay.restore(each, call_id)]
            if len(had) < len(session.endpoints):
                self._close([each.id for each in had], lambda _reports: None)
                self._journal.forget(call_id)
                continue
            self._calls[call_id] = _Call(session, _Nobody(), is_kept=True)
            self._call_of_endpoint.update(dict.fromkeys(session.endpoint_ids, call_id))
            self._carry_out(Outcome(b"", tuple(session.aims())))
            self.restored += 1
        self._relay.begin()
        self.flush()

    def offer(
        self, call_id: str, describe: Describe, owner: Owner, now: float
    ) -> bytes | EndReason:
        """The description to send on, or why there is none."""
        self.offers += 1
        call = self._calls.get(call_id)
        is_new = call is None
        if call is None:
            if self.is_draining:
                return self._refuse(EndReason.MEDIA_UNAVAILABLE)
            session = Session(self._new_session_id, now, learn_any=self._limits.learn_any)
            call = _Call(session, owner)
        call.owner = owner
        opened: list[tuple[Slot, Endpoint]] = []
        try:
            description = parse(describe.sdp)
            self._open(call, call_id, describe, description, opened)
            outcome = call.session.offer(describe, description, opened, now)
        except (MalformedSdp, Unusable):
            self._take_back(call, opened, is_new=is_new)
            return self._refuse(EndReason.CODEC_MISMATCH)
        except NoRtpPorts:
            self._take_back(call, opened, is_new=is_new)
            return self._refuse(EndReason.NO_RTP_PORTS)
        self._calls[call_id] = call
        self._note(call_id, call)
        return self._carry_out(outcome)

    def answer(
        self, call_id: str, describe: Describe, owner: Owner, now: float
    ) -> bytes | EndReason:
        """The description to send on, or why there is none."""
        self.answers += 1
        call = self._calls.get(call_id)
        if call is None:
            return self._refuse(EndReason.MEDIA_UNAVAILABLE)
        call.owner = owner
        try:
            outcome = call.session.answer(describe, parse(describe.sdp), now)
            self._note(call_id, call)
            return self._carry_out(outcome)
        except (MalformedSdp, Unusable):
            return self._refuse(EndReason.CODEC_MISMATCH)
        except NoOffer:
            return self._refuse(EndReason.MEDIA_UNAVAILABLE)

    def attach(self, call_id: str, owner: Owner) -> bool:
        """Let the call be ``owner``'s from now on; whether it is known."""
        call = self._calls.get(call_id)
        if call is None:
            return False
        call.owner = owner
        return True

    def forget(self, call_id: str, attempt: int, owner: Owner) -> None:
        """An attempt failed: give its ports back."""
        call = self._calls.get(call_id)
        if call is not None:
            call.owner = owner
            self._note(call_id, call)
            self._carry_out(Outcome(b"", call.session.forget(attempt)))

    def release(self, call_id: str, on_reports: Callable[[Report, Report], None]) -> None:
        """The call is over; ``on_reports`` gets the caller's and the callee's figures.

        A call that is not known, or over already, has none to tell.
        """
        call = self._calls.pop(call_id, None)
        if call is None:
            on_reports(_NOTHING, _NOTHING)
            return
        released = call.session.release()
        endpoint_ids = (*released.caller_ids, *released.callee_ids, *released.other_ids)

        def on_closed(reports: Reports) -> None:
            caller = _sum(reports, released.caller_ids)
            callee = _sum(reports, released.callee_ids)
            self._count(caller, callee)
            # Not before: until then the next process can still find out the figures.
            if call.is_kept:
                self._journal.forget(call_id)
            on_reports(caller, callee)

        self._close(endpoint_ids, on_closed)

    def flush(self) -> None:
        """Have orders obeyed before the replies that follow from them are sent."""
        self._keep(self._unkept_answered)
        self._journal.flush()
        self._relay.flush()

    def on_active(self, endpoint_ids: Iterable[int], now: float) -> None:
        """Endpoints that took packets lately."""
        for endpoint_id in endpoint_ids:
            call = self._calls.get(self._call_of_endpoint.get(endpoint_id, ""))
            if call is not None:
                call.session.on_packets(now)

    def on_started(self, endpoint_ids: Iterable[int]) -> None:
        """Endpoints whose first packet was awaited have had it."""
        for endpoint_id in endpoint_ids:
            call_id = self._call_of_endpoint.get(endpoint_id, "")
            call = self._calls.get(call_id)
            attempt = None if call is None else call.session.attempt_of(endpoint_id)
            if call is not None and attempt is not None:
                call.owner.tell_rtp(call_id, attempt)

    def sweep(self, now: float) -> None:
        """Report silent calls, end orphaned ones, keep young ones; about once a second."""
        self._keep(self._unkept)
        self._journal.flush()
        for call_id, call in self._calls.items():
            silent_at = call.session.silent_at
            if silent_at is not None and silent_at <= now and not call.owner.is_closed:
                call.session.on_silence()
                self.silences += 1
                call.owner.tell_silence(call_id)
        for call_id in list(self._orphans(now)):
            self.reaped += 1
            self.release(call_id, lambda _caller, _callee: None)

    def _note(self, call_id: str, call: _Call) -> None:
        """The call has changed."""
        (self._unkept_answered if call.session.is_answered else self._unkept).add(call_id)

    def _keep(self, changed: set[str]) -> None:
        for call_id in changed:
            call = self._calls.get(call_id)
            if call is not None:
                call.is_kept = True
                self._journal.keep(call_id, call.session.snapshot())
        changed.clear()

    def _orphans(self, now: float) -> Iterator[str]:
        limits = self._limits
        for call_id, call in self._calls.items():
            if call.owner.is_closed:
                session = call.session
                patience_s = limits.orphan_held_s if session.is_held else limits.orphan_s
                if session.heard_at + patience_s <= now:
                    yield call_id

    def _open(
        self,
        call: _Call,
        call_id: str,
        describe: Describe,
        description: Description,
        opened: list[tuple[Slot, Endpoint]],
    ) -> None:
        for slot in call.session.wanted(describe, description):
            endpoint = self._relay.open(slot.family, call_id)
            self._call_of_endpoint[endpoint.id] = call_id
            opened.append((slot, endpoint))

    def _take_back(
        self, call: _Call, opened: list[tuple[Slot, Endpoint]], *, is_new: bool
    ) -> None:
        """Undo what a refused offer opened, unless the session has made it its own."""
        kept = () if is_new else call.session.endpoint_ids
        self._close([each.id for _, each in opened if each.id not in kept], lambda _reports: None)

    def _carry_out(self, outcome: Outcome) -> bytes:
        for action in outcome.actions:
            if isinstance(action, Aim):
                self._relay.aim(action)
            else:
                self._close(action.endpoint_ids, lambda _reports: None)
        return outcome.sdp

    def _close(self, endpoint_ids: Iterable[int], on_closed: Callable[[Reports], None]) -> None:
        ids = tuple(endpoint_ids)
        for endpoint_id in ids:
            self._call_of_endpoint.pop(endpoint_id, None)
        self._relay.close(ids, on_closed)

    def _refuse(self, reason: EndReason) -> EndReason:
        self.refusals[reason] += 1
        return reason

    def _count(self, caller: Report, callee: Report) -> None:
        self.released += 1
        self.packets += caller.packets + callee.packets
        self.lost += caller.lost + callee.lost
        self.refused += caller.refused + callee.refused
        if bool(caller.packets) != bool(callee.packets):
            self.one_sided += 1


def _sum(reports: Reports, endpoint_ids: Iterable[int]) -> Report:
    found = (reports[each] for each in endpoint_ids if each in reports)
    return sum(found, start=_NOTHING)
