"""What proves that one end of an answered call still lives: session timer, probes, a limit."""

from __future__ import annotations

from functools import lru_cache
from typing import TypedDict

from services.common.sip_options.session_timer import SessionTimer
from services.signaling.sip.message import Message, Request, Response
from services.signaling.sip.session_timer import (
    LEAST_S,
    SessionClock,
    Terms,
    Wishes,
    agreed,
    asking_lines,
    grant,
    granted_lines,
    is_too_small,
    min_se,
    refreshing_lines,
)

NEVER = float("inf")


class WatchState(TypedDict):
    """A watch as plain values, for a snapshot; instants are monotonic seconds."""

    interval_s: int
    """0 for no session timer."""
    we_refresh: bool
    refresh_at: float | None
    """``None`` for never, as below."""
    ends_at: float | None
    probe_at: float | None
    capped_at: float | None
    allows_update: bool
    min_se_s: int


def _plain(at: float) -> float | None:
    return None if at == NEVER else at


def _never(at: float | None) -> float:
    return NEVER if at is None else at


@lru_cache(256)
def wishes_of(options: SessionTimer) -> Wishes:
    """What a trunk wants of session timers."""
    return Wishes(options.expires_s, options.min_se_s, asks=options.mode == "request")


def is_watched(options: SessionTimer) -> bool:
    """Whether these options ask for anything once a call is answered."""
    return options.mode != "off" or bool(options.probe_s or options.longest_without_timer_s)


def allows_update(message: Message) -> bool:
    """Whether the peer says that he takes UPDATE."""
    return "UPDATE" in message.headers("allow")


class Watch:
    """One leg's. Belongs to a leg that has been answered."""

    __slots__ = ("allows_update", "capped_at", "clock", "min_se_s", "options", "probe_at")

    def __init__(
        self, options: SessionTimer, terms: Terms | None, now: float, *, allows_update: bool
    ) -> None:
        self.options = options
        self.allows_update = allows_update
        self.clock = None if terms is None else SessionClock(terms, now)
        """``None`` while no session timer is agreed."""
        self.min_se_s = LEAST_S
        """What a 422 of the peer insisted on."""
        self.probe_at = now + options.probe_s if options.probe_s else NEVER
        longest_s = options.longest_without_timer_s
        self.capped_at = now + longest_s if longest_s else NEVER

    def snapshot(self) -> WatchState:
        """Everything needed to go on after a restart, but the options."""
        clock = self.clock
        return WatchState(
            interval_s=0 if clock is None else clock.terms.interval_s,
            we_refresh=clock is not None and clock.terms.we_refresh,
            refresh_at=None if clock is None else _plain(clock.refresh_at),
            ends_at=None if clock is None else clock.ends_at,
            probe_at=_plain(self.probe_at),
            capped_at=_plain(self.capped_at),
            allows_update=self.allows_update,
            min_se_s=self.min_se_s,
        )

    @classmethod
    def restored(cls, options: SessionTimer, state: WatchState) -> Watch:
        """The watch of a snapshot; what was under way then is tried again."""
        watch = cls(options, None, 0.0, allows_update=state["allows_update"])
        watch.probe_at, watch.capped_at = _never(state["probe_at"]), _never(state["capped_at"])
        watch.min_se_s = state["min_se_s"]
        if state["interval_s"] and state["ends_at"] is not None:
            terms = Terms(state["interval_s"], state["we_refresh"])
            watch.clock = clock = SessionClock(terms, 0.0)
            clock.refresh_at, clock.ends_at = _never(state["refresh_at"]), state["ends_at"]
            if terms.we_refresh and clock.refresh_at == NEVER:
                clock.refresh_at = clock.ends_at - terms.interval_s / 4
        elif options.probe_s and watch.probe_at == NEVER:
            watch.probe_at = 0.0
        return watch

    @property
    def deadline(self) -> float:
        """When something is due."""
        if self.clock is not None:
            return self.clock.deadline
        return min(self.probe_at, self.capped_at)

    # --- requests of the peer -----------------------------------------------------------

    def is_too_small(self, request: Request) -> bool:
        """Whether a request asks for refreshes more often than this trunk bears."""
        return self.options.mode != "off" and is_too_small(request, wishes_of(self.options))

    def granted_lines(self, request: Request, now: float) -> list[str]:
        """What our 2xx to an INVITE or UPDATE says; it is in force from ``now`` on."""
        if self.options.mode == "off":
            return []
        terms = grant(request, wishes_of(self.options))
        self._agree(terms, now)
        return [] if terms is None else granted_lines(request, terms)

    # --- requests of ours ---------------------------------------------------------------

    def asking_lines(self) -> list[str]:
        """What an INVITE or UPDATE of ours says."""
        if self.clock is not None:
            return refreshing_lines(self.clock.terms, min_se_s=self.min_se_s)
        if self.options.mode == "off":
            return []
        return ["Supported: timer", *asking_lines(wishes_of(self.options))]

    def on_accepted(self, response: Response, now: float) -> None:
        """Take the 2xx to an INVITE or UPDATE of ours."""
        if self.options.mode != "off":
            self._agree(agreed(response, wishes_of(self.options)), now)

    def on_too_small(self, response: Response, now: float) -> bool:
        """Take a 422; whether asking again makes sense."""
        clock, least_s = self.clock, min_se(response)
        if clock is None or least_s <= self.min_se_s:
            return False
        self.min_se_s = least_s
        clock.terms = Terms(max(clock.terms.interval_s, least_s), clock.terms.we_refresh)
        clock.refresh_at = now
        return True

    def uses_update(self) -> bool:
        """Whether to refresh with UPDATE, which needs no offer, or with INVITE."""
        refresh = self.options.refresh
        return refresh == "update" or (refresh == "auto" and self.allows_update)

    def _agree(self, terms: Terms | None, now: float) -> None:
        if terms is None:
            self.clock = None
        elif self.clock is None:
            self.clock = SessionClock(terms, now)
        else:
            self.clock.restart(terms, now)
