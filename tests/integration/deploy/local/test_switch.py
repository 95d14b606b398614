"""One machine's servers under supervision: crash, restart, refuse, stop."""

import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import nats
import pytest
from clickhouse_driver import Client

from deploy.local import tools
from deploy.local.errors import AlreadyRunning, StartFailed
from deploy.local.settings import SERVERS, Addresses, Options
from deploy.local.supervisor import Phase, Progress
from deploy.local.switch import LocalSwitch


def options(data: Path, **changes: object) -> Options:
    return Options(data=data, services=(), **changes)  # type: ignore[arg-type] # fields of Options


@contextlib.contextmanager
def watched(pid: int | None) -> Iterator[int]:
    """A descriptor that becomes readable when the process ends."""
    assert pid is not None
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def has_ended(descriptor: int, limit_s: float = 20.0) -> bool:
    return bool(select.select([descriptor], [], [], limit_s)[0])


async def write(addresses: Addresses, n: int) -> None:
    bus = await nats.connect(addresses.nats_url)
    jetstream = bus.jetstream()
    await jetstream.add_stream(name="KEPT", subjects=["kept"])
    await jetstream.publish("kept", str(n).encode())
    await bus.close()
    connection = await asyncpg.connect(addresses.postgres_dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
    await connection.execute("INSERT INTO kept VALUES ($1)", n)
    await connection.close()
    with Client.from_url(addresses.clickhouse_dsn) as client:
        client.execute("CREATE TABLE IF NOT EXISTS kept (n UInt8) ENGINE = MergeTree ORDER BY n")
        client.execute("INSERT INTO kept VALUES", [(n,)])


async def counts(addresses: Addresses) -> tuple[object, ...]:
    bus = await nats.connect(addresses.nats_url)
    messages = (await bus.jetstream().stream_info("KEPT")).state.messages
    await bus.close()
    connection = await asyncpg.connect(addresses.postgres_dsn)
    rows = await connection.fetchval("SELECT count(*) FROM kept")
    await connection.close()
    with Client.from_url(addresses.clickhouse_dsn) as client:
        ((records,),) = client.execute("SELECT count() FROM kept")
    return messages, rows, records


async def test_data_survives_kill_of_every_server_and_a_restart_of_all(tmp_path: Path) -> None:
    with LocalSwitch(options(tmp_path)) as switch:
        before = switch.addresses
        await write(before, 1)
        for name in SERVERS:
            switch.kill(name)
        for name in SERVERS:
            switch.wait_ready(name)
        assert await counts(before) == (1, 1, 1)
        await write(before, 2)
    with LocalSwitch(options(tmp_path)) as again:
        assert again.addresses.postgres_dsn == before.postgres_dsn
        assert again.addresses.nats_url == before.nats_url
        assert await counts(again.addresses) == (2, 2, 2)


async def test_what_is_held_stays_down_until_it_is_released(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with LocalSwitch(options(tmp_path, fsync=False), seen.append) as switch:
        await write(switch.addresses, 1)
        switch.hold("postgres")
        switch.kill("postgres")
        with pytest.raises(StartFailed, match="postgres did not start: not ready"):
            switch.wait_ready("postgres", timeout_s=1.0)
        assert switch.pid("postgres") is None
        switch.release("postgres")
        switch.wait_ready("postgres")
        assert await counts(switch.addresses) == (1, 1, 1)
    steps = [step.phase for step in seen if step.name == "postgres"]
    up = [Phase.STARTING, Phase.READY]
    assert steps == [*up, Phase.DIED, *up, Phase.STOPPING, Phase.STOPPED]


def test_a_second_switch_on_one_folder_is_refused(tmp_path: Path) -> None:
    with LocalSwitch(options(tmp_path, fsync=False)) as switch:
        with pytest.raises(AlreadyRunning) as refused:
            LocalSwitch(options(tmp_path)).start()
        assert refused.value.pid == os.getpid()
        assert switch.pid("nats") is not None


def test_what_cannot_start_is_named_with_its_own_words(tmp_path: Path) -> None:
    store = tmp_path / "nats" / "store"
    store.parent.mkdir()
    store.write_text("in the way of a folder")
    switch = LocalSwitch(options(tmp_path, fsync=False))
    with pytest.raises(StartFailed, match="nats did not start: exit 1") as failed:
        switch.start()
    assert "storage directory is not a directory" in failed.value.log
    assert [switch.pid(name) for name in SERVERS] == [None, None, None]


def test_servers_of_the_operators_own_are_used(tmp_path: Path, servers: Addresses) -> None:
    given = options(
        tmp_path,
        nats_url=servers.nats_url,
        postgres_dsn=servers.postgres_dsn,
        clickhouse_dsn=servers.clickhouse_dsn,
    )
    seen: list[Progress] = []
    with LocalSwitch(given, seen.append) as switch:
        assert switch.addresses.stores == servers.stores
    assert seen == []


def test_stopping_before_the_start_and_twice_is_harmless(tmp_path: Path) -> None:
    LocalSwitch(options(tmp_path)).stop()
    with LocalSwitch(options(tmp_path, fsync=False)) as switch:
        switch.stop()


def test_a_start_can_be_cut_short(tmp_path: Path) -> None:
    begun = threading.Event()
    switch = LocalSwitch(options(tmp_path, fsync=False), lambda _: begun.set())
    with ThreadPoolExecutor(1) as other:
        starting = other.submit(switch.start)
        assert begun.wait(20.0)
        switch.stop()
        with pytest.raises(StartFailed, match="told to stop"):
            starting.result()
    assert [switch.pid(name) for name in SERVERS] == [None, None, None]


PROGRAM = """
import sys, threading
from pathlib import Path
from deploy.local.settings import SERVERS, Options
from deploy.local.switch import LocalSwitch
switch = LocalSwitch(Options(data=Path(sys.argv[1]), services=(), fsync=False))
switch.start()
sys.stdout.write(" ".join(str(switch.pid(name)) for name in SERVERS) + "\\n")
sys.stdout.flush()
threading.Event().wait()
"""


def test_servers_end_with_a_supervisor_that_is_killed_and_come_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, cwd=tools.ROOT, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(text) for text in supervisor.stdout.readline().split()]
        with contextlib.ExitStack() as stack:
            processes = [stack.enter_context(watched(pid)) for pid in pids]
            supervisor.kill()
            assert all(has_ended(process) for process in processes)
    assert len(pids) == len(SERVERS)
    with LocalSwitch(options(tmp_path, fsync=False)) as again:
        assert again.pid("postgres") is not None
