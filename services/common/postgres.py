"""Postgres connections: pools that wait for their server, and failures in our words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import asyncpg

from services.common.errors import Unavailable
from services.common.logs import get_logger

log = get_logger(__name__)

UNAVAILABLE: tuple[type[Exception], ...] = (
    OSError,  # TimeoutError included
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    # A connection that broke between two messages of one statement: asyncpg finds itself in a
    # state it did not expect, and drops the connection.
    asyncpg.InternalClientError,
)
"""Failures of the server or the way to it; anything else asyncpg raises is a bug of ours."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

READER = "tandem_reader"
"""May read every table."""


async def open_pool(
    dsn: str,
    *,
    role: str,
    name: str,
    max_size: int = 4,
    setup: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
) -> Pool:
    """A pool whose connections act as ``role``; waits for the server as long as it takes.

    ``name`` is what the server's activity view shows. ``setup`` is run on each new connection
    (to register codecs). Cancel the call to stop waiting.
    """
    pause_s = 0.1
    while True:
        pool = asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=max_size,
            init=setup,
            timeout=5.0,
            command_timeout=60.0,
            server_settings={"role": role, "application_name": name},
        )
        try:
            async with asyncio.timeout(10.0):
                return await pool
        # A server that is being installed also refuses the login, the role or the database.
        except (OSError, asyncpg.PostgresError) as error:
            pool.terminate()
            log.warning("postgres.waiting", pool=name, error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 5.0)


async def close_pool(pool: Pool, *, timeout_s: float = 5.0) -> None:
    """Close once the statements in progress have finished, or after ``timeout_s`` regardless."""
    try:
        async with asyncio.timeout(timeout_s):
            await pool.close()
    except TimeoutError:
        pool.terminate()


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise :class:`Unavailable` naming ``what`` for every failure of the server.

    Raises:
        Unavailable: the server is away, going away, full, or too slow.
    """
    try:
        yield
    except UNAVAILABLE as error:
        raise Unavailable(what) from error
    except asyncpg.InterfaceError as error:
        # asyncpg's word for both wrong arguments (a bug) and a connection lost meanwhile.
        if "closed" not in str(error) and "closing" not in str(error):
            raise
        raise Unavailable(what) from error


@asynccontextmanager
async def bounded(what: str, timeout_s: float) -> AsyncIterator[None]:
    """:func:`translated`, with a limit on everything inside: the wait for the pool too."""
    with translated(what):
        async with asyncio.timeout(timeout_s):
            yield


@asynccontextmanager
async def transaction(pool: Pool, what: str, *, timeout_s: float) -> AsyncIterator[Connection]:
    """One transaction, committed when the block ends well, all of it within ``timeout_s``.

    Raises:
        Unavailable: it may or may not have been committed; repeat it only if that is harmless.
    """
    async with bounded(what, timeout_s), pool.acquire() as connection, connection.transaction():
        yield connection
