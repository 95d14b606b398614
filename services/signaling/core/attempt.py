"""One egress INVITE, as the hunt keeps it."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from services.common.sip_options.trunk import DEFAULT_VENDOR, VendorSip
from services.signaling.core.commands import Owner
from services.signaling.core.early_dialogs import ReliableDialogs
from services.signaling.core.logins import Login
from services.signaling.core.record import AttemptRecord
from services.signaling.core.trunk_policy import USUAL_VENDOR, VendorPolicy
from services.signaling.core.values import Candidate
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import NEVER


class State(Enum):
    """Where one attempt is."""

    OFFERING = auto()
    """The caller's SDP is being rewritten."""
    CALLING = auto()
    ANSWERED = auto()
    ABANDONED = auto()
    """Cancelled; whatever it still answers changes nothing."""
    OVER = auto()


class Attempt(Owner):
    """One egress INVITE."""

    __slots__ = (
        "answered_at", "candidate", "deadline", "dialogs", "draft", "early", "is_alive", "login",
        "min_se_s", "name", "number", "peer", "policy", "record", "responses", "sip",
        "started_at", "state", "tag", "token",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        candidate: Candidate,
        record: AttemptRecord,
        peer: Peer,
        sip: VendorSip = DEFAULT_VENDOR,
        policy: VendorPolicy = USUAL_VENDOR,
    ) -> None:
        super().__init__()
        self.number = number
        """From 1; also the number of its media."""
        self.name = f"B{number}"
        self.candidate = candidate
        self.record = record
        self.peer = peer
        self.sip = sip
        """How this vendor is spoken to."""
        self.policy = policy
        """The same, compiled."""
        self.state = State.OFFERING
        self.is_alive = False
        """Whether the vendor has said enough: from then on only ringing is timed."""
        self.draft: RequestDraft | None = None
        self.login: Login | None = None
        """Set by the vendor's challenge: the second one ends the attempt."""
        self.tag = ""
        """Ours, on this leg."""
        self.started_at = self.answered_at = record.started_at
        self.deadline = NEVER
        self.token = 0
        """Of the rewriting under way; 0 for none."""
        self.responses: deque[Response] = deque()
        """Not looked at yet: their order must survive the rewriting."""
        self.early: dict[str, bytes] = {}
        """SDP of provisional responses, by To tag: some vendors leave it out of the 200."""
        self.dialogs: ReliableDialogs | None = None
        """Set when the vendor may respond reliably."""
        self.min_se_s = 0
        """The session interval a 422 insisted on."""
