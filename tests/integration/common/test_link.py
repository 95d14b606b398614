"""Links between real sockets, and the gRPC that shares their address."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from proto.media.v1.media_pb2 import MediaEvent, MediaItem, MediaReply
from proto.rating.v1 import rating_pb2_grpc
from proto.rating.v1.rating_pb2 import (
    CreditBatch,
    CreditItem,
    CreditReply,
    PayReply,
    PayRequest,
)
from proto.routing.v1.routing_pb2 import PlanReply, PlanRequest
from services.common.errors import Invalid, SwitchError, Unavailable
from services.common.grpc import Server, open_channel, translated_rpc
from services.common.link import Link
from services.common.link_methods import MEDIA_LINK, RATING_LINK, ROUTING_LINK
from services.common.link_server import Replies

PATIENCE_S = 20.0

PlanReplies = Replies[PlanReply, PlanReply]


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path, free_port: int) -> str:
    return f"unix:{tmp_path}/s" if request.param == "unix" else f"127.0.0.1:{free_port}"


def echo(items: Sequence[PlanRequest], replies: PlanReplies) -> None:
    for item in items:
        replies.send(PlanReply(id=item.id, called_billed=item.called))


@asynccontextmanager
async def routing(
    address: str, on_items: Callable[[Sequence[PlanRequest], PlanReplies], None] = echo
) -> AsyncIterator[Server]:
    async with asyncio.TaskGroup() as tasks:
        server = Server(address)
        server.add_link(ROUTING_LINK, on_items)
        await server.start(tasks)
        yield server
        await server.stop(0)


@asynccontextmanager
async def linked(
    address: str, *, timeout_s: float = PATIENCE_S
) -> AsyncIterator[Link[PlanRequest, PlanReply, PlanReply]]:
    link = Link(ROUTING_LINK, address, timeout_s=timeout_s)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.connected)
        yield link
        running.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)


async def ask(link: Link[PlanRequest, PlanReply, PlanReply], called: str) -> PlanReply | None:
    answer: asyncio.Future[PlanReply | None] = asyncio.get_running_loop().create_future()
    link.request(PlanRequest(called=called), answer.set_result)
    async with asyncio.timeout(PATIENCE_S):
        return await answer


async def test_each_request_gets_its_own_reply(address: str) -> None:
    async with routing(address), linked(address) as link:
        answers = await asyncio.gather(*(ask(link, str(n)) for n in range(500)))
    assert [answer and answer.called_billed for answer in answers] == [str(n) for n in range(500)]


async def test_requests_made_together_travel_together(address: str) -> None:
    sizes: list[int] = []

    def on_items(items: Sequence[PlanRequest], replies: PlanReplies) -> None:
        sizes.append(len(items))
        echo(items, replies)

    async with routing(address, on_items), linked(address) as link:
        await asyncio.gather(*(ask(link, str(n)) for n in range(200)))
    assert sizes == [200]


async def test_reply_may_come_later_and_out_of_order(address: str) -> None:
    held: list[tuple[PlanRequest, PlanReplies]] = []

    def on_items(items: Sequence[PlanRequest], replies: PlanReplies) -> None:
        held.extend((item, replies) for item in items)
        if len(held) == 3:
            for item, way_back in reversed(held):
                asyncio.get_running_loop().call_soon(
                    way_back.send, PlanReply(id=item.id, called_billed=item.called)
                )

    async with routing(address, on_items), linked(address) as link:
        answers = await asyncio.gather(*(ask(link, name) for name in "abc"))
    assert [answer and answer.called_billed for answer in answers] == ["a", "b", "c"]


async def test_unanswered_request_ends_in_none_and_its_late_reply_in_nothing(
    address: str,
) -> None:
    held: list[tuple[int, PlanReplies]] = []

    def on_items(items: Sequence[PlanRequest], replies: PlanReplies) -> None:
        held.extend((item.id, replies) for item in items if item.called == "slow")
        echo([item for item in items if item.called != "slow"], replies)

    async with routing(address, on_items), linked(address, timeout_s=0.1) as link:
        assert await ask(link, "slow") is None
        assert (link.timed_out, link.waiting) == (1, 0)
        number, replies = held[0]
        replies.send(PlanReply(id=number))
        answer = await ask(link, "quick")
        assert answer is not None
        assert answer.called_billed == "quick"


async def test_disconnected_link_answers_none_before_it_returns(address: str) -> None:
    answers: list[PlanReply | None] = []
    link = Link(ROUTING_LINK, address)
    link.request(PlanRequest(), answers.append)
    assert answers == [None]
    assert not link.send(PlanRequest())
    assert link.refused == 2


async def test_pending_requests_fail_when_the_server_dies_and_it_reconnects(address: str) -> None:
    asked = asyncio.Event()
    link = Link(ROUTING_LINK, address, timeout_s=PATIENCE_S)
    answer: asyncio.Future[PlanReply | None] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        async with routing(address, lambda _items, _replies: asked.set()):
            await until(lambda: link.connected)
            link.request(PlanRequest(called="x"), answer.set_result)
            async with asyncio.timeout(PATIENCE_S):
                await asked.wait()
        async with asyncio.timeout(PATIENCE_S):
            assert await answer is None
        assert not link.connected
        async with routing(address):
            await until(lambda: link.connected)
            assert await ask(link, "again") is not None
            assert link.connects == 2
            running.cancel()


async def test_bug_in_a_handler_costs_its_batch_only(address: str) -> None:
    def on_items(items: Sequence[PlanRequest], replies: PlanReplies) -> None:
        if items[0].called == "bad":
            raise ZeroDivisionError
        echo(items, replies)

    async with routing(address, on_items), linked(address, timeout_s=0.2) as link:
        assert await ask(link, "bad") is None
        assert await ask(link, "good") is not None
        assert link.connects == 1


async def test_server_tells_what_nobody_asked(address: str) -> None:
    def on_items(items: Sequence[MediaItem], replies: Replies[MediaReply, MediaEvent]) -> None:
        for item in items:
            replies.tell(MediaEvent(call_id=item.call_id, kind="silence"))

    heard: asyncio.Queue[MediaEvent] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        server = Server(address)
        server.add_link(MEDIA_LINK, on_items)
        await server.start(tasks)
        link = Link(MEDIA_LINK, address, on_event=heard.put_nowait)
        running = tasks.create_task(link.run())
        await until(lambda: link.connected)
        assert link.send(MediaItem(call_id="cal_1"))
        async with asyncio.timeout(PATIENCE_S):
            assert (await heard.get()).call_id == "cal_1"
        running.cancel()
        await server.stop(0)


async def test_rubbish_costs_its_own_connection_only(address: str) -> None:
    async with routing(address), linked(address) as link:
        for rubbish in (
            b"TANDEM-LINK/1 /no.such/Method\n",
            b"TANDEM-LINK/1 " + b"x" * 1000,
            b"TANDEM-LINK/1 /tandem.routing.v1.Routing/Link\n" + b"\x00" * 3,
        ):
            reader, writer = await connect(address)
            writer.write(rubbish)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                await reader.read()
            writer.close()
        reader, writer = await connect(address)
        writer.write(b"TANDEM-LINK/1 /tandem.routing.v1.Routing/Link\n")
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(4) == bytes(4)
            writer.write(b"\x00\x00\x00\x02\xff\xff")
            assert await reader.read() == b""
        writer.close()
        assert await ask(link, "still here") is not None


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, port = address.split(":")
    return await asyncio.open_connection(host, int(port))


class Rating(rating_pb2_grpc.RatingServicer):
    """Pays nobody, in four ways."""

    async def Pay(self, request: PayRequest, _context: object) -> PayReply:  # noqa: N802
        match request.kind:
            case "payment":
                return PayReply(balance=request.amount)
            case "invalid":
                raise Invalid("amount", "must not be zero")
            case "away":
                raise Unavailable("money database")
            case _:
                raise SwitchError("account is closed")


def _stub(channel: grpc.aio.Channel) -> rating_pb2_grpc.RatingStub:
    return rating_pb2_grpc.RatingStub(channel)  # type: ignore[no-untyped-call]  # generated


@asynccontextmanager
async def rating(address: str) -> AsyncIterator[rating_pb2_grpc.RatingStub]:
    def on_items(items: Sequence[CreditItem], replies: Replies[CreditReply, CreditReply]) -> None:
        for item in items:
            replies.send(CreditReply(id=item.id))

    async with asyncio.TaskGroup() as tasks:
        server = Server(address)
        server.add(rating_pb2_grpc.add_RatingServicer_to_server, Rating())
        server.add_link(RATING_LINK, on_items)
        await server.start(tasks)
        async with open_channel(address) as channel:
            yield _stub(channel)
        await server.stop(0)


async def test_grpc_client_calls_at_the_address_of_the_link(address: str) -> None:
    async with rating(address) as stub:
        reply = await stub.Pay(PayRequest(kind="payment", amount="5.25"), timeout=PATIENCE_S)
    assert reply.balance == "5.25"


async def test_large_messages_pass_the_shared_address(address: str) -> None:
    amount = "1" * 3_000_000
    async with rating(address) as stub:
        reply = await stub.Pay(PayRequest(kind="payment", amount=amount), timeout=PATIENCE_S)
    assert reply.balance == amount


async def test_link_is_a_grpc_stream_for_those_who_want_one(address: str) -> None:
    async with rating(address) as stub:
        call = stub.Link(timeout=PATIENCE_S)
        await call.write(CreditBatch(items=[CreditItem(id=1), CreditItem(id=2)]))
        batch = await call.read()
        assert [item.id for item in batch.items] == [1, 2]
        await call.done_writing()
        assert not isinstance(await call.read(), CreditReply)


async def test_errors_of_ours_are_the_same_at_the_other_side(address: str) -> None:
    async with rating(address) as stub:
        with pytest.raises(Invalid) as invalid, translated_rpc("rating"):
            await stub.Pay(PayRequest(kind="invalid"), timeout=PATIENCE_S)
        assert (invalid.value.field, invalid.value.reason) == ("amount", "must not be zero")
        with pytest.raises(Unavailable), translated_rpc("rating"):
            await stub.Pay(PayRequest(kind="away"), timeout=PATIENCE_S)
        with pytest.raises(SwitchError, match="account is closed"), translated_rpc("rating"):
            await stub.Pay(PayRequest(kind="other"), timeout=PATIENCE_S)


async def test_unreachable_service_is_unavailable(free_port: int) -> None:
    async with open_channel(f"127.0.0.1:{free_port}") as channel:
        stub = _stub(channel)
        with pytest.raises(Unavailable), translated_rpc("rating"):
            await stub.Pay(PayRequest(), timeout=PATIENCE_S)


async def test_address_in_use_is_an_os_error(free_port: int) -> None:
    address = f"127.0.0.1:{free_port}"
    async with routing(address), asyncio.TaskGroup() as tasks:
        second = Server(address)
        second.add_link(ROUTING_LINK, echo)
        with pytest.raises(OSError, match="in use"):
            await second.start(tasks)
        await second.stop(0)
