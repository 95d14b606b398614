"""The vocabulary of a media session: what comes in, what comes out, what it can refuse."""

from dataclasses import dataclass
from enum import IntEnum

from services.common.errors import SwitchError
from services.media.core.latch import Expectation
from services.media.core.sdp import Family


class Side(IntEnum):
    """A party of the call; the caller's side faces the caller."""

    CALLER = 1
    CALLEE = 2

    @property
    def other(self) -> "Side":
        """The opposite party."""
        return Side.CALLEE if self is Side.CALLER else Side.CALLER


@dataclass(frozen=True, slots=True)
class Describe:
    """One party's description, as signaling passes it on."""

    side: Side
    sdp: bytes
    source_host: str = ""
    """Where its SIP came from."""
    attempt: int = 0
    provisional: bool = False
    silence_timeout_ms: int = 0
    target_host: str = ""
    """Of an offer: where the other party's SIP goes, when it is an address."""
    awaits_rtp: bool = False
    """Of an offer: the first RTP packet of the callee is to be told."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An open pair of ports facing one party."""

    id: int
    family: Family
    host: str
    """As advertised."""
    port: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A pair of ports that a session wants: which side of which m-line."""

    side: Side
    attempt: int
    index: int
    family: Family
    """Preferred; what the session gets is what there is."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where one stream of one party is, as far as signaling knows."""

    rtp: Expectation
    rtcp: Expectation
    is_muted: bool
    """It asked with a null address that nothing be sent."""
    clock_rates: dict[int, int]


@dataclass(frozen=True, slots=True)
class Aim:
    """All an endpoint must know: restated whole, so that repeating it is harmless."""

    endpoint_id: int
    peer_id: int
    """Where what arrives goes on to; 0 = nowhere for now."""
    remote: Remote | None
    revision: int
    """Grows when the party described itself anew: only then may another source latch."""
    is_awaited: bool = False
    """Its first packet is to be told."""


@dataclass(frozen=True, slots=True)
class Close:
    """Give endpoints back."""

    endpoint_ids: tuple[int, ...]


Action = Aim | Close


@dataclass(frozen=True, slots=True)
class Outcome:
    """A description to send on, and what to do first."""

    sdp: bytes
    actions: tuple[Action, ...] = ()


class Unusable(SwitchError):
    """A description can be read but not served; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"unusable SDP: {reason}")
        self.reason = reason


class NoOffer(SwitchError):
    """An answer came to an offer we do not know, for instance after a restart."""

    def __init__(self) -> None:
        super().__init__("answer without an offer")
