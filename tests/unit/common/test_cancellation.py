import asyncio

import pytest

from services.common.cancellation import surfaced_cancellation
from services.common.errors import Unavailable


async def swallow(error: Exception | None = None) -> None:
    """Behaves as nats-py's flush does."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if error is not None:
            raise error from None


@pytest.mark.parametrize("error", [None, Unavailable("bus")])
async def test_swallowed_cancellation_ends_the_task_all_the_same(error: Exception | None) -> None:
    async def work() -> None:
        with surfaced_cancellation():
            await swallow(error)

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        await asyncio.sleep(0)
        working.cancel()
    assert working.cancelled()


async def test_cleaning_up_after_a_cancellation_goes_on() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with surfaced_cancellation():
                await asyncio.sleep(0)
            cleaned.append("up")

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        await asyncio.sleep(0)
        working.cancel()
    assert cleaned == ["up"]


async def test_a_timeout_inside_is_no_cancellation() -> None:
    with surfaced_cancellation(), pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_errors_pass_when_nobody_cancelled() -> None:
    with pytest.raises(Unavailable), surfaced_cancellation():
        raise Unavailable("bus")
