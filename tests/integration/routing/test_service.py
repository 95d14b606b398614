"""The whole service as a process: over gRPC and links, with its databases coming and going."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from proto.routing.v1 import routing_pb2 as pb
from proto.routing.v1 import routing_pb2_grpc
from services.common.explanation import decode_explanation
from services.common.grpc import open_channel
from services.common.link import Link
from services.common.link_methods import ROUTING_LINK
from services.common.terms import decode_terms
from tests.integration.routing.seeds import SEED, execute
from tests.support.cable import cable_to
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
NOWHERE = "nats://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Running:
    """A started service; it need not be ready."""

    address: str
    ops: str

    async def status(self) -> int:
        """What readiness says; 0 when nobody answers."""
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://{self.ops}/readyz")).status_code
        except httpx.TransportError:
            return 0

    async def notes(self) -> dict[str, str]:
        """What readiness says beside."""
        async with httpx.AsyncClient() as client:
            notes = (await client.get(f"http://{self.ops}/readyz")).json().get("notes", {})
        return dict(notes)

    async def is_ready(self) -> bool:
        return await self.status() == 200

    async def ask(self, requests: list[pb.PlanRequest]) -> list[pb.PlanReply]:
        """Over a link of its own, all at once."""
        link = Link(ROUTING_LINK, self.address)
        replies: asyncio.Queue[pb.PlanReply | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(link.run())
            await until(lambda: _true_when(link.connected))
            for request in requests:
                link.request(request, replies.put_nowait)
            found = [await replies.get() for _ in requests]
            running.cancel()
        assert None not in found
        return sorted((each for each in found if each is not None), key=lambda each: each.id)


@asynccontextmanager
async def service(folder: Path, postgres_dsn: str, nats_url: str) -> AsyncIterator[Running]:
    """The service, ended by SIGTERM and expected to end well."""
    ops = f"127.0.0.1:{free_port()}"
    running = Running(f"unix:{folder}/s", ops)
    settings = {
        "TANDEM_NODE": "r1",
        "TANDEM_GRPC_ADDRESS": running.address,
        "TANDEM_OPS_ADDRESS": ops,
        "TANDEM_POSTGRES_DSN": postgres_dsn,
        "TANDEM_NATS_URL": nats_url,
        "TANDEM_CONFIG_POLL_S": "0.1",
        "TANDEM_CONFIG_WAIT_S": "0.2",
        "TANDEM_DATA_DIR": str(folder),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.routing", cwd=ROOT, env=os.environ | settings
    )
    try:
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            status = await process.wait()
    assert status == 0


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")  # short: the path of a socket has 108 bytes


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0.02)


async def _true_when(value: bool) -> bool:
    return value


def asked(
    number: int = 1, *, trunk: str = "ctr_a", called: str = "+493012", busy: tuple[str, ...] = ()
) -> pb.PlanRequest:
    return pb.PlanRequest(
        id=number,
        customer_trunk_id=trunk,
        caller="+4989",
        called=called,
        busy_vendor_trunk_ids=busy,
    )


async def test_plans_over_grpc_and_over_a_link_are_the_same(
    database: str, nats_url: str, folder: Path
) -> None:
    await execute(database, SEED)
    async with service(folder, database, nats_url) as routing:
        await until(routing.is_ready)
        async with open_channel(routing.address) as channel:
            stub = routing_pb2_grpc.RoutingStub(channel)  # type: ignore[no-untyped-call]  # generated
            reply = await stub.Plan(asked(7, busy=("vtr_b",)))
            refusal = await stub.Plan(asked(8, trunk="ctr_x"))
        (over_link,) = await routing.ask([asked(busy=("vtr_b",))])
    assert (reply.id, reply.refused, reply.account_id) == (7, "", "acc_c")
    assert (reply.caller_billed, reply.called_billed) == ("4989", "493012")
    assert decode_terms(reply.sell_terms).deck_id == "dck_sell"
    assert reply.max_call_s == 90
    (candidate,) = reply.candidates
    assert candidate == pb.Candidate(
        vendor_trunk_id="vtr_a",
        account_id="acc_v",
        host="198.51.100.1",
        port=5070,
        transport="tcp",
        caller="+4989",
        called="03012",
        buy_terms=candidate.buy_terms,
        media_proxy=True,
        trying_timeout_ms=900,
        ringing_timeout_ms=9000,
        max_calls=30,
        max_cps=10,
        stop_codes=[404, 486],
    )
    assert decode_terms(candidate.buy_terms).account_id == "acc_v"
    verdicts = [each.verdict for each in decode_explanation(reply.explanation).considered]
    assert verdicts == ["candidate", "capacity"]
    assert (refusal.id, refusal.refused) == (8, "unknown_customer")
    reply.id = over_link.id
    assert over_link == reply


async def test_batch_of_requests_is_answered_each_by_its_own_reply(
    database: str, nats_url: str, folder: Path
) -> None:
    await execute(database, SEED)
    expected = {"4930": "", "nobody": "invalid_number", "33": "no_rate", "": "invalid_number"}
    numbers = list(expected) * 40
    async with service(folder, database, nats_url) as routing:
        await until(routing.is_ready)
        replies = await routing.ask([asked(called=number) for number in numbers])
    assert [reply.refused for reply in replies] == [expected[number] for number in numbers]


async def test_changes_are_followed(database: str, nats_url: str, folder: Path) -> None:
    await execute(database, SEED)
    async with service(folder, database, nats_url) as routing:
        await until(routing.is_ready)

        async def vendors() -> list[str]:
            (reply,) = await routing.ask([asked()])
            return [each.vendor_trunk_id for each in reply.candidates]

        async def only_the_spare() -> bool:
            return await vendors() == ["vtr_b"]

        assert await vendors() == ["vtr_a", "vtr_b"]
        await execute(
            database,
            """
            UPDATE config.vendor_trunk SET enabled = false WHERE id = 'vtr_a';
            UPDATE config.revision SET n = n + 1
            """,
        )
        await until(only_the_spare)


async def test_dead_postgres_delays_the_first_start_and_stops_nothing_afterwards(
    database: str, folder: Path
) -> None:
    await execute(database, SEED)

    async def is_up_but_not_ready() -> bool:
        return await routing.status() == 503

    async def follows() -> bool:
        (reply,) = await routing.ask([asked()])
        return len(reply.candidates) == 1

    # The bus is away as well, all the time: polling has to do.
    async with cable_to(database) as (cable, dsn), service(folder, dsn, NOWHERE) as routing:
        await until(is_up_but_not_ready)
        await cable.mend()
        await until(routing.is_ready)
        await cable.cut()
        (reply,) = await routing.ask([asked()])
        assert len(reply.candidates) == 2
        assert await routing.is_ready()
        await execute(
            database,
            "DELETE FROM config.vendor_trunk WHERE id = 'vtr_b';"
            "UPDATE config.revision SET n = n + 1",
        )
        await cable.mend()
        await until(follows)


async def test_later_starts_plan_by_what_was_known_until_postgres_is_back(
    database: str, folder: Path
) -> None:
    """The rates too; then what Postgres says, be it older than what was kept."""
    await execute(database, SEED)
    file = folder / "last-known" / "configuration"

    async def is_kept() -> bool:
        return file.exists()

    async with service(folder, database, NOWHERE) as routing:
        await until(routing.is_ready)
        (before,) = await routing.ask([asked()])
        await until(is_kept)

    async def follows() -> bool:
        (reply,) = await routing.ask([asked()])
        return len(reply.candidates) == 1

    async with cable_to(database) as (cable, dsn), service(folder, dsn, NOWHERE) as routing:
        await until(routing.is_ready)
        assert "stale_configuration" in (await routing.notes())
        assert await routing.ask([asked()]) == [before]
        await execute(
            database,
            "DELETE FROM config.vendor_trunk WHERE id = 'vtr_b';UPDATE config.revision SET n = 1",
        )
        await cable.mend()
        await until(follows)
        assert await routing.notes() == {}


async def test_damaged_rates_are_not_planned_by(database: str, folder: Path) -> None:
    await execute(database, SEED)
    known = folder / "last-known"

    async def is_kept() -> bool:
        return (known / "configuration").exists()

    async def is_refused() -> bool:
        # Removed when it is read, so that it is written anew.
        return not deck.exists()

    async with service(folder, database, NOWHERE) as routing:
        await until(is_kept)
    deck = min(known.glob("*.deck"))
    deck.write_bytes(deck.read_bytes()[:-1])
    async with cable_to(database) as (cable, dsn), service(folder, dsn, NOWHERE) as routing:
        await until(is_refused)
        assert not await routing.is_ready()
        await cable.mend()
        await until(routing.is_ready)
