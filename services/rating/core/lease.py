"""One account's lease: money set aside in Postgres from which this process reserves in memory.

The promise is that what the machine holds free and reserved together never exceeds what the
lease row holds for it, whatever is in flight. Every input that lowers the row elsewhere
(settlement, a reservation taken over by another process) reaches the machine later than the
row, so the machine may lag on the safe side only: it can believe money bound that is free.

Amounts are units of 10^-10; ``now`` and deadlines are monotonic seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from services.rating.core.credit import Backing

WINDOW_S: Final = 10.0
"""Demand is counted in windows of this length."""

LEAST_WINDOWS, MOST_WINDOWS = 2, 3
"""A busy lease holds free money for so many windows of demand: less is filled up ahead of need,
so that no call waits for Postgres and an outage of twenty seconds refuses none, and what is more
than a window beyond goes back."""

FORGET_AFTER_S: Final = 3600.0
"""A reservation is forgotten this long after its talk time ran out without a word: the event
that ends every call went past us. Long enough for any ringing and hunting before the answer."""


class Reservation(msgspec.Struct):
    """Money bound for one call."""

    units: int
    turn: int
    forget_at: float


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Money to return from a lease to its account; ``units`` of ``None`` closes the lease."""

    account_id: str
    lease_id: str
    units: int | None


