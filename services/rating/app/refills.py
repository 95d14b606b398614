"""Fills leases: at once for calls that find theirs without room, and ahead of need.

All calls of one account that arrive while Postgres is asked share the round trip.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from services.common import clock
from services.common.causes import EndReason
from services.common.errors import Unavailable
from services.common.ids import LEASE, new_id
from services.rating.app.counters import Counters
from services.rating.core.credit import Ask
from services.rating.core.lease import AccountLease
from services.rating.ports import Crier, Leases, Policy, Refill, Refilled

BREAK_S = 0.5
"""After a failure of the database nobody waits for it for this long: refused at once."""

AHEAD_AGAIN_S = 1.0
"""An account that could not give all that was asked for ahead of need is left alone this long."""

RECALL_S = 0.05
"""How long others are given to return free money before a call is refused for want of it."""


@dataclass(frozen=True, slots=True)
class _Waiter:
    """A call that needs more than its account's lease had room for."""

    ask: Ask
    serve: Callable[[int], None]
    """Called with the units it may take, at least ``ask.least``."""
    refuse: Callable[[EndReason], None]


class Purse:
    """One account as this process knows it: its lease, and who waits for it."""

    __slots__ = ("adopting", "ahead_at", "in_hand", "is_refilling", "lease", "waiting")

    def __init__(self, account_id: str) -> None:
        self.lease = AccountLease(account_id, lambda: new_id(LEASE))
        self.waiting: list[_Waiter] = []
        self.in_hand: list[_Waiter] = []
        """Those a refill is being asked for."""
        self.ahead_at = float("-inf")
        """When money ahead of need may be asked for again."""
        self.is_refilling = False
        self.adopting = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing that changes the lease row is under way."""
        return not self.is_refilling and not self.adopting


class Refills:
    """See the module docstring. ``learn`` is told what Postgres says about an account."""

    def __init__(
        self,
        leases: Leases,
        crier: Crier,
        tasks: asyncio.TaskGroup,
        counters: Counters,
        learn: Callable[[str, Policy], None],
        *,
        valid_s: float,
    ) -> None:
        self._leases = leases
        self._crier = crier
        self._tasks = tasks
        self._counters = counters
        self._learn = learn
        self._valid_s = valid_s
        self._under_way: set[asyncio.Task[None]] = set()
        self._broken_until = float("-inf")

    def obtain(
        self,
        purse: Purse,
        ask: Ask,
        serve: Callable[[int], None],
        refuse: Callable[[EndReason], None],
    ) -> None:
        """Have ``serve`` called with what there is to take, at once when the lease has room."""
        now = clock.monotonic()
        if not (purse.waiting or purse.in_hand):  # nobody overtakes those who wait
            room = purse.lease.room(now)
            if room >= ask.wanted:
                serve(ask.wanted)
                self._look_ahead(purse, now)
                return
            if now < self._broken_until:
                if room >= max(1, ask.least):
                    serve(room)
                else:
                    refuse(EndReason.RATING_UNAVAILABLE)
                return
        purse.waiting.append(_Waiter(ask, serve, refuse))
        if not purse.is_refilling:
            self._start_refill(purse)

    async def rest(self) -> None:
        """Wait for the refills under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _look_ahead(self, purse: Purse, now: float) -> None:
        """Have a lease filled up in the background before calls have to wait for it."""
        if purse.is_refilling or now < max(purse.ahead_at, self._broken_until):
            return
        ahead = purse.lease.ahead(now)
        if ahead > 0:
            self._start_refill(purse, ahead)

    def _start_refill(self, purse: Purse, ahead: int = 0) -> None:
        purse.is_refilling = True
        refill = self._tasks.create_task(self._refill(purse, ahead))
        self._under_way.add(refill)
        refill.add_done_callback(self._under_way.discard)

    async def _refill(self, purse: Purse, ahead: int) -> None:
        try:
            if ahead:
                await self._fill_up(purse, ahead)
            while purse.waiting:
                purse.in_hand, purse.waiting = purse.waiting, []
                _serve(purse.lease, purse.in_hand, await self._refill_for(purse))
                purse.in_hand = []
        finally:
            purse.in_hand = []
            purse.is_refilling = False

    async def _fill_up(self, purse: Purse, ahead: int) -> None:
        lease = purse.lease
        wish = Refill(lease.account_id, lease.lease_id, least=1, wanted=0, extra=ahead)
        try:
            answer = await self._grant(lease, wish)
        except Unavailable:
            self._note_failure(lease)
            return
        if answer is None or answer.granted < ahead:
            purse.ahead_at = clock.monotonic() + AHEAD_AGAIN_S

    async def _refill_for(self, purse: Purse) -> EndReason:
        """Refill for those in hand; how those are to be refused that get nothing."""
        try:
            return await self._ask_until_certain(purse.lease, purse.in_hand)
        except Unavailable:
            self._note_failure(purse.lease)
            return EndReason.RATING_UNAVAILABLE

    def _note_failure(self, lease: AccountLease) -> None:
        now = clock.monotonic()
        lease.outcome_unknown(now, self._leases.unknown_s)
        self._broken_until = now + BREAK_S

    async def _ask_until_certain(self, lease: AccountLease, waiters: list[_Waiter]) -> EndReason:
        refusal = await self._ask_for(lease, waiters)
        if refusal is None:
            await self._crier.scarce(lease.account_id)
            await asyncio.sleep(RECALL_S)
            refusal = await self._ask_for(lease, waiters)
        return refusal or EndReason.INSUFFICIENT_BALANCE

    async def _ask_for(self, lease: AccountLease, waiters: list[_Waiter]) -> EndReason | None:
        """Refill for all of ``waiters``; how those are to be refused that get nothing.

        ``None``: for want of money, but others hold some.
        """
        asked_at = clock.monotonic()
        room = lease.room(asked_at)
        wanted = sum(waiter.ask.wanted for waiter in waiters) - room
        if wanted <= 0:
            return (
                EndReason.INSUFFICIENT_BALANCE
            )  # a release made room meanwhile: nobody is refused
        least = max(1, min(waiter.ask.least for waiter in waiters) - room)
        extra = lease.demand(asked_at)
        wish = Refill(lease.account_id, lease.lease_id, least, max(wanted, least), extra)
        answer = await self._grant(lease, wish)
        if answer is None or not answer.policy.enabled:
            return EndReason.CUSTOMER_DISABLED
        is_short = answer.granted < wish.wanted
        return None if is_short and answer.is_shared else EndReason.INSUFFICIENT_BALANCE

    async def _grant(self, lease: AccountLease, wish: Refill) -> Refilled | None:
        """Ask Postgres, and take into the lease what it gives; ``None``: no such account."""
        asked_at = clock.monotonic()
        self._counters.refills += 1
        answer = await self._leases.refill(wish)
        if answer is not None:
            self._learn(lease.account_id, answer.policy)
            self.note_row(lease, is_new=answer.is_new)
            valid_until = asked_at + self._valid_s
            lease.refilled(answer.granted, valid_until=valid_until, headroom=answer.headroom)
        return answer

    def note_row(self, lease: AccountLease, *, is_new: bool) -> None:
        """Postgres has changed the row of a lease; a new one under an old name was lost before."""
        if is_new and lease.is_held:
            self._counters.lost_leases += 1
            lease.lost(is_replaced=True)


def _serve(lease: AccountLease, waiters: list[_Waiter], refusal: EndReason) -> None:
    """Give each in turn what it wants of the room there is, or what is left if that will do."""
    for waiter in waiters:
        units = min(waiter.ask.wanted, lease.room(clock.monotonic()))
        if units >= waiter.ask.least and units > 0:
            waiter.serve(units)
        else:
            waiter.refuse(refusal)
