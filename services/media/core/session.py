"""The media of one call: offers and answers in, descriptions and relay orders out.

An offer promises ports and changes nothing else: what was agreed stays in force until the
answer, so an offer that is refused or never answered leaves the call as it was. Each egress
attempt has ports of its own on the callee's side; the caller's are the same for all.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Self

from services.media.core.exchange import (
    Action,
    Close,
    Describe,
    Endpoint,
    NoOffer,
    Outcome,
    Side,
    Slot,
    Unusable,
)
from services.media.core.facing import Facing
from services.media.core.sdp import Description, Family, Media, family_of_host, parse
from services.media.core.snapshot import SessionState

MAX_ATTEMPTS: Final = 64
"""Attempts alive at once; more is a signaling gone wrong."""


@dataclass(frozen=True, slots=True)
class _Offer:
    describe: Describe
    description: Description


@dataclass(frozen=True, slots=True)
class Released:
    """What a call gives back at its end."""

    caller_ids: tuple[int, ...]
    callee_ids: tuple[int, ...]
    """Endpoints of the attempt that the caller heard last."""
    other_ids: tuple[int, ...]


class Session:
    """One call. Every input may come twice, late, or not at all.

    To offer: ask :meth:`wanted`, open what it names, pass it to :meth:`offer`.
    """

    __slots__ = (
        "_active",
        "_answered",
        "_attempts",
        "_caller",
        "_heard_at",
        "_learn_any",
        "_new_session_id",
        "_offers",
        "_silence_s",
    )

    def __init__(
        self, new_session_id: Callable[[], int], now: float, *, learn_any: bool = False
    ) -> None:
        self._new_session_id = new_session_id
        self._learn_any = learn_any
        self._caller = Facing(new_session_id())
        self._attempts: dict[int, Facing] = {}
        self._offers: dict[int, _Offer] = {}
        self._active: int | None = None
        self._answered = False
        self._silence_s = 0.0
        self._heard_at = now

    @classmethod
    def restored(
        cls,
        state: SessionState,
        new_session_id: Callable[[], int],
        now: float,
        *,
        learn_any: bool = False,
    ) -> Self:
        """A call of an earlier process; both parties count as heard just now.

        Raises:
            MalformedSdp: an offer in it was not one that this version reads.
        """
        session = cls(new_session_id, now, learn_any=learn_any)
        session._caller = Facing.restored(state.caller)
        session._attempts = {
            number: Facing.restored(facing) for number, facing in state.attempts.items()
        }
        session._offers = {
            number: _Offer(describe, parse(describe.sdp))
            for number, describe in state.offers.items()
        }
        session._active = state.active
        session._answered = state.is_answered
        session._silence_s = state.silence_s
        return session

    def snapshot(self) -> SessionState:
        """What :meth:`restored` takes."""
        return SessionState(
            self._caller.snapshot(),
            {number: facing.snapshot() for number, facing in self._attempts.items()},
            {number: offer.describe for number, offer in self._offers.items()},
            self._active,
            self._answered,
            self._silence_s,
        )

    @property
    def is_answered(self) -> bool:
        """Whether an offer has had its final answer."""
        return self._answered

    @property
    def is_held(self) -> bool:
        """Whether either party has put the other on hold: silence is then no fault."""
        callee = self._attempts.get(self._active) if self._active is not None else None
        return self._caller.is_held or (callee is not None and callee.is_held)

    @property
    def heard_at(self) -> float:
        """When either party was last known to be alive: a packet, or a description."""
        return self._heard_at

    @property
    def silent_at(self) -> float | None:
        """When :meth:`on_silence` is due; ``None`` while nothing is wrong with silence."""
        if not self._answered or not self._silence_s or self.is_held:
            return None
        return self._heard_at + self._silence_s

    @property
    def endpoints(self) -> list[Endpoint]:
        """Everything this call holds."""
        facings = (self._caller, *self._attempts.values())
        return [endpoint for facing in facings for endpoint in facing.endpoints.values()]

    @property
    def endpoint_ids(self) -> list[int]:
        """The same by name."""
        return [endpoint.id for endpoint in self.endpoints]

    def attempt_of(self, endpoint_id: int) -> int | None:
        """The attempt whose callee an endpoint faces; ``None`` when it faces the caller."""
        for number, facing in self._attempts.items():
            if any(endpoint.id == endpoint_id for endpoint in facing.endpoints.values()):
                return number
        return None

    def aims(self) -> list[Action]:
        """What every endpoint must know, as of now."""
        callee = self._attempts.get(self._active) if self._active is not None else None
        actions = self._caller.aims(callee)
        for number, facing in self._attempts.items():
            actions += facing.aims(self._caller if number == self._active else None)
        return actions

    def wanted(self, describe: Describe, description: Description) -> list[Slot]:
        """The port pairs that must be open before this offer can be answered.

        Raises:
            Unusable: there is nothing in it that we relay, or the attempts are too many.
        """
        family = _family_of(description)
        if family is None and describe.attempt not in self._attempts:
            raise Unusable("no stream that can be relayed")
        if len(self._attempts) >= MAX_ATTEMPTS and describe.attempt not in self._attempts:
            raise Unusable("too many attempts")
        callee = self._attempts.get(describe.attempt)
        # The offerer says itself where it is; of the other there is nothing but its SIP yet.
        families = {
            describe.side: family,
            describe.side.other: family_of_host(describe.target_host) or family,
        }
        return [
            Slot(
                side,
                describe.attempt,
                index,
                (facing and facing.family) or families[side] or Family.IP4,
            )
            for side, facing in ((Side.CALLER, self._caller), (Side.CALLEE, callee))
            for index, media in enumerate(description.media)
            if media.is_relayable and (facing is None or index not in facing.endpoints)
        ]

    def offer(
        self,
        describe: Describe,
        description: Description,
        opened: list[tuple[Slot, Endpoint]],
        now: float,
    ) -> Outcome:
        """One party offers; the result is for the other.

        Raises:
            Unusable: the offerer is where we cannot reach it.
        """
        attempt = self._attempts.get(describe.attempt)
        if attempt is None:
            attempt = self._attempts[describe.attempt] = Facing(self._new_session_id())
        for slot, endpoint in opened:
            (self._caller if slot.side is Side.CALLER else attempt).grant(slot.index, endpoint)
        live = frozenset(
            index for index, media in enumerate(description.media) if media.is_relayable
        )
        if not live and any(media.port for media in description.media):
            raise Unusable("no stream that can be relayed")
        self._facing(describe.side, attempt).check(description, live, self._own_ports())
        self._offers[describe.attempt] = _Offer(describe, description)
        attempt.is_awaited |= describe.awaits_rtp
        self._note(describe, now)
        return Outcome(self._facing(describe.side.other, attempt).describe(description, live))

    def answer(self, describe: Describe, description: Description, now: float) -> Outcome:
        """One party answers the other's last offer; the result is for the offerer.

        Raises:
            NoOffer: the other party has offered nothing on this attempt.
            Unusable: the answer does not fit the offer, or points where we cannot send.
        """
        offer = self._offers.get(describe.attempt)
        if offer is None or offer.describe.side is describe.side:
            raise NoOffer
        offered = offer.description
        if len(description.media) > len(offered.media):
            raise Unusable("answers more m-lines than were offered")
        attempt = self._attempts[describe.attempt]
        offerer, answerer = (
            self._facing(side, attempt) for side in (offer.describe.side, describe.side)
        )
        live = _live(offered, description, offerer, answerer)
        answerer.check(description, live, self._own_ports())
        result = offerer.describe(_padded(description, offered.media), live)
        if self._is_superseded(describe):
            return Outcome(result)
        offerer.agree(offer.describe, offered, live, learn_any=self._learn_any)
        answerer.agree(describe, description, live, learn_any=self._learn_any)
        self._note(describe, now)
        dead = frozenset(range(len(offered.media))) - live
        return Outcome(result, tuple(self._activate(describe, dead)))

    def forget(self, attempt: int) -> tuple[Action, ...]:
        """An attempt failed; its ports are given back. Unknown ones are ignored."""
        self._offers.pop(attempt, None)
        facing = self._attempts.pop(attempt, None)
        if facing is None:
            return ()
        actions: list[Action] = []
        if self._active == attempt:
            self._active = None
            self._answered = False
            actions += self._caller.aims(None)
        if facing.endpoints:
            actions.append(Close(tuple(each.id for each in facing.endpoints.values())))
        return tuple(actions)

    def release(self) -> Released:
        """The call is over."""
        callee = self._attempts.get(self._active) if self._active is not None else None
        caller_ids = tuple(each.id for each in self._caller.endpoints.values())
        callee_ids = tuple(each.id for each in callee.endpoints.values()) if callee else ()
        known = {*caller_ids, *callee_ids}
        others = tuple(each for each in self.endpoint_ids if each not in known)
        self._caller.endpoints.clear()
        self._attempts.clear()
        self._offers.clear()
        return Released(caller_ids, callee_ids, others)

    def on_packets(self, now: float) -> None:
        """Audio has arrived lately, from either side."""
        self._heard_at = now

    def on_silence(self) -> None:
        """Silence has been reported; it is reported once."""
        self._silence_s = 0.0

    def _facing(self, side: Side, attempt: Facing) -> Facing:
        return self._caller if side is Side.CALLER else attempt

    def _own_ports(self) -> frozenset[int]:
        facings = (self._caller, *self._attempts.values())
        return frozenset(each.port for facing in facings for each in facing.endpoints.values())

    def _note(self, describe: Describe, now: float) -> None:
        # Also at a resume: the silence of the hold before it must not count.
        self._heard_at = now
        if describe.silence_timeout_ms and not self._answered:
            self._silence_s = describe.silence_timeout_ms / 1_000

    def _is_superseded(self, describe: Describe) -> bool:
        """Whether early media of one attempt comes after the answer of another."""
        return self._answered and describe.provisional and describe.attempt != self._active

    def _activate(self, describe: Describe, dead: frozenset[int]) -> list[Action]:
        actions: list[Action] = []
        attempt = self._attempts[describe.attempt]
        if self._active not in (None, describe.attempt):
            for number, other in self._attempts.items():
                if number == self._active:
                    actions += other.aims(None)
        self._active = describe.attempt
        if not describe.provisional:
            self._answered = True
            closed = self._caller.drop(dead) + attempt.drop(dead)
            if closed:
                actions.append(Close(tuple(closed)))
        return actions + self._caller.aims(attempt) + attempt.aims(self._caller)


def _family_of(description: Description) -> Family | None:
    for media in description.media:
        if media.is_relayable and media.connection is not None:
            return media.connection.family
    return None


def _live(
    offered: Description, answered: Description, offerer: Facing, answerer: Facing
) -> frozenset[int]:
    return frozenset(
        index
        for index, (one, other) in enumerate(zip(offered.media, answered.media, strict=False))
        if one.is_relayable
        and other.is_relayable
        and index in offerer.endpoints
        and index in answerer.endpoints
    )


def _padded(answer: Description, offered: tuple[Media, ...]) -> Description:
    """RFC 3264 section 6: one m-line in the answer for each in the offer, in the same order."""
    missing = tuple(replace(media, port=0) for media in offered[len(answer.media) :])
    return replace(answer, media=answer.media + missing)
