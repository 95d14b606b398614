"""Brings a transferee back to the session he had, when a transfer fails after he has moved.

By then he has accepted the target's offer, and nobody else can follow him there. He is sent the
session of his peer of before in one more re-INVITE (RFC 3725 section 10.1), written anew by media
where media is in between: its number of the session must grow (RFC 3264 section 8). Media itself
has not moved: what was agreed stays in force until there is an answer to something else.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from services.common.causes import EndReason
from services.signaling.core.commands import (
    Acknowledge,
    AnswerMedia,
    Command,
    OfferMedia,
    Owner,
    Request,
)
from services.signaling.core.context import Context
from services.signaling.core.exchanges import Broken
from services.signaling.core.legs import Leg, session
from services.signaling.core.logins import CHALLENGES
from services.signaling.core.values import MediaAnswer
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.message import Response

NEVER: Final = float("inf")
MOST_GLARES: Final = 3
"""How often the transferee may ask for something himself first."""
_GONE: Final = frozenset({408, 481})


class Restored(NamedTuple):
    """He talks to his peer of before again."""


Step = Command | Broken | Restored


class State(Enum):
    """How far it has got."""

    OFFERING = auto()
    """The session of before is being written anew."""
    ASKING = auto()
    """He has been sent it."""
    WAITING = auto()
    """He was about to ask for something himself."""
    ANSWERING = auto()
    """His answer is being rewritten."""
    OVER = auto()


class Restoring(Owner):
    """One return; the owner of its re-INVITE. Offers of the parties meet 491 meanwhile."""

    __slots__ = (
        "_context", "_glares", "_number", "_offer", "_peer", "_proxied", "_state", "deadline",
        "leg", "token",
    )  # fmt: skip

    def __init__(self, context: Context, leg: Leg, peer: Leg, *, media_proxy: bool) -> None:
        super().__init__()
        self.leg = leg
        """The transferee's."""
        self.deadline = NEVER
        self.token = 0
        """Of the rewriting under way; 0 for none."""
        self._context = context
        self._peer = peer
        self._proxied = media_proxy and bool(peer.said)
        self._state = State.OVER
        self._offer = leg.session
        self._number = self._glares = 0

    @property
    def is_possible(self) -> bool:
        """Whether it is known what he had before."""
        return self._proxied or bool(self._offer)

    # --- inputs -------------------------------------------------------------------------

    def start(self) -> list[Step]:
        """Offer him what he had."""
        if not self._proxied:
            return [self._ask()]
        leg, peer = self.leg, self._peer
        assert peer.said is not None
        self._state = State.OFFERING
        self.token = next(self._context.tokens)
        return [
            OfferMedia(self.token, True, peer.said, peer.peer.host, leg.attempt, leg.peer.host)
        ]

    def stop(self) -> None:
        """The call ends."""
        self._state, self.deadline, self.token = State.OVER, NEVER, 0

    def on_media(self, answer: MediaAnswer | None) -> list[Step]:
        """Take rewritten SDP; ``None`` when media did not answer."""
        self.token = 0
        sdp = b"" if answer is None or answer.error else answer.sdp
        if self._state is State.OFFERING:
            # Without media's words, those he was sent last are better than none.
            self._proxied, self._offer = bool(sdp), sdp or self._offer
            return [self._ask()] if self._offer else self._break(_why(answer))
        if self._state is not State.ANSWERING:
            return []
        # What it says is for his peer, who knows it: nothing has changed on that side.
        return self._done() if sdp else self._break(_why(answer))

    def on_response(self, response: Response, now: float) -> list[Step]:
        """Take a response of the transferee."""
        status = response.status
        if status < 200:
            return []
        if self._state is not State.ASKING:
            # Too late: the call is over, but a 2xx is acknowledged all the same.
            return [self._acknowledge()] if status < 300 else []
        if status in CHALLENGES and (again := self.leg.again(self, response)) is not None:
            return [self._send(again)]
        if status == 491 and self._glares < MOST_GLARES:
            # "a randomly chosen value between 2.1 and 4 seconds" (RFC 3261 section 14.1)
            self._glares += 1
            self._state = State.WAITING
            self.deadline = now + 2.1 + 1.9 * self._context.chance()
            return []
        if status >= 300:
            return self._break(_refused(status))
        self.leg.dialog.on_response(response)
        self.leg.keep_session(self._offer)
        steps: list[Step] = [self._acknowledge()]
        answer = session(response)
        if not answer:
            return [*steps, *self._break(EndReason.CODEC_MISMATCH)]
        if not self._proxied:
            return [*steps, *self._done()]
        self._state = State.ANSWERING
        self.token = next(self._context.tokens)
        leg = self.leg
        ask = AnswerMedia(self.token, False, answer, leg.peer.host, leg.attempt, provisional=False)
        return [*steps, ask]

    def on_failure(self, status: int) -> list[Step]:
        """No response will come."""
        return self._break(_refused(status)) if self._state is State.ASKING else []

    def on_timer(self, now: float) -> list[Step]:
        """Ask again after his own request."""
        if now < self.deadline or self._state is not State.WAITING:
            return []
        return [self._ask()]

    # --- steps --------------------------------------------------------------------------

    def _ask(self) -> Command:
        self._state, self.deadline = State.ASKING, NEVER
        draft = self.leg.request(self._context, "INVITE", body=self._offer)
        if self.leg.login is not None:
            self.draft = draft
        return self._send(draft)

    def _send(self, draft: RequestDraft) -> Command:
        self._number = draft.cseq
        return Request(self, draft, self.leg.target(self._context), self.leg.name)

    def _acknowledge(self) -> Command:
        leg = self.leg
        target = leg.target(self._context)
        return Acknowledge(
            self.key, leg.dialog.remote_tag, leg.ack(self._number), target, leg.name
        )

    def _done(self) -> list[Step]:
        self.stop()
        return [Restored()]

    def _break(self, reason: EndReason) -> list[Step]:
        """He is where nobody is: better no call than one without sound."""
        self.stop()
        return [Broken(reason, self.leg)]


def _why(answer: MediaAnswer | None) -> EndReason:
    return EndReason.MEDIA_UNAVAILABLE if answer is None else EndReason.CODEC_MISMATCH


def _refused(status: int) -> EndReason:
    return EndReason.REJECTED if status in _GONE else EndReason.CODEC_MISMATCH
