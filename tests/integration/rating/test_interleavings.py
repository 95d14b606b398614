"""Several rating processes, random calls, ends, kills and payments: the books always balance."""

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal

import pytest

from services.common.pricing.charge import to_units
from services.rating.app.credit import Extended
from services.rating.core.credit import Backing
from tests.integration.rating.support import Bank, Process, delivery, ended, opened, sell_terms

ACCOUNTS = ("acc_a", "acc_b", "acc_c")
ROUNDS = 25
CALLERS = 8


@dataclass
class Live:
    """A call as signaling knows it."""

    call_id: str
    terms: bytes
    reservation_id: str
    paid_ms: int


class Storm:
    """Random traffic over processes that die and are replaced."""

    def __init__(self, bank: Bank, tasks: asyncio.TaskGroup, seed: int) -> None:
        self.bank = bank
        self.tasks = tasks
        self.random = random.Random(seed)
        self.processes = [bank.process(tasks) for _ in range(3)]
        self.live: list[Live] = []
        self.prices = dict.fromkeys(ACCOUNTS, Decimal(0))
        self.paid = dict.fromkeys(ACCOUNTS, Decimal(0))
        self.granted = 0
        self.seq = 0

    def somebody(self) -> Process:
        return self.random.choice(self.processes)

    async def caller(self, number: int) -> None:
        for n in range(ROUNDS):
            step = self.random.choice(
                [self.start, self.start, self.start, self.extend, self.end, self.end, self.pay]
            )
            await step(f"cal_{number}_{n}")
            await self.bank.check()

    async def start(self, call_id: str) -> None:
        account = self.random.choice(ACCOUNTS)
        terms = sell_terms(account, first_s=self.random.choice([1, 6, 30]))
        answer = await self.somebody().authorize(call_id, terms)
        if not answer.refused:
            self.granted += 1
            self.live.append(Live(call_id, terms, answer.reservation_id, answer.paid_ms))

    def take(self) -> Live | None:
        """A call out of the others' hands while something is done with it."""
        if not self.live:
            return None
        return self.live.pop(self.random.randrange(len(self.live)))

    async def extend(self, _name: str) -> None:
        if (call := self.take()) is not None:
            await self.extend_at(self.somebody(), call)
            self.live.append(call)

    async def extend_at(self, process: Process, call: Live) -> None:
        answer: Extended = await process.extend(
            call.call_id, call.reservation_id, call.terms, call.paid_ms
        )
        assert answer.paid_ms >= call.paid_ms
        call.reservation_id, call.paid_ms = answer.reservation_id, answer.paid_ms

    async def end(self, _name: str) -> None:
        if (call := self.take()) is not None:
            await self.settle(call, self.random.randint(0, call.paid_ms))

    async def settle(self, call: Live, talk_ms: int) -> None:
        self.seq += 1
        event = ended(call.call_id, call.terms, talk_ms, reservation_id=call.reservation_id)
        message = delivery(self.seq, event)
        process = self.somebody()
        before = len(process.published.batches)
        await process.settler.settle([message])
        if self.random.random() < 0.3:
            await self.somebody().settler.settle([message])
        rated = next(
            one
            for batch, _ in process.published.batches[before:]
            for one in batch.events
            if one.call.call_id == call.call_id
        )
        assert rated.customer is not None
        self.prices[rated.customer.account_id] += rated.customer.amount
        for other in self.processes:
            self.hear(other, call, rated.customer.account_id, rated.customer.amount)

    def hear(self, process: Process, call: Live, account: str, price: Decimal) -> None:
        process.desk.settled(
            call.call_id,
            account,
            Backing.parse(call.reservation_id),
            to_units(price),
            booked_here=False,
        )

    async def pay(self, name: str) -> None:
        account = self.random.choice(ACCOUNTS)
        amount = Decimal(self.random.randint(1, 300)).scaleb(-2)
        await self.somebody().pay(account, str(amount), payment_id=f"pay_{name}")
        self.paid[account] += amount

    async def upkeep(self) -> None:
        while True:
            process = self.somebody()
            await process.upkeep.give_back()
            await process.upkeep.renew()
            await self.bank.check()

    async def killer(self) -> None:
        """Kill -9: its memory is gone; calls go on elsewhere before its leases expire."""
        for _ in range(5):
            await asyncio.sleep(0)
            dead = self.processes.pop(0)
            self.bank.town.upkeeps.remove(dead.upkeep)
            self.processes.append(self.bank.process(self.tasks))
            names = [lease.lease_id for lease in dead.desk.leases]
            # Whatever signaling asks for from now on, the others answer. The calls of the dead
            # one run out of paid time one by one, long before three minutes have passed.
            for _ in range(3 * len(self.live)):
                call = next(
                    (c for c in self.live if c.reservation_id.partition("/")[0] in names), None
                )
                if call is None:
                    break
                self.live.remove(call)
                await self.extend_at(self.somebody(), call)
                self.live.append(call)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_books_balance_whatever_happens(database: str, seed: int) -> None:
    async with opened(database) as bank:
        for account in ACCOUNTS:
            await bank.ensure_account(account, "20", credit_limit="5")
        start = {account: await bank.balance(account) for account in ACCOUNTS}
        booked = {account: await bank.spent(account) for account in ACCOUNTS}
        async with asyncio.TaskGroup() as tasks:
            storm = Storm(bank, tasks, seed)
            upkeep = tasks.create_task(storm.upkeep())
            async with asyncio.TaskGroup() as callers:
                for number in range(CALLERS):
                    callers.create_task(storm.caller(seed * 100 + number))
                callers.create_task(storm.killer())
            upkeep.cancel()
            while storm.live:
                await storm.end("")
        assert storm.granted > 0
        for account in ACCOUNTS:
            spent = await bank.spent(account) - booked[account]
            assert spent == storm.prices[account]
            assert await bank.balance(account) == start[account] + storm.paid[account] - spent
        for process in storm.processes:
            await process.upkeep.close()
        await bank.expire_all_leases()
        await storm.processes[0].leases.sweep()
        assert [await bank.leased(account) for account in ACCOUNTS] == [0, 0, 0]
        await bank.check()
