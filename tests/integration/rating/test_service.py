"""The whole service as a process: links, gRPC, bus, both databases, and kill -9."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from clickhouse_driver import Client

from proto.rating.v1 import rating_pb2 as pb
from proto.rating.v1.rating_pb2_grpc import RatingStub
from services.common.bus import Bus
from services.common.errors import Invalid
from services.common.events import ENDED_SUBJECT, CallEnded
from services.common.grpc import open_channel, translated_rpc
from services.common.link import Link
from services.common.link_methods import RATING_LINK
from tests.integration.rating.support import Bank, delivery, ended, opened, sell_terms
from tests.support.cable import cable_to
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Running:
    """A started service; it need not be ready."""

    address: str
    ops: str
    process: asyncio.subprocess.Process

    async def status(self) -> int:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://{self.ops}/readyz")).status_code
        except httpx.TransportError:
            return 0

    async def metrics(self) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://{self.ops}/metrics")).text

    def kill(self) -> None:
        self.process.kill()


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition, polled, is true."""
    async with asyncio.timeout(30):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def service(
    folder: Path, postgres_dsn: str, nats_url: str, clickhouse_dsn: str, node: str = "rating-1"
) -> AsyncIterator[Running]:
    """The service, ready; ended by SIGTERM unless it was killed."""
    ops = f"127.0.0.1:{free_port()}"
    address = f"unix:{folder}/{node}.sock"
    settings = {
        "TANDEM_NODE": node,
        "TANDEM_DATA_DIR": str(folder),
        "TANDEM_OPS_ADDRESS": ops,
        "TANDEM_GRPC_ADDRESS": address,
        "TANDEM_NATS_URL": nats_url,
        "TANDEM_POSTGRES_DSN": postgres_dsn,
        "TANDEM_CLICKHOUSE_DSN": clickhouse_dsn,
        "TANDEM_REDELIVER_S": "2",
        "TANDEM_CONFIG_WAIT_S": "0.2",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.rating", cwd=ROOT, env=os.environ | settings
    )
    running = Running(address, ops, process)
    try:
        await until(lambda: _is_ready(running))
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        status = await process.wait()
    assert status in (0, -signal.SIGKILL)


async def _is_ready(running: Running) -> bool:
    return await running.status() == 200


@asynccontextmanager
async def bus_of(url: str) -> AsyncIterator[Bus]:
    bus = Bus(url, "test")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run())
        await bus.wait_connected()
        yield bus
        running.cancel()


async def over_link(address: str, items: list[pb.CreditItem]) -> list[pb.CreditReply]:
    """Ask all at once; the replies in the order of the questions."""
    link = Link(RATING_LINK, address)
    replies: dict[int, pb.CreditReply | None] = {}
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.connected)
        for number, item in enumerate(items):

            def on_reply(reply: pb.CreditReply | None, number: int = number) -> None:
                replies[number] = reply

            link.request(item, on_reply)
        await until(lambda: len(replies) == len(items))
        running.cancel()
    found = [replies[number] for number in range(len(items))]
    assert None not in found
    return [reply for reply in found if reply is not None]


def authorize(call_id: str, terms: bytes) -> pb.CreditItem:
    return pb.CreditItem(authorize=pb.AuthorizeRequest(call_id=call_id, sell_terms=terms))


