"""Reservations on the real Postgres: exact under any number of processes."""

import asyncio
from decimal import Decimal

import pytest

from services.common.causes import EndReason
from tests.integration.rating.support import delivery, ended, opened, sell_terms


@pytest.mark.parametrize("processes", [1, 3])
async def test_fifty_parallel_calls_for_money_that_pays_ten(database: str, processes: int) -> None:
    account = f"acc_ten_{processes}"
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account(account, "6")
        desks = [bank.process(tasks) for _ in range(processes)]
        answers = await asyncio.gather(
            *(
                desks[n % processes].authorize(f"cal_{processes}_{n}", sell_terms(account))
                for n in range(50)
            )
        )
        granted = [answer for answer in answers if not answer.refused]
        assert len(granted) == 10
        assert {answer.paid_ms for answer in granted} == {60_000}
        assert {a.refused for a in answers if a.refused} == {EndReason.INSUFFICIENT_BALANCE}
        assert await bank.leased(account) == 6
        await bank.check()


async def test_the_last_call_gets_what_is_left_when_that_pays_a_first_interval(
    database: str,
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_rest", "0.75")
        process = bank.process(tasks)
        terms = sell_terms("acc_rest", first_s=10, next_s=1)
        first, second, third = [await process.authorize(f"cal_r{n}", terms) for n in range(3)]
        assert (first.paid_ms, first.max_ms) == (60_000, 75_000)
        assert (second.paid_ms, second.max_ms) == (15_000, 15_000)
        assert third.refused == EndReason.INSUFFICIENT_BALANCE


async def test_fifty_parallel_debits_of_sixty_from_ten_thousand(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_debit", "10000")
        processes = [bank.process(tasks) for _ in range(4)]
        terms = sell_terms("acc_debit", first_price=Decimal(60), next_price=Decimal(60))
        messages = [delivery(n, ended(f"cal_d{n}", terms, 60_000)) for n in range(50)]
        # Every event reaches two processes at once.
        await asyncio.gather(
            *(processes[n % 4].settler.settle([m]) for n, m in enumerate(messages)),
            *(processes[(n + 1) % 4].settler.settle([m]) for n, m in enumerate(messages)),
        )
        assert await bank.balance("acc_debit") == 7000
        assert sum(process.settler.repeated for process in processes) == 50


async def test_a_free_call_needs_no_money_and_a_disabled_account_gets_no_call(
    database: str,
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_free")
        process = bank.process(tasks)
        free = sell_terms("acc_free", first_price=Decimal(0), next_price=Decimal(0))
        answer = await process.authorize("cal_free", free)
        assert (answer.refused, answer.reservation_id, answer.max_ms) == ("", "", 0)
        paid = sell_terms("acc_free")
        assert (await process.authorize("c1", paid)).refused == EndReason.INSUFFICIENT_BALANCE
        await bank.set_enabled("acc_free", enabled=False)
        assert (await process.authorize("c2", paid)).refused == EndReason.CUSTOMER_DISABLED
        process.desk.know(await process.policies.load())
        assert (await process.authorize("c3", free)).refused == EndReason.CUSTOMER_DISABLED
        nobody = sell_terms("acc_nobody")
        assert (await process.authorize("c4", nobody)).refused == EndReason.CUSTOMER_DISABLED
        euros = sell_terms("acc_free", currency="EUR")
        await bank.set_enabled("acc_free", enabled=True)
        process.desk.know(await process.policies.load())
        assert (await process.authorize("c5", euros)).refused == EndReason.NO_RATE


async def test_a_busy_account_refills_rarely_and_gets_idle_money_back(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_busy", "100000")
        process = bank.process(tasks)
        for n in range(500):
            assert not (await process.authorize(f"cal_b{n}", sell_terms("acc_busy"))).refused
        assert process.desk.counters.refills < 20
        await bank.check()
        for n in range(500):
            process.desk.release(f"cal_b{n}", str(process.desk.leases[0].backing(f"cal_b{n}")))
        await process.upkeep.close()
        assert await bank.leased("acc_busy") == 0
        await bank.check()


async def test_a_busy_account_goes_on_calling_while_the_database_is_away(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_ahead", "100000")
        process = bank.process(tasks)
        terms = sell_terms("acc_ahead")
        for n in range(50):
            assert not (await process.authorize(f"cal_a{n}", terms)).refused
            if n >= 48:
                await process.desk.rest()
        bank.pool.terminate()
        for n in range(50, 150):
            assert not (await process.authorize(f"cal_a{n}", terms)).refused


async def test_extension_until_the_money_is_gone_then_a_payment_goes_on(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_ext", "1.5")
        process = bank.process(tasks)
        terms = sell_terms("acc_ext")
        granted = await process.authorize("cal_x", terms)
        second = await process.extend("cal_x", granted.reservation_id, terms, granted.paid_ms)
        assert second.paid_ms == 120_000
        third = await process.extend("cal_x", second.reservation_id, terms, second.paid_ms)
        assert third.paid_ms == 150_000
        stuck = await process.extend("cal_x", third.reservation_id, terms, third.paid_ms)
        assert stuck == third
        assert await process.pay("acc_ext", "1") == Decimal("2.5")
        more = await process.extend("cal_x", third.reservation_id, terms, third.paid_ms)
        assert more.paid_ms == 210_000
        await process.settler.settle(
            [delivery(1, ended("cal_x", terms, 200_000, reservation_id=more.reservation_id))]
        )
        assert await bank.balance("acc_ext") == Decimal("0.5")
        await process.upkeep.close()
        assert await bank.leased("acc_ext") == 0


async def test_another_process_extends_a_call_of_a_dead_one_with_the_money_it_had(
    database: str,
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_over", "1.2")
        dead, alive = bank.process(tasks), bank.process(tasks)
        terms = sell_terms("acc_over")
        granted = await dead.authorize("cal_o1", terms)
        other = await dead.authorize("cal_o2", terms)
        assert not other.refused
        # All money is in the dead one's lease, so only the call's own can go on paying for it.
        stuck = await alive.extend("cal_o1", granted.reservation_id, terms, 60_000)
        assert stuck.paid_ms == 60_000
        assert stuck.reservation_id != granted.reservation_id
        await bank.check()
        await alive.settler.settle(
            [delivery(1, ended("cal_o1", terms, 30_000, reservation_id=stuck.reservation_id))]
        )
        assert await bank.balance("acc_over") == Decimal("0.9")
        await alive.upkeep.close()
        assert await bank.leased("acc_over") == Decimal("0.6")
        # The former holder, were it alive after all, hears of the end and gives nothing twice.
        assert [one.call_id for one in bank.town.endings] == ["cal_o1"]
        dead.settler.heard(bank.town.endings)
        await dead.upkeep.close()
        assert await bank.leased("acc_over") == Decimal("0.6")
        dead.desk.release("cal_o2", other.reservation_id)
        await dead.upkeep.close()
        assert await bank.leased("acc_over") == 0
        await bank.check()


async def test_leases_of_a_dead_process_expire_and_the_money_comes_back(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_dead", "0.6", reserve_s=1)
        dead = bank.process(tasks)
        alive = bank.process(tasks)
        terms = sell_terms("acc_dead", first_s=60)
        assert not (await dead.authorize("cal_dd", terms)).refused
        assert (await alive.authorize("cal_a", terms)).refused
        assert await alive.leases.sweep() == 0
        await bank.expire_leases("acc_dead")
        assert await alive.leases.sweep() == 1
        assert not (await alive.authorize("cal_a", terms)).refused
        await bank.check()
        # The dead one was only asleep: it finds its lease gone and reserves nothing more from it.
        await dead.upkeep.renew()
        assert dead.desk.counters.lost_leases == 1
        assert (await dead.authorize("cal_d3", terms)).refused


async def test_an_event_settled_by_another_process_frees_the_reservation(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_else", "0.6")
        holder, settler = bank.process(tasks), bank.process(tasks)
        terms = sell_terms("acc_else")
        granted = await holder.authorize("cal_e1", terms)
        call = ended("cal_e1", terms, 10_000, reservation_id=granted.reservation_id)
        await settler.settler.settle([delivery(1, call)])
        assert (await bank.balance("acc_else"), await bank.leased("acc_else")) == (
            Decimal("0.5"),
            Decimal("0.5"),
        )
        holder.settler.heard(bank.town.endings)
        assert (await holder.authorize("cal_e2", terms)).paid_ms == 50_000
        await bank.check()


async def test_a_dead_database_is_noticed_once_and_then_refused_at_once(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_away", "100")
        process = bank.process(tasks)
        terms = sell_terms("acc_away")
        assert not (await process.authorize("cal_w0", terms)).refused
        bank.pool.terminate()
        assert (await process.authorize("cal_w1", terms)).refused == EndReason.RATING_UNAVAILABLE
        refills = process.desk.counters.refills
        assert (await process.authorize("cal_w2", terms)).refused == EndReason.RATING_UNAVAILABLE
        assert process.desk.counters.refills == refills
        process.desk.release("cal_w0", "")


async def test_a_call_is_not_refused_for_money_another_process_holds_free(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_hold", "100")
        rich, poor = bank.process(tasks), bank.process(tasks)
        terms = sell_terms("acc_hold", first_s=60)
        for n in range(8):
            assert not (await rich.authorize(f"cal_h{n}", terms)).refused
        assert await bank.leased("acc_hold") > Decimal("4.8")
        dear = sell_terms("acc_hold", first_s=60, connect_fee=Decimal("94.6"))
        assert not (await poor.authorize("cal_dear", dear)).refused
        assert await bank.leased("acc_hold") == 100
        await bank.check()


async def test_money_taken_out_by_hand_is_missed_in_the_leases_at_their_renewal(
    database: str,
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_taken", "100")
        process = bank.process(tasks)
        terms = sell_terms("acc_taken")
        for n in range(8):
            assert not (await process.authorize(f"cal_t{n}", terms)).refused
        leased = await bank.leased("acc_taken")
        assert leased > Decimal("4.8")
        await process.pay("acc_taken", "-95.2")
        await process.upkeep.renew()
        await process.upkeep.give_back()
        assert await bank.leased("acc_taken") == Decimal("4.8")
        await bank.check()


@pytest.mark.parametrize("terms", [b"", b"null", sell_terms("acc\x00"), b'{"price": 1'])
async def test_terms_that_are_none_refuse_the_call_and_leave_an_extension_as_it_was(
    database: str, terms: bytes
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        process = bank.process(tasks)
        assert (await process.authorize("cal_m", terms)).refused == EndReason.INTERNAL_ERROR
        assert (await process.extend("cal_m", "lea_1/1/1", terms, 5)).paid_ms == 5
