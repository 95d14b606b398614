"""Postgres connections: pools that wait for their server, and failures in our words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import asyncpg

from services.common.cancellation import surfaced_cancellation
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
    asyncpg.ReadOnlySQLTransactionError,  # a standby, for the moment of a failover
    asyncpg.PostgresSystemError,  # its disk
    # A migration changed what a statement yields: the next time it is prepared anew.
    asyncpg.InvalidCachedStatementError,
)
"""Failures of the server or the way to it; anything else asyncpg raises is a bug of ours."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

READER = "tandem_reader"
"""May read every table."""


async def lazy_pool(
    dsn: str,
    *,
    role: str,
    name: str,
    max_size: int = 4,
    setup: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
) -> Pool:
    """A pool whose connections act as ``role``, and are made when they are needed.

    While the server is away, or refuses the login, every use of it fails as :func:`translated`
    says. ``name`` is what the server's activity view shows. ``setup`` is run on each new
    connection (to register codecs).
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        connect=_connect,
        init=setup,
        timeout=5.0,
        command_timeout=60.0,
        server_settings={"role": role, "application_name": name},
    )


async def _connect(dsn: str, **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - asyncpg's
    try:
        return await asyncpg.connect(dsn, **options)
    # A server that is being installed, restored or given new passwords refuses the login, the
    # role or the database; one that dies meanwhile leaves asyncpg with half an answer.
    except (asyncpg.PostgresError, asyncpg.InternalClientError, EOFError) as error:
        raise ConnectionRefusedError(f"{type(error).__name__}: {error}") from error


async def open_pool(
    dsn: str,
    *,
    role: str,
    name: str,
    max_size: int = 4,
    setup: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
) -> Pool:
    """A :func:`lazy_pool` with its first connection; waits for the server as long as it takes.

    Cancel the call to stop waiting.
    """
    pool = await lazy_pool(dsn, role=role, name=name, max_size=max_size, setup=setup)
    pause_s = 0.1
    while True:
        try:
            async with bounded(name, 10.0), pool.acquire():
                return pool
        except Unavailable as error:
            log.warning("postgres.waiting", pool=name, error=repr(error.__cause__))
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
    with surfaced_cancellation():
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
