"""Routing servers over real HTTP: good, slow, silly, away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.signaling.adapters import route_server
from services.signaling.adapters.route_server import HttpRouteServers
from services.signaling.core.commands import AskServer
from services.signaling.core.offered_routes import Refusal, Ruling
from services.signaling.core.values import OfferedRoute
from tests.support.signaling.party import PATIENCE_S, until

QUESTION = {"call_id": "cal_1", "called": "4930"}


class HttpServer:
    """Answers every POST with the same bytes, on connections that are kept."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.body = b""
        self.is_silent = False
        self.asked: list[dict[str, str]] = []
        self.connections = 0
        self.url = ""

    @asynccontextmanager
    async def started(self) -> AsyncIterator[HttpServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/routes"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                self.asked.append(json.loads(await reader.readexactly(length)))
                if self.is_silent:
                    continue
                lines = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n\r\n"
                writer.write(lines.encode() + self.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def asking() -> AsyncIterator[HttpRouteServers]:
    servers = HttpRouteServers()
    servers.prepare()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(servers.run())
        await until(lambda: servers._client is not None)
        yield servers
        running.cancel()


async def ask(servers: HttpRouteServers, url: str, timeout_ms: int = 5_000) -> Ruling | None:
    answers: asyncio.Queue[Ruling | None] = asyncio.Queue()
    servers.ask(AskServer(url, timeout_ms, QUESTION), answers.put_nowait)
    async with asyncio.timeout(PATIENCE_S):
        return await answers.get()


async def test_routes_and_refusals_over_one_connection() -> None:
    async with HttpServer().started() as server, asking() as servers:
        server.body = b'{"routes": [{"vendor_trunk": "north", "called": "4930"}]}'
        assert await ask(servers, server.url) == (OfferedRoute(vendor="north", called="4930"),)
        server.body = b'{"refuse": {"status": 404}}'
        assert await ask(servers, server.url) == Refusal(404)
        assert server.asked == [QUESTION, QUESTION]
        assert (server.connections, servers.failed) == (1, 0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("500 Oops", b'{"routes": [{"vendor_trunk": "north"}]}'),
        ("302 Found", b""),
        ("200 OK", b"hello"),
        ("200 OK", b"{}"),
        ("200 OK", b"[" * 100_000),
        ("nonsense", b""),
    ],
)
async def test_nonsense_is_no_answer(status: str, body: bytes) -> None:
    async with HttpServer().started() as server, asking() as servers:
        server.status, server.body = status, body
        assert await ask(servers, server.url) is None
        assert servers.failed == 1


async def test_a_server_that_is_silent_or_away() -> None:
    async with HttpServer().started() as server, asking() as servers:
        server.is_silent = True
        assert await ask(servers, server.url, timeout_ms=100) is None
        assert await ask(servers, "http://127.0.0.1:9/") is None
        assert await ask(servers, "http://nobody.invalid/") is None
        assert await ask(servers, "http://[::/") is None
        assert servers.failed == 4


async def test_no_more_questions_wait_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_server, "MOST_WAITING", 1)
    async with HttpServer().started() as server, asking() as servers:
        server.is_silent = True
        late: list[Ruling | None] = []
        servers.ask(AskServer(server.url, 200, QUESTION), late.append)
        assert await ask(servers, server.url) is None
        assert late == []
        await until(lambda: late == [None])


async def test_before_anybody_wanted_it_there_is_no_answer() -> None:
    servers = HttpRouteServers()
    assert await ask(servers, "http://127.0.0.1:9/") is None
