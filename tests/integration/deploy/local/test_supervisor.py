"""Keeping processes running, with small programs in the place of services."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local.children import Command
from deploy.local.errors import StartFailed
from deploy.local.layout import Layout
from deploy.local.supervisor import Keeper, Phase, Progress, all_ready, run_once
from deploy.local.units import Service
from tests.support.ports import free_port

READY = """
import signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from tests.support.ports import free_port
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *_): pass
"""
OBEDIENT = READY + 'HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()'
STUBBORN = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + OBEDIENT[len(READY) :]
SECOND_THOUGHTS = (
    READY
    + "asked = []\n"
    + "def ask(*_):\n    asked.append(1)\n    if len(asked) == 2: sys.exit(0)\n"
    + "signal.signal(signal.SIGTERM, ask)\n"
    + OBEDIENT[len(READY) :]
)
FAILING = 'import sys; sys.exit("out of luck")'


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    created = Layout(tmp_path)
    created.create()
    return created


def service(program: str) -> Service:
    port = free_port()
    return Service("toy", Command((sys.executable, "-c", program, str(port))), ops_port=port)


@asynccontextmanager
async def kept(
    layout: Layout, program: str, observer: Callable[[Progress], None] = lambda _: None
) -> AsyncIterator[Keeper]:
    keeper = Keeper(service(program), layout, observer)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run())
        yield keeper
        await keeper.stop(5.0, asyncio.Event())


async def test_a_process_that_dies_is_started_again(layout: Layout) -> None:
    died = asyncio.Event()

    def observe(step: Progress) -> None:
        if step.phase is Phase.DIED:
            died.set()

    async with kept(layout, OBEDIENT, observe) as keeper:
        await all_ready([keeper], 20.0)
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await died.wait()
        await all_ready([keeper], 20.0)
        assert keeper.pid not in (None, first)


async def test_a_process_that_never_comes_up_fails_the_start(layout: Layout) -> None:
    seen: list[Phase] = []
    keeper = Keeper(service(FAILING), layout, lambda step: seen.append(step.phase))
    with pytest.raises(StartFailed, match="exit 1") as failed:
        await keeper.run()
    assert "out of luck" in failed.value.log
    assert seen.count(Phase.STARTING) == 3


async def test_wrong_settings_are_not_tried_again(layout: Layout) -> None:
    seen: list[Phase] = []
    program = "import sys; sys.exit(78)"
    keeper = Keeper(service(program), layout, lambda step: seen.append(step.phase))
    with pytest.raises(StartFailed, match="exit 78"):
        await keeper.run()
    assert seen.count(Phase.STARTING) == 1


async def test_a_program_that_is_not_there_fails_the_start(layout: Layout) -> None:
    keeper = Keeper(Service("toy", Command(("/no/such",)), ops_port=1), layout, lambda _: None)
    with pytest.raises(StartFailed) as failed:
        await keeper.run()
    assert "/no/such" in failed.value.log


@pytest.mark.parametrize("program", [STUBBORN, SECOND_THOUGHTS])
async def test_what_does_not_end_when_asked_is_ended(layout: Layout, program: str) -> None:
    hurry = asyncio.Event()
    hurry.set()  # the second Ctrl-C is already there
    keeper = Keeper(service(program), layout, lambda _: None, last_patience_s=1.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run())
        await all_ready([keeper], 20.0)
        await keeper.stop(3600.0, hurry)
    assert keeper.pid is None


async def test_stopping_what_is_held_down(layout: Layout) -> None:
    async with kept(layout, OBEDIENT) as keeper:
        await all_ready([keeper], 20.0)
        keeper.allowed.clear()
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGKILL)
    assert keeper.pid is None


async def test_one_step_that_fails_shows_its_words(layout: Layout) -> None:
    with pytest.raises(StartFailed, match="out of luck"):
        await run_once("step", Command((sys.executable, "-c", FAILING)), layout, 20.0)
    endless = Command((sys.executable, "-c", "import time; time.sleep(1000)"))
    with pytest.raises(StartFailed, match="not done within"):
        await run_once("step", endless, layout, 0.2)


async def test_a_child_is_in_a_session_of_its_own_so_that_ctrl_c_passes_it_by(
    layout: Layout,
) -> None:
    async with kept(layout, OBEDIENT) as keeper:
        await all_ready([keeper], 20.0)
        assert keeper.pid is not None
        assert os.getsid(keeper.pid) == keeper.pid
