"""Our registration at one vendor: a pure machine (RFC 3261 section 10.2).

Inputs take ``now`` (monotonic seconds) and return the REGISTER to send to :attr:`Account.target`,
or nothing; its owner gives it a transaction and reports what comes of it. A registrar with
several addresses is asked at the next one after silence, 503 or a failed connection (RFC 3263
section 4.3); the one that granted the registration renews it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from services.common.sip_options.trunk import VendorSip
from services.signaling.core.headers import address
from services.signaling.core.logins import CHALLENGES, Login
from services.signaling.core.trunks import Place
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft, request
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr, parse_number, parse_retry_after
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import TimerValues
from services.signaling.sip.uri import equivalent, parse_sip_uri

NEVER: Final = float("inf")
ASKED_S: Final = 3600
"""What is asked for when the registrar may choose."""
LONGEST_S: Final = 86_400
"""Longer is not believed: an account that is gone should be noticed within a day."""
SHORTEST_S: Final = 15
"""A registrar that grants less is asked no more often than this."""
REFRESH_AT: Final = 0.8
"""Share of the time granted after which it is renewed: a failure leaves time for another try."""
LONGEST_PAUSE_S: Final = 3600
IMPATIENT: Final = TimerValues(patience=8)
"""4 seconds for an address that is not the last one."""
MOST_RAISES: Final = 2
"""How often in a row a 423 is obeyed."""


class AccountState(StrEnum):
    """Where a registration is."""

    REGISTERING = "registering"
    REGISTERED = "registered"
    REFUSED = "refused"
    """The registrar said no; it is asked again after the pause."""
    UNREACHABLE = "unreachable"
    REMOVING = "removing"
    REMOVED = "removed"


class Account:
    """See the module docstring."""

    def __init__(
        self,
        vendor_trunk_id: str,
        sip: VendorSip,
        place: Place,
        *,
        locate: Callable[[], Sequence[Peer]],
        advertised: str,
        agent: tuple[str, ...] = (),
        call_id: str,
        new_tag: Callable[[], str],
    ) -> None:
        self.vendor_trunk_id = vendor_trunk_id
        self.sip = sip
        self.place = place
        self.state = AccountState.REGISTERING
        self.status = 0
        """The last final response; 0 before any, and after silence."""
        self.deadline = NEVER
        self.expires_at = 0.0
        """Monotonic; when what was granted last runs out."""
        self._locate = locate
        """The registrar's addresses now, in the order to try; empty while its name is unknown."""
        self._round: list[Peer] = []
        """Those of this attempt: the first is in use, the others are left."""
        self._home: Peer | None = None
        """The one that granted the registration."""
        self._agent = agent
        self._call_id = call_id
        self._tag = new_tag()
        self._login = Login(sip.auth, new_tag())
        self._cseq = 0
        self._draft: RequestDraft | None = None
        self._is_tried_again = False
        self._minimum_s = 0
        self._raises = 0
        user = address(sip.register.contact_user or sip.auth.username, advertised)[1:-1]
        self.contact = user + ("" if place.transport == "udp" else f";transport={place.transport}")
        self._address = address(sip.auth.username, place.uri[4:].partition(";")[0])

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way any more."""
        return self.state is AccountState.REMOVED

    @property
    def target(self) -> Peer:
        """Where the last REGISTER goes."""
        return self._round[0]

    @property
    def timers(self) -> TimerValues | None:
        """Of its transaction; ``None`` for the usual ones."""
        return IMPATIENT if len(self._round) > 1 else None

    def start(self, now: float) -> RequestDraft | None:
        """Register; nothing to send while the registrar's name is unknown."""
        self._raises = 0
        self.state = AccountState.REGISTERING
        self.deadline = NEVER
        self._is_tried_again = False
        peers = [*self._locate()]
        if self._home in peers:
            peers.remove(self._home)
            peers.insert(0, self._home)
        self._round = peers
        if not peers:
            self.on_failure(now)
            return None
        return self._register(self._asked_s())

    def on_timer(self, now: float) -> RequestDraft | None:
        """Renew, or try again."""
        if now < self.deadline:
            return None
        if self.state is AccountState.REMOVING:
            self.state, self.deadline = AccountState.REMOVED, NEVER
            return None
        return self.start(now)

    def stop(self, now: float, patience_s: float) -> RequestDraft | None:
        """Take the registration back; without an answer it counts as gone after a while."""
        if self.state is not AccountState.REGISTERING and self.expires_at <= now:
            self.state, self.deadline = AccountState.REMOVED, NEVER
            return None
        if self._home is not None:
            self._round = [self._home]
        self.state = AccountState.REMOVING
        self.deadline = now + patience_s
        self._is_tried_again = False
        return self._register(0)

    def on_response(self, response: Response, now: float) -> RequestDraft | None:
        """Take a final response to the last REGISTER."""
        status = response.status
        if status < 200 or self.state is AccountState.REMOVED:
            return None
        if status in CHALLENGES and not self._is_tried_again and self._login.accept(response):
            self._is_tried_again = True
            return self._again()
        if self.state is AccountState.REMOVING:
            self.status, self.state, self.deadline = status, AccountState.REMOVED, NEVER
            return None
        self.status = status
        if status == 503 and len(self._round) > 1:
            return self._move()
        if status < 300:
            self._home = self._round[0]
            self._granted(_expiry(response, self.contact), now)
            return None
        if status == 423 and self._raises < MOST_RAISES:
            self._raises += 1
            self._minimum_s = _min_expires(response)
            self._is_tried_again = False
            return self._register(self._asked_s())
        self._failed(AccountState.REFUSED, now, _retry_after(response))
        return None

    def on_failure(self, now: float) -> RequestDraft | None:
        """No response will come: the next address may do better."""
        if self.state is AccountState.REMOVING:
            self.state, self.deadline = AccountState.REMOVED, NEVER
        elif self.state is not AccountState.REMOVED:
            self.status = 0
            if len(self._round) > 1:
                return self._move()
            self._failed(AccountState.UNREACHABLE, now, 0)
        return None

    def _move(self) -> RequestDraft:
        """Ask the next address."""
        del self._round[0]
        self._raises = 0
        self._is_tried_again = False
        return self._register(self._asked_s())

    def _granted(self, expires_s: int | None, now: float) -> None:
        granted_s = max(SHORTEST_S, min(expires_s or self._asked_s(), LONGEST_S))
        self.state = AccountState.REGISTERED
        self.expires_at = now + granted_s
        self.deadline = now + granted_s * REFRESH_AT

    def _failed(self, state: AccountState, now: float, at_least_s: int) -> None:
        self.state = state
        pause_s = max(self.sip.register.retry_s, min(at_least_s, LONGEST_PAUSE_S))
        self.deadline = now + pause_s

    def _asked_s(self) -> int:
        asked = self.sip.register.expires_s
        return max(ASKED_S if isinstance(asked, str) else asked, self._minimum_s)

    def _register(self, expires_s: int) -> RequestDraft:
        self._cseq += 1
        draft = request(
            "REGISTER",
            self.place.uri,
            from_=f"{self._address};tag={self._tag}",
            to=self._address,
            call_id=self._call_id,
            cseq=self._cseq,
            headers=(f"Contact: <{self.contact}>", f"Expires: {expires_s}", *self._agent),
        )
        self._draft = self._login.sign(draft)
        return self._draft

    def _again(self) -> RequestDraft:
        assert self._draft is not None
        self._cseq += 1
        self._draft = self._login.again(self._draft, self._cseq)
        return self._draft


def _expiry(response: Response, contact: str) -> int | None:
    """What a 200 grants our Contact; ``None`` when it does not say."""
    ours = parse_sip_uri(contact)
    for value in response.headers("contact"):
        try:
            listed = NameAddr.parse(value)
            if not equivalent(parse_sip_uri(listed.uri), ours):
                continue
            if "expires" in listed.params:
                return _number(listed.params["expires"])
        except MalformedMessage:
            continue
    return _number(response.first("expires"))


def _min_expires(response: Response) -> int:
    least_s = _number(response.first("min-expires")) or 0
    return least_s if least_s <= LONGEST_S else 0


def _retry_after(response: Response) -> int:
    try:
        return parse_retry_after(response.first("retry-after") or "0")
    except MalformedMessage:
        return 0


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else parse_number(text, 2**32)
    except MalformedMessage:
        return None
