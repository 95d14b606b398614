"""Session timers (RFC 4028): what is agreed for one dialog, and when it acts on it."""

from __future__ import annotations

from typing import Final, NamedTuple

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import parse_number, split_params
from services.signaling.sip.message import Message, Request, Response

LEAST_S: Final = 90
"""The shortest interval there is (section 5), and what a missing Min-SE means."""
_LONGEST_S: Final = 2**31 - 1


class Wishes(NamedTuple):
    """What one side wants of a session timer."""

    expires_s: int
    min_se_s: int
    asks: bool
    """Whether it asks for one when the other side does not."""


class Terms(NamedTuple):
    """What two sides have agreed."""

    interval_s: int
    we_refresh: bool


class SessionExpires(NamedTuple):
    """A Session-Expires value."""

    delta_s: int
    refresher: str
    """``uac``, ``uas`` or ``""``."""


def session_expires(message: Message) -> SessionExpires | None:
    """The interval a message asks for; ``None`` when it does not, or writes nonsense."""
    value = message.first("session-expires")
    if value is None:
        return None
    try:
        number, params = split_params(value)
        delta_s = parse_number(number, _LONGEST_S)
    except MalformedMessage:
        return None
    refresher = (params.get("refresher") or "").lower()
    return SessionExpires(delta_s, refresher if refresher in {"uac", "uas"} else "")


def min_se(message: Message) -> int:
    """The shortest interval the other side bears."""
    value = message.first("min-se")
    if value is None:
        return LEAST_S
    try:
        return max(LEAST_S, parse_number(split_params(value)[0], _LONGEST_S))
    except MalformedMessage:
        return LEAST_S


def supports(message: Message, tag: str) -> bool:
    """Whether the other side knows an extension."""
    if not (message.has("supported") or message.has("require")):
        return False
    tags = message.headers("supported") + message.headers("require")
    return tag in [known.lower() for known in tags]


# --- as callee (section 9) ---------------------------------------------------------------


def is_too_small(request: Request, wishes: Wishes) -> bool:
    """Whether a request has to be refused with 422."""
    asked = session_expires(request)
    if asked is None or not supports(request, "timer"):
        # Who does not know the extension could do nothing with a 422.
        return False
    return asked.delta_s < max(wishes.min_se_s, LEAST_S)


def grant(request: Request, wishes: Wishes) -> Terms | None:
    """What our 2xx to ``request`` agrees to; ``None`` for no session timer.

    The interval is shortened to what we want, never below what the other side bears.
    """
    asked = session_expires(request)
    if asked is None and not wishes.asks:
        return None
    knows = supports(request, "timer")
    wanted_s = max(wishes.expires_s, min_se(request))
    interval_s = wanted_s if asked is None else min(max(asked.delta_s, LEAST_S), wanted_s)
    # Who does not know the extension cannot refresh (table 2). Where the choice is ours, who
    # asked for the timer has the work.
    theirs = asked is not None and asked.refresher != "uas"
    return Terms(interval_s, we_refresh=not (knows and theirs))


def granted_lines(request: Request, terms: Terms) -> list[str]:
    """What our 2xx says of it."""
    if terms.we_refresh:
        lines = [f"Session-Expires: {terms.interval_s};refresher=uas"]
    else:
        # "If the refresher parameter is set to uac, the UAS MUST place a Require header"
        lines = [f"Session-Expires: {terms.interval_s};refresher=uac", "Require: timer"]
    return [*lines, "Supported: timer"] if supports(request, "timer") else lines


# --- as caller (section 7) ---------------------------------------------------------------


def asking_lines(wishes: Wishes, *, min_se_s: int = 0) -> list[str]:
    """What our INVITE says of it, but Supported. ``min_se_s``: what a 422 insisted on."""
    if not wishes.asks:
        return []
    least_s = max(wishes.min_se_s, min_se_s)
    lines = [f"Session-Expires: {max(wishes.expires_s, least_s)}"]
    return [*lines, f"Min-SE: {least_s}"] if least_s > LEAST_S else lines


def refreshing_lines(terms: Terms, *, min_se_s: int = LEAST_S) -> list[str]:
    """What a later INVITE or UPDATE of ours says: who refreshes stays who he is (7.4)."""
    refresher = "uac" if terms.we_refresh else "uas"
    lines = [f"Session-Expires: {terms.interval_s};refresher={refresher}", "Supported: timer"]
    return [*lines, f"Min-SE: {min_se_s}"] if min_se_s > LEAST_S else lines


def agreed(response: Response, wishes: Wishes) -> Terms | None:
    """What a 2xx to a request of ours agrees to; ``None`` for no session timer."""
    granted = session_expires(response)
    if granted is not None:
        return Terms(max(granted.delta_s, LEAST_S), we_refresh=granted.refresher != "uas")
    # A peer without the extension: whoever wants the session watched does it alone (7.2).
    return Terms(wishes.expires_s, we_refresh=True) if wishes.asks else None


class SessionClock:
    """The timers of one dialog's session. Plain values: they survive a restart."""

    __slots__ = ("ends_at", "refresh_at", "terms")

    def __init__(self, terms: Terms, now: float) -> None:
        self.terms = terms
        self.refresh_at = self.ends_at = now
        self.restart(terms, now)

    def restart(self, terms: Terms, now: float) -> None:
        """A 2xx to INVITE or UPDATE was sent or received."""
        interval_s = terms.interval_s
        self.terms = terms
        self.refresh_at = now + interval_s / 2 if terms.we_refresh else float("inf")
        # "the minimum of 32 seconds and one third of the session interval" ahead (section 10)
        self.ends_at = now + interval_s - min(32.0, interval_s / 3)

    def retry(self, now: float, wait_s: float | None = None) -> None:
        """A refresh did not succeed: try again, half-way to the end unless told otherwise."""
        left_s = self.ends_at - now
        self.refresh_at = now + (left_s / 2 if wait_s is None else wait_s)
        if left_s < 1.0:
            self.refresh_at = float("inf")

    @property
    def deadline(self) -> float:
        """When to refresh, or to give up."""
        return self.refresh_at if self.refresh_at < self.ends_at else self.ends_at
