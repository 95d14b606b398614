"""Authorize, extend, release: answered from memory while the account's lease has room.

Callback style: the hot path makes no task. Only a lease without room costs a round trip to
Postgres, and all calls of one account that arrive meanwhile share it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from services.common import clock
from services.common.causes import EndReason
from services.common.errors import Invalid, Unavailable
from services.common.pricing.charge import Tariff, tariff_of
from services.rating.app.counters import Counters
from services.rating.app.refills import Purse, Refills
from services.rating.core.credit import (
    FREE,
    LONGEST_MS,
    Backing,
    Cover,
    cover,
    first_ask,
    longest_ms,
    next_ask,
)
from services.rating.core.lease import AccountLease
from services.rating.ports import Crier, Leases, Policy

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

_FREE = Authorized(paid_ms=FREE.paid_ms)


class CreditDesk:
    """Reserves money for calls.

    ``valid_s``: how long after its last renewal a lease may be reserved from. Much shorter than
    it lives, because what is reserved last must still be backed while it is talked away.
    """

    def __init__(
        self, leases: Leases, crier: Crier, tasks: asyncio.TaskGroup, *, valid_s: float
    ) -> None:
        self._leases = leases
        self._tasks = tasks
        self.valid_s = valid_s
        self._accounts: dict[str, Purse] = {}
        self._policies: dict[str, Policy] = {}
        self.counters = Counters()
        self._refills = Refills(leases, crier, tasks, self.counters, self._learn, valid_s=valid_s)

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

    def _learn(self, account_id: str, policy: Policy) -> None:
        self._policies[account_id] = policy

    def authorize(self, call_id: str, sell_terms: bytes, reply: OnAuthorized) -> None:
        """Reserve for a call; ``reply`` is called at once when the lease has room."""
        try:
            tariff = _priceable(sell_terms)
        except Invalid:
            self._refuse(EndReason.INTERNAL_ERROR, reply)
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
        self._refills.obtain(account, ask, *self._steps(account, call_id, tariff, reply))

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
        await self._refills.rest()

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

    def _account(self, account_id: str) -> Purse:
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = Purse(account_id)
        return account

    def _accounts_of(self, backing: Backing | None) -> list[Purse]:
        if backing is None:
            return []
        return [
            account
            for account in self._accounts.values()
            if account.lease.lease_id == backing.lease_id
        ]

    def _steps(
        self, account: Purse, call_id: str, tariff: Tariff, reply: OnAuthorized
    ) -> tuple[Callable[[int], None], Callable[[EndReason], None]]:
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

        def refuse(reason: EndReason) -> None:
            self._refuse(reason, reply)

        return serve, refuse

    def _granted(
        self, account: Purse, call_id: str, tariff: Tariff, taken: Cover | None = None
    ) -> Authorized:
        lease = account.lease
        backing = lease.backing(call_id)
        if taken is None:
            taken = cover(tariff, backing.units)
        self.counters.authorized += 1
        within_reach = backing.units + lease.room(clock.monotonic()) + max(0, lease.headroom)
        return Authorized("", str(backing), taken.paid_ms, longest_ms(tariff, within_reach))

    def _refuse(self, reason: EndReason, reply: OnAuthorized) -> None:
        refused = self.counters.refused
        refused[reason] = refused.get(reason, 0) + 1
        reply(Authorized(reason))

    def _extend_own(
        self,
        account: Purse,
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

        def refuse(_reason: EndReason) -> None:
            now_held = lease.reservation(call_id)
            name = str(lease.backing(call_id)) if now_held else unchanged.reservation_id
            reply(Extended(name, paid_ms))

        self._refills.obtain(account, ask, serve, refuse)

    async def _extend_foreign(
        self,
        account: Purse,
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
        self._refills.note_row(lease, is_new=moved.is_new)
        now = clock.monotonic()
        lease.adopted(
            call_id, moved.units, turn=backing.turn + 1, valid_until=valid_until, now=now
        )
        self.counters.adopted += 1
        self._extend_own(account, call_id, tariff, unchanged, reply)


def _priceable(sell_terms: bytes) -> Tariff:
    tariff = tariff_of(sell_terms)
    if not tariff.terms.account_id.isprintable():
        raise Invalid("account_id", "has unprintable characters")
    return tariff


def _reserve_s(policy: Policy | None) -> int:
    return policy.reserve_s if policy is not None else _DEFAULT_RESERVE_S


def _objection(policy: Policy | None, tariff: Tariff) -> EndReason | None:
    """Why an account may not call at all; unknown ones are for the database to judge."""
    if policy is None:
        return None
    if not policy.enabled:
        return EndReason.CUSTOMER_DISABLED
    return EndReason.NO_RATE if policy.currency != tariff.terms.currency else None
