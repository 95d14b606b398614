"""Authorize, extend, release: answered from memory while the account's lease has room.

Callback style: the hot path makes no task. Only a lease without room costs a round trip to
Postgres, and all calls of one account that arrive meanwhile share it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from services.common import clock
from services.common.causes import EndReason
from services.common.errors import Invalid, Unavailable
from services.common.ids import LEASE, new_id
from services.common.pricing.charge import Tariff, tariff_of
from services.rating.core.credit import (
    FREE,
    LONGEST_MS,
    Ask,
    Backing,
    Cover,
    cover,
    first_ask,
    longest_ms,
    next_ask,
)
from services.rating.core.lease import AccountLease
from services.rating.ports import Crier, Leases, Policy, Refill, Refilled

BREAK_S = 0.5
"""After a failure of the database nobody waits for it for this long: refused at once."""

AHEAD_AGAIN_S = 1.0
"""An account that could not give all that was asked for ahead of need is left alone this long."""

RECALL_S = 0.05
"""How long others are given to return free money before a call is refused for want of it."""

_DEFAULT_RESERVE_S = 60


class Authorized(msgspec.Struct, frozen=True):
    """The answer to a call that wants to be paid."""

    refused: str = ""
    """An :class:`EndReason`; empty when granted."""
    reservation_id: str = ""
    paid_ms: int = 0
    max_ms: int = 0
    """The longest talk time that could be paid by now; 0: unlimited."""


class Extended(msgspec.Struct, frozen=True):
    """Talk time covered now; unchanged when there is no more money."""

    reservation_id: str
    paid_ms: int


OnAuthorized: TypeAlias = Callable[[Authorized], None]
OnExtended: TypeAlias = Callable[[Extended], None]

_UNAVAILABLE = Authorized(EndReason.RATING_UNAVAILABLE)
_INSUFFICIENT = Authorized(EndReason.INSUFFICIENT_BALANCE)
_HELD_BY_OTHERS = Authorized(EndReason.INSUFFICIENT_BALANCE, paid_ms=0)
_DISABLED = Authorized(EndReason.CUSTOMER_DISABLED)
_WRONG_CURRENCY = Authorized(EndReason.NO_RATE)
_MALFORMED = Authorized(EndReason.INTERNAL_ERROR)
_FREE = Authorized(paid_ms=FREE.paid_ms)


@dataclass(frozen=True, slots=True)
class _Waiter:
    """A call that needs more than its account's lease had room for."""

    ask: Ask
    serve: Callable[[int], None]
    """Called with the units it may take, at least ``ask.least``."""
    refuse: Callable[[Authorized], None]


class _Account:
    """One account as this process knows it."""

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


class Counters:
    """Plain integers, read by telemetry."""

    __slots__ = (
        "adopted",
        "authorized",
        "extended",
        "forgotten",
        "lost_leases",
        "refills",
        "refused",
        "released",
    )

    def __init__(self) -> None:
        self.authorized = 0
        self.extended = 0
        self.released = 0
        self.refills = 0
        self.adopted = 0
        self.forgotten = 0
        self.lost_leases = 0
        self.refused: dict[str, int] = {}


