"""What rating costs this process (not Postgres) per call: CPU of user and system together."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from deploy.local.settings import Options
from deploy.local.switch import LocalSwitch
from proto.rating.v1 import rating_pb2 as pb
from services.common import migrate
from services.common.events import encode
from services.common.pricing.charge import tariff_of
from services.rating.adapters.clickhouse import COLUMNS
from services.rating.entrypoints.grpc import RatingEntry
from tests.integration.rating.support import Bank, Process, delivery, ended, opened, sell_terms

CALLS = 10_000
PER_BATCH = 25
"""Calls per link batch and per bus message: what a few hundred calls a second gather to."""
MESSAGES_AT_ONCE = 4


class _Answers:
    """The way back of a link, as far as the service's own work goes."""

    is_closed = False

    def __init__(self) -> None:
        self.names: list[str] = []

    def send(self, reply: pb.CreditReply) -> None:
        reply.SerializeToString()
        self.names.append(reply.authorize.reservation_id)

    def tell(self, event: pb.CreditReply) -> None:
        raise AssertionError(event)


def run() -> dict[str, float]:
    """Microseconds per call, by what is done with it."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(data=Path(folder), services=(), fsync=False)
        with LocalSwitch(options) as switch:
            return asyncio.run(_run(switch.addresses.postgres_dsn))


async def _run(server_dsn: str) -> dict[str, float]:
    name = f"bench_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(server_dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    dsn = urlsplit(server_dsn)._replace(path=f"/{name}").geturl()
    await migrate.migrate_postgres(dsn, migrate.find("postgres"))
    async with opened(dsn) as bank, asyncio.TaskGroup() as tasks:
        return await _measure(bank, bank.process(tasks))


async def _measure(bank: Bank, process: Process) -> dict[str, float]:
    await bank.open_account("acc_customer", "10000000")
    await bank.open_account("acc_vendor")
    terms, buy = sell_terms("acc_customer"), sell_terms("acc_vendor")
    process.desk.know(await process.policies.load())
    answers = _Answers()
    authorize_us = await _cpu_us(lambda: _authorize(process, terms, answers))
    refills = process.desk.counters.refills
    messages = [
        delivery(
            first,
            *(
                ended(f"cal_{n}", terms, 30_000, buy_terms=buy, reservation_id=answers.names[n])
                for n in range(first, first + PER_BATCH)
            ),
        )
        for first in range(0, CALLS, PER_BATCH)
    ]

    async def settle() -> None:
        for first in range(0, len(messages), MESSAGES_AT_ONCE):
            await process.settler.settle(messages[first : first + MESSAGES_AT_ONCE])

    settle_us = await _cpu_us(settle)
    batches = [batch for batch, _ in process.published.batches]
    encode_us = await _cpu_us(lambda: _each(lambda: [encode(batch) for batch in batches]))

    rated = [one for batch in batches for one in batch.events]
    row_us = await _cpu_us(
        lambda: _each(lambda: [[of(one) for one in rated] for of in COLUMNS.values()])
    )
    tariff = tariff_of(terms)
    charge_us = await _cpu_us(lambda: _each(lambda: [tariff.charge(n) for n in range(CALLS)]))
    return {
        "us_per_authorize": authorize_us,
        "us_per_settled_call": settle_us + encode_us,
        "us_per_record_row": row_us,
        "us_per_charge": charge_us,
        "refills_per_1000_calls": refills * 1000 / CALLS,
    }


async def _authorize(process: Process, terms: bytes, answers: _Answers) -> None:
    entry = RatingEntry(process.desk, process.cashier)
    for first in range(0, CALLS, PER_BATCH):
        batch = pb.CreditBatch(
            items=[
                pb.CreditItem(
                    id=n,
                    authorize=pb.AuthorizeRequest(call_id=f"cal_{n}", sell_terms=terms),
                )
                for n in range(first, first + PER_BATCH)
            ]
        ).SerializeToString()
        entry.on_items(pb.CreditBatch.FromString(batch).items, answers)
        while len(answers.names) < first + PER_BATCH:  # noqa: ASYNC110 - answered by callback
            await asyncio.sleep(0)  # a refill is under way


async def _each(work: Callable[[], object]) -> None:
    work()


async def _cpu_us(work: Callable[[], Awaitable[None]]) -> float:
    began = time.process_time()
    await work()
    return (time.process_time() - began) / CALLS * 1e6
