"""Postgres under our own supervision, in places its user cannot walk to and after crashes."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local import postgres
from deploy.local.children import Account
from deploy.local.errors import StartFailed
from deploy.local.postgres import Postgres, can_walk_to, is_server_of
from deploy.local.settings import Options
from deploy.local.switch import LocalSwitch


def options(data: Path, **changes: object) -> Options:
    elsewhere = {"nats_url": "nats://127.0.0.1:1", "clickhouse_dsn": "clickhouse://127.0.0.1:1/x"}
    return Options(data=data, services=(), fsync=False, **elsewhere, **changes)  # type: ignore[arg-type] # fields of Options


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can walk to, as temporary ones usually are."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def fetchval(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_no_folder_above_the_data_is_opened(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with LocalSwitch(options(closed / "data")) as switch:
        assert await fetchval(switch.addresses.postgres_dsn, "SELECT 1") == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert stat.S_IMODE((closed / "data").stat().st_mode) == 0o700
        assert os.stat(f"/proc/{switch.pid('postgres')}").st_uid != 0


async def test_programs_out_of_reach_are_copied_while_they_are_needed(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "can_walk_to", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    left = open_folder / "tandem-postgres-left"  # by a supervisor that was killed
    left.mkdir()
    (tmp_path / "postgres.programs").write_text(str(left))
    with LocalSwitch(options(tmp_path)) as switch:
        assert await fetchval(switch.addresses.postgres_dsn, "SELECT 1") == 1
        program = os.readlink(f"/proc/{switch.pid('postgres')}/exe")
        is_copy = "tandem-postgres-" in program
        assert is_copy == (os.geteuid() == 0)
        assert left.exists() != is_copy
    assert os.listdir(open_folder) == ([] if is_copy else [left.name])


async def test_a_password_is_needed(tmp_path: Path) -> None:
    with LocalSwitch(options(tmp_path)) as switch:
        dsn = switch.addresses.postgres_dsn
        assert await fetchval(dsn, "SELECT current_database()") == "tandem"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetchval(dsn.replace("tandem:", "tandem:x"), "SELECT 1")


async def test_a_pid_file_left_by_a_crash_names_somebody_else_now(tmp_path: Path) -> None:
    with LocalSwitch(options(tmp_path)) as switch:
        dsn = switch.addresses.postgres_dsn
        await fetchval(dsn, "CREATE TABLE kept AS SELECT 1")
    left = tmp_path / "postgres" / "data" / "postmaster.pid"
    left.write_text(f"{os.getpid()}\n")
    with LocalSwitch(options(tmp_path)):
        assert await fetchval(dsn, "SELECT count(*) FROM kept") == 1


async def test_a_server_that_outlived_its_supervisor_is_stopped(tmp_path: Path) -> None:
    with LocalSwitch(options(tmp_path)) as switch:
        pid = switch.pid("postgres")
        assert pid is not None
        data = tmp_path / "postgres" / "data"
        assert is_server_of(pid, data)
        assert not is_server_of(os.getpid(), data)
        # A second one on the same data, as after a supervisor's crash.
        switch.hold("postgres")
        successor = Postgres(tmp_path / "postgres", port=1, password="", fsync=False)
        successor.prepare()
        successor.close()
        assert not is_server_of(pid, data)


async def test_a_first_start_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with LocalSwitch(options(tmp_path)) as switch:
        assert await fetchval(switch.addresses.postgres_dsn, "SELECT 1") == 1
    assert not half.exists()


def test_an_unknown_user_is_named(tmp_path: Path) -> None:
    unit = Postgres(tmp_path, port=1, password="", run_as="no-such-user")
    if os.geteuid() == 0:
        with pytest.raises(StartFailed, match="no-such-user"):
            unit.prepare()
    else:
        assert unit.command().account is None


def test_whether_a_user_can_walk_somewhere(tmp_path: Path) -> None:
    stranger = Account(uid=54_321, gid=54_321)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    assert can_walk_to(Path("/"), stranger)
    (tmp_path / "a").chmod(0o700)
    assert not can_walk_to(folder, stranger)