class CreditDesk:
    """Reserves money for calls.

    ``valid_s``: how long after its last renewal a lease may be reserved from. Much shorter than
    it lives, because what is reserved last must still be backed while it is talked away.
    """

    def __init__(
        self, leases: Leases, crier: Crier, tasks: asyncio.TaskGroup, *, valid_s: float
    ) -> None:
        self._leases = leases
        self._crier = crier
        self._tasks = tasks
        self.valid_s = valid_s
        self._accounts: dict[str, _Account] = {}
        self._policies: dict[str, Policy] = {}
        self._refills: set[asyncio.Task[None]] = set()
        self._broken_until = float("-inf")
        self.counters = Counters()

    @property
    def leases(self) -> list[AccountLease]:
        """All leases, also those without money."""
        return [account.lease for account in self._accounts.values()]

    def leased(self) -> dict[str, float]:
        """Money in our leases by currency, for display."""
        return self._by_currency(lambda lease: lease.amount)

    def reserved(self) -> dict[str, float]:
        """Money reserved for calls by currency, for display."""
        return self._by_currency(lambda lease: lease.reserved)

    def know(self, policies: Mapping[str, Policy]) -> None:
        """Take over what the configuration says about all accounts."""
        self._policies = dict(policies)

    def authorize(self, call_id: str, sell_terms: bytes, reply: OnAuthorized) -> None:
        """Reserve for a call; ``reply`` is called at once when the lease has room."""
        try:
            tariff = _priceable(sell_terms)
        except Invalid:
            self._refuse(_MALFORMED, reply)
            return
        policy = self._policies.get(tariff.terms.account_id)
        refusal = _objection(policy, tariff)
        if refusal is not None:
            self._refuse(refusal, reply)
            return
        ask = first_ask(tariff, _reserve_s(policy))
        if ask is None:
            self.counters.authorized += 1
            reply(_FREE)
            return
        account = self._account(tariff.terms.account_id)
        if account.lease.reservation(call_id) is not None:
            reply(self._granted(account, call_id, tariff))  # asked twice
            return
        self._obtain(account, ask, *self._steps(account, call_id, tariff, reply))

    def extend(
        self,
        call_id: str,
        reservation_id: str,
        sell_terms: bytes,
        paid_ms: int,
        reply: OnExtended,
    ) -> None:
        """Cover more talk time; also of a call that another process has authorised."""
        unchanged = Extended(reservation_id, paid_ms)
        try:
            tariff = _priceable(sell_terms)
        except Invalid:
            reply(unchanged)
            return
        account = self._account(tariff.terms.account_id)
        backing = Backing.parse(reservation_id)
        held = account.lease.reservation(call_id)
        if held is not None and backing is not None and backing.turn > held.turn:
            account.lease.moved_away(call_id)
            held = None
        if held is None and backing is not None and backing.lease_id != account.lease.lease_id:
            self._tasks.create_task(
                self._extend_foreign(account, call_id, backing, tariff, paid_ms, reply)
            )
            return
        self._extend_own(account, call_id, tariff, unchanged, reply)

    def release(self, call_id: str, reservation_id: str) -> None:
        """The call was not answered. A reservation of another process is freed by its end."""
        backing = Backing.parse(reservation_id)
        for account in self._accounts_of(backing):
            if account.lease.reservation(call_id) is not None:
                account.lease.release(call_id)
                self.counters.released += 1

    def settled(
        self,
        call_id: str,
        account_id: str,
        backing: Backing | None,
        price: int,
        *,
        booked_here: bool,
    ) -> None:
        """A call has been booked, here or by another rating process."""
        account = self._accounts.get(account_id)
        if account is not None:
            account.lease.settled(call_id, backing, price, booked_here=booked_here)

    def is_ours_alone(self, account_id: str, backing: Backing | None) -> bool:
        """Whether no other process can hold money for a call that is backed like this.

        Once extended a call may have moved from lease to lease.
        """
        account = self._accounts.get(account_id)
        if account is None or backing is None:
            return False
        return backing.turn == 1 and backing.lease_id == account.lease.lease_id

    def quiet(self) -> list[AccountLease]:
        """The leases whose rows nothing is changing just now."""
        return [account.lease for account in self._accounts.values() if account.is_quiet]

    async def rest(self) -> None:
        """Wait for the refills under way."""
        if self._refills:
            await asyncio.wait(self._refills)

    def yield_to_others(self, account_id: str) -> None:
        """Another process is short of this account's money: keep no more than is reserved."""
        account = self._accounts.get(account_id)
        if account is not None:
            account.lease.headroom = 0

    def drop_unused(self) -> None:
        """Forget accounts without lease and calls."""
        unused = [
            account_id
            for account_id, account in self._accounts.items()
            if account.is_quiet and not account.lease.is_held and not account.lease.calls
        ]
        for account_id in unused:
            del self._accounts[account_id]

    def _by_currency(self, units: Callable[[AccountLease], int]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for lease in self.leases:
            policy = self._policies.get(lease.account_id)
            if policy is not None:
                sums[policy.currency] = sums.get(policy.currency, 0.0) + units(lease) / 1e10
        return sums

    def _account(self, account_id: str) -> _Account:
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = _Account(account_id)
        return account

    def _accounts_of(self, backing: Backing | None) -> list[_Account]:
        if backing is None:
            return []
        return [
            account
            for account in self._accounts.values()
            if account.lease.lease_id == backing.lease_id
        ]

    def _steps(
        self, account: _Account, call_id: str, tariff: Tariff, reply: OnAuthorized
    ) -> tuple[Callable[[int], None], Callable[[Authorized], None]]:
        def serve(units: int) -> None:
            # Of an account met for the first time the policy is known only now.
            refusal = _objection(self._policies.get(account.lease.account_id), tariff)
            if refusal is not None:
                self._refuse(refusal, reply)
                return
            taken = cover(tariff, units)
            account.lease.reserve(
                call_id, taken.units, paid_ms=taken.paid_ms, now=clock.monotonic()
            )
            reply(self._granted(account, call_id, tariff, taken))

        def refuse(refusal: Authorized) -> None:
            self._refuse(refusal, reply)

        return serve, refuse

    def _granted(
        self, account: _Account, call_id: str, tariff: Tariff, taken: Cover | None = None
    ) -> Authorized:
        lease = account.lease
        backing = lease.backing(call_id)
        if taken is None:
            taken = cover(tariff, backing.units)
        self.counters.authorized += 1
        within_reach = backing.units + lease.room(clock.monotonic()) + max(0, lease.headroom)
        return Authorized("", str(backing), taken.paid_ms, longest_ms(tariff, within_reach))

    def _refuse(self, refusal: Authorized, reply: OnAuthorized) -> None:
        refused = self.counters.refused
        refused[refusal.refused] = refused.get(refusal.refused, 0) + 1
        reply(refusal)

    def _extend_own(
        self,
        account: _Account,
        call_id: str,
        tariff: Tariff,
        unchanged: Extended,
        reply: OnExtended,
    ) -> None:
        lease = account.lease
        held = lease.reservation(call_id)
        reserved = held.units if held is not None else 0
        paid_ms = unchanged.paid_ms
        if held is not None:
            # A repeated request is answered with what the first one obtained.
            paid_ms = max(paid_ms, cover(tariff, reserved).paid_ms)
        policy = self._policies.get(tariff.terms.account_id)
        ask = next_ask(tariff, reserved, paid_ms, _reserve_s(policy))
        if ask is None:
            name = str(lease.backing(call_id)) if held else unchanged.reservation_id
            reply(Extended(name, max(paid_ms, LONGEST_MS if tariff.is_free else 0)))
            return

        def serve(units: int) -> None:
            now_held = lease.reservation(call_id)
            before = now_held.units if now_held is not None else 0
            taken = cover(tariff, before + units)
            more = taken.units - before
            lease.reserve(call_id, more, paid_ms=taken.paid_ms, now=clock.monotonic())
            self.counters.extended += 1
            reply(Extended(str(lease.backing(call_id)), taken.paid_ms))

        def refuse(_refusal: Authorized) -> None:
            now_held = lease.reservation(call_id)
            name = str(lease.backing(call_id)) if now_held else unchanged.reservation_id
            reply(Extended(name, paid_ms))

        self._obtain(account, ask, serve, refuse)

    async def _extend_foreign(
        self,
        account: _Account,
        call_id: str,
        backing: Backing,
        tariff: Tariff,
        paid_ms: int,
        reply: OnExtended,
    ) -> None:
        """The reservation is in another lease: its holder died, or we are asked in its place."""
        lease = account.lease
        lease_id = lease.lease_id
        valid_until = clock.monotonic() + self.valid_s
        unchanged = Extended(str(backing), paid_ms)
        account.adopting += 1
        try:
            moved = await self._leases.adopt(
                lease.account_id, lease_id, backing.lease_id, backing.units
            )
        except Unavailable:
            lease.outcome_unknown(clock.monotonic(), self._leases.unknown_s)
            reply(unchanged)
            return
        finally:
            account.adopting -= 1
        self._note_new_row(lease, is_new=moved.is_new)
        now = clock.monotonic()
        lease.adopted(
            call_id, moved.units, turn=backing.turn + 1, valid_until=valid_until, now=now
        )
        self.counters.adopted += 1
        self._extend_own(account, call_id, tariff, unchanged, reply)

    def _obtain(
        self,
        account: _Account,
        ask: Ask,
        serve: Callable[[int], None],
        refuse: Callable[[Authorized], None],
    ) -> None:
        now = clock.monotonic()
        if not (account.waiting or account.in_hand):  # nobody overtakes those who wait
            room = account.lease.room(now)
            if room >= ask.wanted:
                serve(ask.wanted)
                self._look_ahead(account, now)
                return
            if now < self._broken_until:
                if room >= max(1, ask.least):
                    serve(room)
                else:
                    refuse(_UNAVAILABLE)
                return
        account.waiting.append(_Waiter(ask, serve, refuse))
        if not account.is_refilling:
            self._start_refill(account)

    def _look_ahead(self, account: _Account, now: float) -> None:
        """Have a lease filled up in the background before calls have to wait for it."""
        if account.is_refilling or now < max(account.ahead_at, self._broken_until):
            return
        ahead = account.lease.ahead(now)
        if ahead > 0:
            self._start_refill(account, ahead)

    def _start_refill(self, account: _Account, ahead: int = 0) -> None:
        account.is_refilling = True
        refill = self._tasks.create_task(self._refill(account, ahead))
        self._refills.add(refill)
        refill.add_done_callback(self._refills.discard)

    async def _refill(self, account: _Account, ahead: int) -> None:
        try:
            if ahead:
                await self._fill_up(account, ahead)
            while account.waiting:
                account.in_hand, account.waiting = account.waiting, []
                _serve(account.lease, account.in_hand, await self._refill_for(account))
                account.in_hand = []
        finally:
            account.in_hand = []
            account.is_refilling = False

    async def _fill_up(self, account: _Account, ahead: int) -> None:
        lease = account.lease
        wish = Refill(lease.account_id, lease.lease_id, least=1, wanted=0, extra=ahead)
        try:
            answer = await self._grant(lease, wish)
        except Unavailable:
            self._note_failure(lease)
            return
        if answer is None or answer.granted < ahead:
            account.ahead_at = clock.monotonic() + AHEAD_AGAIN_S

    async def _refill_for(self, account: _Account) -> Authorized:
        """Refill for those in hand; how those are to be refused that get nothing."""
        try:
            return await self._ask_until_certain(account.lease, account.in_hand)
        except Unavailable:
            self._note_failure(account.lease)
            return _UNAVAILABLE

    def _note_failure(self, lease: AccountLease) -> None:
        now = clock.monotonic()
        lease.outcome_unknown(now, self._leases.unknown_s)
        self._broken_until = now + BREAK_S

    async def _ask_until_certain(self, lease: AccountLease, waiters: list[_Waiter]) -> Authorized:
        refusal = await self._ask_for(lease, waiters)
        if refusal is _HELD_BY_OTHERS:
            await self._crier.scarce(lease.account_id)
            await asyncio.sleep(RECALL_S)
            refusal = await self._ask_for(lease, waiters)
        return _INSUFFICIENT if refusal is _HELD_BY_OTHERS else refusal

    async def _ask_for(self, lease: AccountLease, waiters: list[_Waiter]) -> Authorized:
        """Refill for all of ``waiters``; how those are to be refused that get nothing."""
        asked_at = clock.monotonic()
        room = lease.room(asked_at)
        wanted = sum(waiter.ask.wanted for waiter in waiters) - room
        if wanted <= 0:
            return _INSUFFICIENT  # a release made room meanwhile: nobody is refused
        least = max(1, min(waiter.ask.least for waiter in waiters) - room)
        extra = lease.demand(asked_at)
        wish = Refill(lease.account_id, lease.lease_id, least, max(wanted, least), extra)
        answer = await self._grant(lease, wish)
        if answer is None or not answer.policy.enabled:
            return _DISABLED
        is_short = answer.granted < wish.wanted
        return _HELD_BY_OTHERS if is_short and answer.is_shared else _INSUFFICIENT

    async def _grant(self, lease: AccountLease, wish: Refill) -> Refilled | None:
        """Ask Postgres, and take into the lease what it gives; ``None``: no such account."""
        asked_at = clock.monotonic()
        self.counters.refills += 1
        answer = await self._leases.refill(wish)
        if answer is not None:
            self._policies[lease.account_id] = answer.policy
            self._note_new_row(lease, is_new=answer.is_new)
            valid_until = asked_at + self.valid_s
            lease.refilled(answer.granted, valid_until=valid_until, headroom=answer.headroom)
        return answer

    def _note_new_row(self, lease: AccountLease, *, is_new: bool) -> None:
        if is_new and lease.is_held:
            self.counters.lost_leases += 1
            lease.lost(is_replaced=True)


def _serve(lease: AccountLease, waiters: list[_Waiter], refusal: Authorized) -> None:
    """Give each in turn what it wants of the room there is, or what is left if that will do."""
    for waiter in waiters:
        units = min(waiter.ask.wanted, lease.room(clock.monotonic()))
        if units >= waiter.ask.least and units > 0:
            waiter.serve(units)
        else:
            waiter.refuse(refusal)


def _priceable(sell_terms: bytes) -> Tariff:
    tariff = tariff_of(sell_terms)
    if not tariff.terms.account_id.isprintable():
        raise Invalid("account_id", "has unprintable characters")
    return tariff


def _reserve_s(policy: Policy | None) -> int:
    return policy.reserve_s if policy is not None else _DEFAULT_RESERVE_S


def _objection(policy: Policy | None, tariff: Tariff) -> Authorized | None:
    """Why an account may not call at all; unknown ones are for the database to judge."""
    if policy is None:
        return None
    if not policy.enabled:
        return _DISABLED
    return _WRONG_CURRENCY if policy.currency != tariff.terms.currency else None
