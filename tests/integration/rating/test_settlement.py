"""Booking on the real Postgres: once, wholly, and in nobody's way."""

import asyncio
from decimal import Decimal

import pytest

from services.common.errors import Invalid, Unavailable
from services.common.events import RatedBatch
from services.rating.app.settlement import Delivery
from services.rating.ports import Rejected
from tests.integration.rating.support import Bank, Process, delivery, ended, opened, sell_terms


def buy_terms(account_id: str) -> bytes:
    return sell_terms(account_id, first_price=Decimal("0.3"), next_price=Decimal("0.3"))


async def ledger_sum(bank: Bank, account: str) -> Decimal:
    value = await bank.pool.fetchval(
        "SELECT coalesce(sum(CASE WHEN credit = $1 THEN amount ELSE -amount END), 0)"
        "  FROM money.transfer WHERE $1 IN (debit, credit)",
        account,
    )
    assert isinstance(value, Decimal)
    return value


async def test_customer_pays_vendor_is_paid_and_every_message_is_passed_on(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_c1", "10")
        await bank.open_account("acc_v1")
        process = bank.process(tasks)
        terms, buy = sell_terms("acc_c1"), buy_terms("acc_v1")
        granted = await process.authorize("cal_1", terms)
        await process.settler.settle(
            [
                delivery(
                    1,
                    ended(
                        "cal_1",
                        terms,
                        30_000,
                        buy_terms=buy,
                        reservation_id=granted.reservation_id,
                    ),
                    ended("cal_2", terms, 0),
                ),
                delivery(2, ended("cal_3", terms, 60_000, buy_terms=buy)),
            ]
        )
        assert await bank.balance("acc_c1") == Decimal("9.1")
        assert await bank.balance("acc_v1") == Decimal("0.45")
        assert await ledger_sum(bank, "revenue") >= Decimal("0.9")
        [(first, first_id), (second, second_id)] = process.published.batches
        assert (first_id, second_id) == ("sig-1/1/1/rated", "sig-1/1/2/rated")
        assert [rated.call.call_id for rated in first.events] == ["cal_1", "cal_2"]
        assert [r.customer.amount for r in first.events if r.customer] == [Decimal("0.3"), 0]
        assert second.events[0].vendor is not None
        assert process.desk.leases[0].calls == 0
        await bank.check()


async def test_redelivered_and_doubled_events_change_nothing(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_c2", "10")
        process, other = bank.process(tasks), bank.process(tasks)
        terms = sell_terms("acc_c2")
        granted = await process.authorize("cal_21", terms)
        call = ended("cal_21", terms, 10_000, reservation_id=granted.reservation_id)
        message = delivery(1, call, call)
        await process.settler.settle([message, delivery(2, call)])
        await process.settler.settle([message])
        await other.settler.settle([message])
        assert await bank.balance("acc_c2") == Decimal("9.9")
        await process.upkeep.close()
        assert await bank.leased("acc_c2") == 0
        await bank.check()


async def test_a_commit_whose_answer_was_lost_frees_the_reservation_the_second_time(
    database: str,
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_c3", "0.6")
        process = bank.process(tasks)
        terms = sell_terms("acc_c3")
        granted = await process.authorize("cal_31", terms)
        call = ended("cal_31", terms, 10_000, reservation_id=granted.reservation_id)
        # The same booking by a process whose memory is not ours: what a lost answer looks like.
        await bank.process(tasks).settler.settle([delivery(1, call)])
        await process.settler.settle([delivery(1, call)])
        assert (await process.authorize("cal_32", terms)).paid_ms == 50_000
        await bank.check()


async def test_bad_events_are_put_aside_and_the_others_settled(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_c4", "10")
        process = bank.process(tasks)
        terms = sell_terms("acc_c4")
        good = delivery(1, ended("cal_41", terms, 10_000))
        mixed = Delivery(
            "sig-1/1/2",
            b'{"node":"sig-1","epoch":1,"seq":2,"events":[{"type":"ended"},'
            + good.payload.partition(b'"events":[')[2].replace(b"cal_41", b"cal_42"),
        )
        torn = Delivery("sig-1/1/3", good.payload[:-7])
        unpriceable = delivery(4, ended("cal_43", terms.replace(b"0.6", b"-1"), 10_000))
        nameless = delivery(5, ended("", terms, 10_000))
        zoned, unzoned = b'"ended_at":"2026-03-01T12:00:10Z"', b'"ended_at":"2026-03-01T12:00:10"'
        vague = delivery(6, ended("cal_44", terms, 10_000))
        assert zoned in vague.payload
        vague = Delivery("sig-1/1/6", vague.payload.replace(zoned, unzoned))
        messages = [good, mixed, torn, unpriceable, nameless, vague]
        await process.settler.settle(messages)
        await process.settler.settle(messages)
        assert await bank.balance("acc_c4") == Decimal("9.8")
        rows = await bank.pool.fetch(
            "SELECT message_id, position FROM money.rejected_event ORDER BY 1, 2"
        )
        assert [tuple(row) for row in rows] == [
            ("sig-1/1/2", 0),
            ("sig-1/1/3", -1),
            ("sig-1/1/4", 0),
            ("sig-1/1/5", 0),
            ("sig-1/1/6", 0),
        ]
        published = {
            rated.call.call_id: rated.customer
            for batch, _ in process.published.batches
            for rated in batch.events
        }
        assert set(published) == {"cal_41", "cal_42", "cal_43"}
        assert published["cal_43"] is None
        # What the database itself refuses is kept as well.
        await process.ledger.reject([Rejected("m\x00", 1, "r\x00", b"\x00")])


async def test_a_call_the_database_refuses_takes_no_other_along(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_c5", "10")
        await bank.open_account("acc_huge", "-999999999999999999")
        process = bank.process(tasks)
        terms = sell_terms("acc_c5")
        vast = sell_terms("acc_huge", connect_fee=Decimal("900000000000000"))
        calls = [ended(f"cal_5{n}", vast, 1000) for n in range(3)]
        await process.settler.settle([delivery(1, *calls, ended("cal_59", terms, 10_000))])
        assert await bank.balance("acc_c5") == Decimal("9.9")
        assert process.settler.rejected == 3
        [(batch, _)] = process.published.batches
        assert [rated.customer is None for rated in batch.events] == [True, True, True, False]


async def test_what_cannot_be_published_is_delivered_again_and_booked_once(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_c6", "10")
        process = bank.process(tasks)
        publish = process.published.publish
        failures = ["bus"]

        async def failing(batch: RatedBatch, message_id: str) -> None:
            if failures:
                raise Unavailable(failures.pop())
            await publish(batch, message_id)

        process.published.publish = failing  # type: ignore[method-assign]  # a bus that is away
        message = delivery(1, ended("cal_61", sell_terms("acc_c6"), 10_000))
        with pytest.raises(Unavailable):
            await process.settler.settle([message])
        await process.settler.settle([message])
        assert await bank.balance("acc_c6") == Decimal("9.9")
        assert len(process.published.batches) == 1


async def test_opposite_orders_of_the_same_accounts_do_not_lock_each_other_out(
    database: str,
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        names = [f"acc_k{n}" for n in range(6)]
        for name in names:
            await bank.open_account(name, "1000")
        processes = [bank.process(tasks) for _ in range(4)]

        def messages(who: int) -> list[Delivery]:
            order = names if who % 2 else names[::-1]
            return [
                delivery(
                    1000 * who + n,
                    *(ended(f"cal_k{who}_{n}_{a}", sell_terms(a), 1000) for a in order),
                )
                for n in range(20)
            ]

        async def settle_all(who: int, process: Process) -> None:
            for message in messages(who):
                await process.settler.settle([message])

        await asyncio.gather(*(settle_all(n, p) for n, p in enumerate(processes)))
        assert {await bank.balance(name) for name in names} == {Decimal("999.2")}


async def test_payments_are_booked_once_and_checked(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_p1", "5")
        process = bank.process(tasks)
        assert await process.pay("acc_p1", "10", payment_id="pay_1") == 15
        assert await process.pay("acc_p1", "10", payment_id="pay_1") == 15
        assert await process.pay("acc_p1", "-3.25", payment_id="pay_2") == Decimal("11.75")
        assert await process.pay("acc_p1", "0.25", payment_id="pay_3", kind="correction") == 12
        rows = await bank.pool.fetch(
            "SELECT key, debit, credit, amount, kind FROM money.transfer"
            " WHERE key LIKE 'pay\\__' ORDER BY key"
        )
        assert [tuple(row) for row in rows] == [
            ("pay_1", "cash", "acc_p1", 10, "payment"),
            ("pay_2", "acc_p1", "cash", Decimal("3.25"), "payment"),
            ("pay_3", "correction", "acc_p1", Decimal("0.25"), "correction"),
        ]


async def test_fifty_times_the_same_payment_at_once(database: str) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        await bank.open_account("acc_p2")
        process = bank.process(tasks)
        await asyncio.gather(*(process.pay("acc_p2", "7", payment_id="pay_50") for _ in range(50)))
        assert await bank.balance("acc_p2") == 7
        assert process.cashier.paid == 1


@pytest.mark.parametrize(
    ("account", "amount", "changes", "field"),
    [
        ("acc_none", "1", {}, "account_id"),
        ("acc_p3", "1", {"currency": "EUR"}, "currency"),
        ("acc_p3", "0", {}, "amount"),
        ("acc_p3", "1", {"kind": "gift"}, "kind"),
        ("acc_p3", "1", {"payment_id": ""}, "payment_id"),
        ("acc_p3", "1", {"payment_id": "cal_1/customer"}, "payment_id"),
        ("acc_p3\x00", "1", {}, "account_id"),
        ("acc_p3", "2", {"payment_id": "pay_used"}, "payment_id"),
    ],
)
async def test_unacceptable_payments_name_the_field(
    database: str, account: str, amount: str, changes: dict[str, str], field: str
) -> None:
    async with opened(database) as bank, asyncio.TaskGroup() as tasks:
        process = bank.process(tasks)
        await bank.ensure_account("acc_p3")
        await process.pay("acc_p3", "1", payment_id="pay_used")
        with pytest.raises(Invalid) as refused:
            await process.pay(account, amount, **changes)
        assert refused.value.field == field
        assert await bank.balance("acc_p3") == 1