class Records:
    """The record database, as a reader sees it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def rows(self, columns: str, prefix: str) -> list[tuple[object, ...]]:
        with Client.from_url(self._dsn) as client:
            found = client.execute(
                f"SELECT {columns} FROM cdr FINAL WHERE startsWith(call_id, %(p)s)"
                " ORDER BY call_id",
                {"p": prefix},
            )
        return list(found)


async def publish(bus: Bus, seq: int, *calls: CallEnded) -> None:
    message = delivery(seq, *calls)
    await bus.publish(ENDED_SUBJECT, message.payload, message.message_id)


async def test_a_call_from_authorisation_to_its_record(
    tmp_path: Path, database: str, nats_url: str, clickhouse_dsn: str
) -> None:
    async with (
        opened(database) as bank,
        service(tmp_path, database, nats_url, clickhouse_dsn) as rating,
        bus_of(nats_url) as bus,
    ):
        await bank.open_account("acc_s1")
        await bank.open_account("acc_sv")
        channel = open_channel(rating.address)
        stub = RatingStub(channel)  # type: ignore[no-untyped-call]  # generated
        paid = await stub.Pay(
            pb.PayRequest(
                payment_id="pay_s1",
                account_id="acc_s1",
                amount="1.2",
                currency="USD",
                kind="payment",
            )
        )
        assert (paid.balance, paid.duplicate) == ("1.2", False)
        with pytest.raises(Invalid) as refused, translated_rpc("rating"):
            await stub.Pay(pb.PayRequest(payment_id="p", account_id="acc_s1", amount="x"))
        assert refused.value.field == "amount"

        terms = sell_terms("acc_s1")
        buy = sell_terms("acc_sv", first_price=Decimal("0.3"), next_price=Decimal("0.3"))
        replies = await over_link(
            rating.address, [authorize(f"cal_s{n}", terms) for n in range(3)]
        )
        granted = [reply.authorize for reply in replies]
        assert [reply.refused for reply in granted] == ["", "", "insufficient_balance"]
        [extended] = await over_link(
            rating.address,
            [
                pb.CreditItem(
                    extend=pb.ExtendRequest(
                        call_id="cal_s0",
                        reservation_id=granted[0].reservation_id,
                        sell_terms=terms,
                        paid_ms=60_000,
                    )
                )
            ],
        )
        assert extended.extend.paid_ms == 60_000
        await stub.Release(
            pb.ReleaseRequest(call_id="cal_s1", reservation_id=granted[1].reservation_id)
        )
        more = await stub.Extend(
            pb.ExtendRequest(
                call_id="cal_s0",
                reservation_id=granted[0].reservation_id,
                sell_terms=terms,
                paid_ms=60_000,
            )
        )
        assert more.paid_ms == 120_000
        unary = await stub.Authorize(pb.AuthorizeRequest(call_id="cal_s9", sell_terms=terms))
        assert unary.refused == "insufficient_balance"
        await channel.close()

        call = ended("cal_s0", terms, 90_500, buy_terms=buy, reservation_id=more.reservation_id)
        await publish(bus, 1, call, ended("cal_s1", terms, 0))
        await publish(bus, 1, call, ended("cal_s1", terms, 0))
        records = Records(clickhouse_dsn)
        await until(lambda: len(records.rows("call_id", "cal_s")) == 2)
        assert records.rows(
            "call_id, talk_ms, price, customer_billed_s, cost, vendor_account_id, end_reason,"
            " customer_rate, attempt_count, answered_at IS NULL",
            "cal_s",
        ) == [
            ("cal_s0", 90_500, Decimal("0.91"), 91, Decimal("0.455"), "acc_vendor", "normal",
             Decimal("0.6"), 1, 0),
            ("cal_s1", 0, Decimal(0), 0, Decimal(0), "acc_vendor", "normal", Decimal("0.6"), 1, 1),
        ]  # fmt: skip
        assert await bank.balance("acc_s1") == Decimal("0.29")
        assert await bank.balance("acc_sv") == Decimal("0.455")
        await until(lambda: _leased_nothing(bank, "acc_s1"))
        await bank.check()
        assert "tandem_rating_settled_total 2" in (await rating.metrics()).replace(".0", "")


async def _leased_nothing(bank: Bank, account: str) -> bool:
    return await bank.leased(account) == 0


async def test_kill_minus_nine_loses_nothing_and_books_nothing_twice(
    tmp_path: Path, database: str, nats_url: str, clickhouse_dsn: str
) -> None:
    async with opened(database) as bank, bus_of(nats_url) as bus:
        await bank.open_account("acc_k9", "1000")
        terms = sell_terms("acc_k9")
        records = Records(clickhouse_dsn)
        for kill_after in (40, 80, None):
            async with service(tmp_path, database, nats_url, clickhouse_dsn) as rating:
                first = 0 if kill_after == 40 else (kill_after or 120) - 40
                for n in range(first, (kill_after or 120)):
                    await publish(
                        bus, 1000 + n, *(ended(f"cal_k9_{n}_{i}", terms, 1000) for i in range(5))
                    )
                if kill_after is not None:
                    rating.kill()
                    continue
                await until(lambda: len(records.rows("call_id", "cal_k9")) == 600)
        assert await bank.balance("acc_k9") == 1000 - Decimal("0.01") * 600
        prices = records.rows("price", "cal_k9")
        assert sum(row[0] for row in prices if isinstance(row[0], Decimal)) == 6


async def test_a_record_store_that_is_away_delays_records_but_no_money(
    tmp_path: Path, database: str, nats_url: str, clickhouse_dsn: str
) -> None:
    nowhere = urlsplit(clickhouse_dsn)._replace(netloc="127.0.0.1:9").geturl()
    async with opened(database) as bank, bus_of(nats_url) as bus:
        await bank.open_account("acc_ch", "10")
        async with service(tmp_path, database, nats_url, nowhere):
            await publish(bus, 5000, ended("cal_ch", sell_terms("acc_ch"), 60_000))
            await until(lambda: _is_charged(bank))
        records = Records(clickhouse_dsn)
        assert records.rows("call_id", "cal_ch") == []
        async with service(tmp_path, database, nats_url, clickhouse_dsn):
            await until(lambda: records.rows("price", "cal_ch") == [(Decimal("0.6"),)])


async def _is_charged(bank: Bank) -> bool:
    return await bank.balance("acc_ch") == Decimal("9.4")


async def test_a_start_without_postgres_refuses_calls_fast_and_settles_once_it_is_back(
    tmp_path: Path, database: str, nats_url: str, clickhouse_dsn: str
) -> None:
    """What ended meanwhile is on the bus; a free call needs no money; then all is as ever."""
    records = Records(clickhouse_dsn)
    async with (
        opened(database) as bank,
        bus_of(nats_url) as bus,
        cable_to(database) as (cable, dsn),
    ):
        await bank.open_account("acc_na", "10")
        terms = sell_terms("acc_na")
        async with service(tmp_path, dsn, nats_url, clickhouse_dsn) as rating:
            await publish(bus, 6000, ended("cal_na", terms, 60_000))
            (refused,) = await over_link(rating.address, [authorize("cal_nb", terms)])
            assert refused.authorize.refused == "rating_unavailable"
            assert "tandem_rating_config_unchecked_seconds" in await rating.metrics()
            await cable.mend()

            async def is_granted() -> bool:
                (reply,) = await over_link(rating.address, [authorize("cal_nb", terms)])
                return not reply.authorize.refused

            await until(is_granted)
            await until(lambda: records.rows("price", "cal_na") == [(Decimal("0.6"),)])
            assert await bank.balance("acc_na") == Decimal("9.4")
