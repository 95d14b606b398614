"""What a customer hears of ringing and early media, by his options."""

from __future__ import annotations

from typing import NamedTuple

from services.common.sip_options.early_media import EarlyMedia

ANY_FORK = "*"
"""No To tag: it stands for all those of one vendor."""
_MOST_DIALOGS = 16
"""Early dialogs whose SDP is remembered."""


class Ringing(NamedTuple):
    """A provisional response to pass back."""

    status: int
    sdp: bytes


class EarlyDialogs:
    """The provisional responses of one call on their way to a customer with options."""

    __slots__ = ("_first", "_options", "_sdp", "stripped")

    def __init__(self, options: EarlyMedia) -> None:
        self._options = options
        self._sdp: dict[tuple[int, str], bytes] = {}
        self._first: dict[int, str] = {}
        is_silent = options.ringing in ("none", "180_without_sdp")
        self.stripped = frozenset({"p-early-media"} if is_silent else ())
        """Headers that speak of media which does not pass."""

    @property
    def passes_offers(self) -> bool:
        """Whether SDP of one early dialog passes as it comes, and only once."""
        return self._options.ringing == "pass" and self._options.forks == "pass"

    def first(self, attempt: int) -> str:
        """The To tag whose early media stands for all of one vendor; ``""`` for none yet."""
        return self._first.get(attempt, "")

    def key(self, attempt: int, remote_tag: str) -> tuple[int, str]:
        """What tells the customer's dialogs apart."""
        return (attempt, ANY_FORK if self._options.forks == "one" else remote_tag)

    def pass_on(self, attempt: int, remote_tag: str, status: int, sdp: bytes) -> Ringing | None:
        """What a vendor's 18x becomes; ``None`` when nothing passes."""
        wanted = self._options.ringing
        if wanted == "none":
            return None
        if wanted == "180_without_sdp":
            return Ringing(180, b"")
        if self._options.forks == "one" and sdp:
            # One dialog has one answer (RFC 3264): another fork's would contradict it.
            sdp = sdp if self._first.setdefault(attempt, remote_tag) == remote_tag else b""
        if wanted == "pass":
            return Ringing(status, sdp)
        key = self.key(attempt, remote_tag)
        if sdp and (key in self._sdp or len(self._sdp) < _MOST_DIALOGS):
            self._sdp[key] = sdp
        sdp = sdp or self._sdp.get(key, b"")
        return Ringing(int(wanted) if sdp else status, sdp)


def binds(options: EarlyMedia | None, status: int, sdp: bytes) -> bool:
    """Whether a provisional response ends the search for another vendor."""
    if options is None or options.stop_hunting_after == "never":
        return False
    return bool(sdp) or (status == 180 and options.stop_hunting_after == "ringing")
