"""The thread in which a spool touches the disk.

A thread pool's futures cost 200 microseconds more for each hand-over than this does, and the
hand-over of a group commit is the larger part of what it costs.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(Generic[T]):
    """What came of a piece of work."""

    __slots__ = ("_error", "_value")

    def __init__(self, value: T | None, error: Exception | None) -> None:
        self._value = value
        self._error = error

    def get(self) -> T:
        """The result, or the exception the work ended in."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # without error there is a value


class DiskThread:
    """Does one thing after the other; results come back to the loop it was made on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon: a disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        """Do ``work``, then call ``done`` on the loop."""

        def step() -> None:
            try:
                outcome = Outcome(work(), None)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the outcome
                outcome = Outcome(None, error)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(done, outcome)

        self._queue.put(step)

    async def call(self, work: Callable[[], T]) -> T:
        """Do ``work`` and return its result; when cancelled, it is done all the same."""
        finished: asyncio.Future[Outcome[T]] = self._loop.create_future()

        def done(outcome: Outcome[T]) -> None:
            if not finished.done():
                finished.set_result(outcome)

        self.submit(work, done)
        return (await finished).get()

    def stop(self) -> None:
        """End once everything submitted so far is done; does not wait."""
        self._queue.put(None)

    def _run(self) -> None:
        while (step := self._queue.get()) is not None:
            step()
