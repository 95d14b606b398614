"""Which failures of asyncpg mean that the server is away, and which that we are wrong."""

import asyncio

import asyncpg
import pytest

from services.common.errors import Unavailable
from services.common.postgres import bounded, translated

AWAY = [
    ConnectionRefusedError("nobody listens"),
    ConnectionResetError("it died"),
    TimeoutError("it said nothing"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.CrashShutdownError("terminating connection because of crash of another process"),
    asyncpg.QueryCanceledError("canceling statement due to user request"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.DiskFullError("could not extend file"),
    # Killed between two messages of one statement.
    asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
    # Another server has its place: a standby for now, or one with a broken disk.
    asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
    asyncpg.PostgresIOError("could not read block 7"),
    # A migration ran meanwhile: the same statement is prepared anew the next time.
    asyncpg.InvalidCachedStatementError("cached statement plan is invalid"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InterfaceError("cannot perform operation: connection is closed"),
]


@pytest.mark.parametrize(
    "failure", AWAY, ids=lambda failure: f"{type(failure).__name__}: {failure}"
)
async def test_a_server_that_dies_or_is_away_is_unavailable(failure: Exception) -> None:
    with pytest.raises(Unavailable) as caught, translated("money database"):
        raise failure
    assert caught.value.what == "money database"
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize(
    "failure",
    [
        asyncpg.UndefinedTableError("relation does not exist"),
        asyncpg.UniqueViolationError("duplicate key"),
        asyncpg.InsufficientPrivilegeError("permission denied"),
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.InterfaceError("the server expects 1 argument for this query, 0 were passed"),
        ValueError("ours"),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
async def test_our_own_mistakes_stay_what_they_are(failure: BaseException) -> None:
    with pytest.raises(type(failure)) as caught, translated("money database"):
        raise failure
    assert caught.value is failure


async def test_a_cancellation_does_not_become_a_failure() -> None:
    """The statement is given up, and then the rollback fails: a loop is to end all the same."""

    async def work() -> None:
        with translated("money database"):
            try:
                await asyncio.Event().wait()
            finally:
                raise asyncpg.InterfaceError("connection is closed")

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()


async def test_a_timeout_of_our_own_is_no_cancellation() -> None:
    with pytest.raises(Unavailable):
        async with bounded("money database", 0.0):
            await asyncio.Event().wait()
