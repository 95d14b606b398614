"""Keeps leases alive, returns what they do not need, and sweeps those whose holder died."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from services.common import clock
from services.common.errors import Unavailable
from services.rating.app.credit import CreditDesk
from services.rating.core.lease import GiveBack
from services.rating.ports import Leases


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often what is done; seconds."""

    give_back_s: float = 0.25
    renew_s: float = 20.0
    sweep_s: float = 15.0


class Upkeep:
    """The background work of the leases of one process."""

    def __init__(
        self,
        leases: Leases,
        desk: CreditDesk,
        rhythm: Rhythm,
        on_unavailable: Callable[[Unavailable], None],
    ) -> None:
        self._leases = leases
        self._desk = desk
        self._rhythm = rhythm
        self._on_unavailable = on_unavailable
        self.swept = 0
        """Leases of dead processes whose money went back."""
        self.given_back = 0
        # A renewal that looked at a row while money is being returned from it would count that
        # money twice.
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Work for ever; a database that is away delays, nothing more."""
        now = clock.monotonic()
        renew_at, sweep_at = now + self._rhythm.renew_s, now
        while True:
            now = clock.monotonic()
            try:
                await self.give_back()
                if now >= renew_at:
                    await self.renew()
                    renew_at = now + self._rhythm.renew_s
                if now >= sweep_at:
                    self.swept += await self._leases.sweep()
                    sweep_at = now + self._rhythm.sweep_s
            except Unavailable as error:
                self._on_unavailable(error)
            await asyncio.sleep(self._rhythm.give_back_s)

    async def give_back(self) -> None:
        """Return what is not needed. Taken out of the leases before the rows are changed."""
        async with self._turn:
            await self._give_back()

    async def _give_back(self) -> None:
        now = clock.monotonic()
        leases = self._desk.quiet()
        returns = [back for lease in leases if (back := lease.give_back(now)) is not None]
        self._desk.drop_unused()
        if returns:
            await self._return(returns)

    async def on_scarce(self, account_id: str) -> None:
        """Another process asks for what is free of this account."""
        self._desk.yield_to_others(account_id)
        try:
            await self.give_back()
        except Unavailable as error:
            self._on_unavailable(error)

    async def renew(self) -> None:
        """Prolong all leases; take note of those that are gone."""
        async with self._turn:
            await self._renew()

    async def _renew(self) -> None:
        asked_at = clock.monotonic()
        quiet = {id(lease) for lease in self._desk.quiet()}
        asked = [
            (lease, lease.lease_id, lease.generation)
            for lease in self._desk.leases
            if lease.is_held
        ]
        if not asked:
            return
        rows = await self._leases.renew([lease_id for _, lease_id, _ in asked])
        now = clock.monotonic()
        quiet &= {id(lease) for lease in self._desk.quiet()}
        for lease, lease_id, generation in asked:
            if lease.lease_id != lease_id:
                continue
            row = rows.get(lease_id)
            if row is not None:
                lease.renewed(valid_until=asked_at + self._desk.valid_s)
                if row.is_short:
                    self._desk.yield_to_others(lease.account_id)
            if id(lease) not in quiet:
                continue
            if row is not None:
                lease.reconcile(row.held, generation=generation, now=now)
            elif lease.generation == generation:
                lease.lost()
                self._desk.counters.lost_leases += 1
            self._desk.counters.forgotten += lease.forget_overdue(now)

    async def close(self) -> None:
        """Return all free money: this process reserves no more."""
        await self._desk.rest()
        async with self._turn:
            returns = [
                back for lease in self._desk.quiet() if (back := lease.give_back_all()) is not None
            ]
            if returns:
                await self._return(returns)

    async def _return(self, returns: list[GiveBack]) -> None:
        try:
            await self._leases.give_back(returns)
        except Unavailable:
            now = clock.monotonic()
            names = {back.lease_id for back in returns}
            for lease in self._desk.leases:
                if lease.lease_id in names:
                    lease.outcome_unknown(now, self._leases.unknown_s)
            raise
        self.given_back += len(returns)
