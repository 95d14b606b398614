"""Routing servers over HTTP. Implements :class:`services.signaling.ports.RouteServers`.

One pooled client for all of them, loaded when the first customer trunk names one. Each question
is a task, of which there are so many at most: a server that hangs must not fill the memory.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from services.common.errors import Unavailable
from services.common.logs import get_logger
from services.signaling.core.commands import AskServer
from services.signaling.core.offered_routes import Ruling, from_json

if TYPE_CHECKING:
    import httpx

    Client: TypeAlias = httpx.AsyncClient

log = get_logger(__name__)

MOST_WAITING: Final = 2_000
_CONNECTIONS: Final = 64
_LARGEST_ANSWER: Final = 64 * 1024

OnRuling = Callable[[Ruling | None], None]
_encode = msgspec.json.Encoder().encode


class HttpRouteServers:
    """See the module docstring; :meth:`run` must be running."""

    def __init__(self) -> None:
        self.failed = 0
        """Questions without a usable answer."""
        self._client: Client | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()

    def prepare(self) -> None:
        """There is a trunk with such a server now."""
        self._wanted.set()

    async def settled(self, within_s: float) -> None:
        """Return when questions can be asked, if anybody will; or when the time is over."""
        if self._wanted.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._ready.wait()

    async def run(self) -> None:
        """Answer questions until cancelled."""
        await self._wanted.wait()
        # Its import takes a while: calls go on meanwhile.
        await asyncio.to_thread(importlib.import_module, "httpx")
        async with _open_client() as client, asyncio.TaskGroup() as tasks:
            self._client, self._tasks = client, tasks
            self._ready.set()
            try:
                await asyncio.Event().wait()
            finally:
                self._client = self._tasks = None

    def ask(self, question: AskServer, on_ruling: OnRuling) -> None:
        """See :meth:`services.signaling.ports.RouteServers.ask`."""
        client, tasks = self._client, self._tasks
        if client is None or tasks is None or self._waiting >= MOST_WAITING:
            self.failed += 1
            on_ruling(None)
            return
        self._waiting += 1
        tasks.create_task(self._ask(client, question, on_ruling))

    async def _ask(self, client: Client, question: AskServer, on_ruling: OnRuling) -> None:
        ruling: Ruling | None = None
        try:
            async with asyncio.timeout(question.timeout_ms / 1000):  # waiting for a turn included
                ruling = await _post(client, question.url, question.question)
        except (Unavailable, TimeoutError) as error:
            log.info("routing_server.failed", url=question.url, error=str(error) or "timeout")
        finally:
            self._waiting -= 1
            self.failed += ruling is None
            # From the loop, so that an error of a call is not one of this group.
            asyncio.get_running_loop().call_soon(on_ruling, ruling)


def _open_client() -> Client:
    import httpx

    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - every question has one of its own
        limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        headers={"user-agent": "Tandem", "content-type": "application/json"},
    )


async def _post(client: Client, url: str, question: Mapping[str, str]) -> Ruling | None:
    """Ask, and read the answer as far as it may be long.

    Raises:
        Unavailable: the server cannot be talked to.
    """
    import httpx

    try:
        async with client.stream("POST", url, content=_encode(question)) as response:
            if response.status_code != 200:
                return None
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    return None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Unavailable(f"routing server ({type(error).__name__})") from error
    return from_json(body)
