"""Cancellation that a library swallows, brought back."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def surfaced_cancellation() -> Iterator[None]:
    """Raise ``CancelledError`` at the end if the task was cancelled inside and went on.

    nats-py's flush, part of every publish, catches ``CancelledError`` and returns, and its
    requests make a timeout of it: a loop around them could otherwise never be ended. With asyncpg
    it turns into the failure of the rollback that follows, when the server is away. Cancellation
    from before the block is left alone, so that cleaning up may still use bus and database.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