class AccountLease:
    """The lease of one account, and the reservations made from it."""

    __slots__ = (
        "_demand",
        "_demand_before",
        "_new_lease_id",
        "_reservations",
        "_reserved",
        "_uncertain_until",
        "_valid_until",
        "_window_ends_at",
        "account_id",
        "amount",
        "generation",
        "headroom",
        "lease_id",
    )

    def __init__(self, account_id: str, new_lease_id: Callable[[], str]) -> None:
        self.account_id = account_id
        self._new_lease_id = new_lease_id
        self.lease_id = new_lease_id()
        """Changes whenever a row may still be closing under the old one."""
        self.amount = 0
        """What the lease row holds for us."""
        self.headroom = 0
        """What the account had beyond all leases when last looked at: a hint, nothing more."""
        self.generation = 0
        """Moves with everything that must not cross a renewal (see :meth:`reconcile`)."""
        self._reservations: dict[str, Reservation] = {}
        self._reserved = 0
        self._valid_until = float("-inf")
        self._uncertain_until = float("-inf")
        self._window_ends_at = float("-inf")
        self._demand = 0
        self._demand_before = 0

    @property
    def reserved(self) -> int:
        """The sum of the reservations."""
        return self._reserved

    @property
    def calls(self) -> int:
        """How many reservations there are."""
        return len(self._reservations)

    @property
    def is_held(self) -> bool:
        """Whether a lease row may exist: renewed while it does."""
        return self._valid_until > float("-inf")

    def room(self, now: float) -> int:
        """What can be reserved without asking; nothing once the lease is about to expire."""
        if now >= self._valid_until:
            return 0
        return max(0, self.amount - self._reserved)

    def reservation(self, call_id: str) -> Reservation | None:
        """The reservation of a call."""
        return self._reservations.get(call_id)

    def backing(self, call_id: str) -> Backing:
        """What the reservation id of a call with a reservation says."""
        held = self._reservations[call_id]
        return Backing(self.lease_id, held.units, held.turn)

    def reserve(
        self, call_id: str, units: int, *, paid_ms: int, now: float, turn: int = 1
    ) -> None:
        """Bind ``units``, at most :meth:`room`, for a call, or add them to what it has."""
        held = self._reservations.get(call_id)
        forget_at = now + paid_ms / 1000 + FORGET_AFTER_S
        if held is None:
            self._reservations[call_id] = Reservation(units, turn, forget_at)
        else:
            held.units += units
            held.turn += 1
            held.forget_at = forget_at
        self._reserved += units
        self._note_demand(units, now)

    def release(self, call_id: str) -> None:
        """The call was not answered: its money is free again."""
        held = self._reservations.pop(call_id, None)
        if held is not None:
            self._reserved -= held.units

    def settled(
        self, call_id: str, backing: Backing | None, price: int, *, booked_here: bool
    ) -> None:
        """The call has ended and been booked, by us or by another process.

        The row of the lease named by ``backing`` has been lowered by ``price`` meanwhile.
        ``booked_here``: this very booking did it; a repeated one changes nothing twice.
        """
        held = self._reservations.get(call_id)
        self.release(call_id)
        if backing is None:
            return
        if backing.lease_id == self.lease_id:
            if held is not None or booked_here:
                self._lower(price)
        elif held is not None and backing.turn > held.turn:
            self._lower(held.units)

    def moved_away(self, call_id: str) -> None:
        """Another process has taken the money bound for this call over into its own lease."""
        held = self._reservations.get(call_id)
        if held is not None:
            self.release(call_id)
            self._lower(held.units)

    def adopted(
        self, call_id: str, units: int, *, turn: int, valid_until: float, now: float
    ) -> None:
        """The money bound for this call has been moved from another lease into ours."""
        self.refilled(units, valid_until=valid_until, headroom=self.headroom)
        if call_id not in self._reservations:
            self.reserve(call_id, units, paid_ms=0, now=now, turn=turn)

    def demand(self, now: float) -> int:
        """What a window takes at the present rate of calls."""
        self._roll_window(now)
        elapsed_s = max(1.0, now - (self._window_ends_at - WINDOW_S))
        return max(int(self._demand * WINDOW_S / elapsed_s), self._demand_before)

    def ahead(self, now: float) -> int:
        """What to ask for beyond the need; 0 while there is enough for some time."""
        demand, free = self.demand(now), self.room(now)
        return MOST_WINDOWS * demand - free if free < LEAST_WINDOWS * demand else 0

    def refilled(self, granted: int, *, valid_until: float, headroom: int) -> None:
        """The row holds ``granted`` more, for us."""
        self.amount += granted
        self.headroom = headroom
        self.generation += 1
        if granted or self.is_held:
            self._valid_until = max(self._valid_until, valid_until)

    def outcome_unknown(self, now: float, settle_s: float) -> None:
        """A change of the row was asked for and may or may not happen within ``settle_s``.

        Nothing it would add is counted, all it would take has been taken already; only a
        renewal must not read the row meanwhile.
        """
        self._uncertain_until = max(self._uncertain_until, now + settle_s)

    def renewed(self, *, valid_until: float) -> None:
        """The row was prolonged."""
        self._valid_until = max(self._valid_until, valid_until)

    def reconcile(self, held: int, *, generation: int, now: float) -> None:
        """The row held ``held``; ``generation`` as it was before looking.

        Only while nothing that changes the row is under way. Where the row holds more than we
        know of, the difference belongs to nobody (the end of a call went past us) and becomes
        ours again. It never lowers: what the row lost, we shall be told, and believe it bound
        until then.
        """
        if generation == self.generation and now >= self._uncertain_until:
            self.amount = max(self.amount, held)

    def lost(self, *, is_replaced: bool = False) -> None:
        """The row is gone (it expired): no reservation is backed any more; start anew.

        ``is_replaced``: a new row has been made under the same id.
        """
        self._reservations.clear()
        self._reserved = 0
        lease_id = self.lease_id
        self._start_anew()
        if is_replaced:
            self.lease_id = lease_id

    def forget_overdue(self, now: float) -> int:
        """Drop the reservations of calls whose end never reached us; how many."""
        overdue = [
            call_id for call_id, held in self._reservations.items() if held.forget_at <= now
        ]
        for call_id in overdue:
            self.moved_away(call_id)
        return len(overdue)

    def give_back(self, now: float) -> GiveBack | None:
        """Take out of the lease what is not needed, for its account; ``None``: all is needed.

        An account with less left outside than we keep gets everything: others wait for it.
        """
        keep = self.demand(now)
        if not self.is_held:
            return None
        if not self._reservations and (keep == 0 or self.headroom < keep):
            closing = GiveBack(self.account_id, self.lease_id, None)
            self._start_anew()
            return closing
        free = self.amount - self._reserved
        most = (MOST_WINDOWS + 1) * keep
        return self._take_out(free if self.headroom < keep else free - most)

    def give_back_all(self) -> GiveBack | None:
        """Take out everything that is not reserved: there will be no more calls."""
        return self._take_out(self.amount - self._reserved) if self.is_held else None

    def _take_out(self, spare: int) -> GiveBack | None:
        if spare <= 0:
            return None
        self.amount -= spare
        self.headroom += spare
        self.generation += 1
        return GiveBack(self.account_id, self.lease_id, spare)

    def _start_anew(self) -> None:
        self.lease_id = self._new_lease_id()
        self.amount = 0
        self.headroom = 0
        self.generation += 1
        self._valid_until = float("-inf")

    def _lower(self, units: int) -> None:
        self.amount = max(0, self.amount - units)
        self.generation += 1

    def _note_demand(self, units: int, now: float) -> None:
        self._roll_window(now)
        self._demand += units

    def _roll_window(self, now: float) -> None:
        if now < self._window_ends_at:
            return
        idle = now >= self._window_ends_at + WINDOW_S
        self._demand_before = 0 if idle else self._demand
        self._demand = 0
        self._window_ends_at = now + WINDOW_S
