"""PostgreSQL: configuration and money.

Postgres refuses to run as root. Started by root it therefore runs as another user, who must get at
its data and its programs without our opening anybody's folders: data in a folder that user
cannot walk to is reached through a descriptor we open for it, programs are copied.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import asyncpg

from deploy.local import tools
from deploy.local.children import Account, Command
from deploy.local.errors import StartFailed
from deploy.local.units import PROBE_TIMEOUT_S

USER = "tandem"
DATABASE = "tandem"
UNPRIVILEGED = "nobody"

INITDB_TIMEOUT_S = 120.0
LEFTOVER_TIMEOUT_S = 30.0
"""How long a predecessor, found alive, may take to stop."""

_COPY_PREFIX = "tandem-postgres-"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}

_NOT_READY = (
    OSError,  # TimeoutError included
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
)


class Postgres:
    """A Postgres server on loopback, with a password, and one database."""

    name = "postgres"

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        password: str,
        fsync: bool = True,
        run_as: str | None = None,
    ) -> None:
        """Keep the data under ``folder``; ``run_as`` names the user to become when we are root."""
        self._folder = folder
        self._port = port
        self._password = password
        self._fsync = fsync
        self._run_as = run_as
        self._descriptor: int | None = None
        self._account: Account | None = None
        self._programs = tools.postgres_install()
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    @property
    def dsn(self) -> str:
        """Where clients connect, credentials included."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the data folder on the first start; see that no predecessor is in the way.

        Raises:
            StartFailed: see its reason.
        """
        try:
            self._settle_account()
            self._open_folder()
            self._copy_programs()
            if not (self._folder / "data").exists():
                self._initialise()
            self._clear_predecessor()
        except (OSError, subprocess.SubprocessError) as error:
            raise StartFailed(self.name, str(error)) from error

    def command(self) -> Command:
        """See :meth:`Unit.command`."""
        settings = _SETTINGS | {"port": str(self._port)}
        if not self._fsync:
            # Commits still reach the kernel: a killed server loses none, only a power cut does.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        return Command(
            (str(self._programs / "bin/postgres"), "-D", f"{self._location}/data", *options),
            account=self._account,
            inherited=() if self._descriptor is None else (self._descriptor,),
            stop_signal=signal.SIGINT,  # "fast": sessions end, data is flushed
            death_signal=signal.SIGINT,
        )

    async def is_ready(self) -> bool:
        """Whether it answers; sees to it that there is a database."""
        try:
            connection = await asyncpg.connect(
                host="127.0.0.1",
                port=self._port,
                user=USER,
                password=self._password,
                database="postgres",
                timeout=PROBE_TIMEOUT_S,
            )
        except _NOT_READY:
            return False
        try:
            if not await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE
            ):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        except _NOT_READY:
            return False
        finally:
            await connection.close(timeout=PROBE_TIMEOUT_S)
        return True

    def close(self) -> None:
        """Let go of what the running server needed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._copy is not None:
            self._copy.cleanup()
            self._copy_note.unlink(missing_ok=True)
            self._copy = None

    @property
    def _location(self) -> str:
        """The folder, as the server can reach it."""
        return (
            str(self._folder) if self._descriptor is None else f"/proc/self/fd/{self._descriptor}"
        )

    def _settle_account(self) -> None:
        data = self._folder / "data"
        owner = data.stat().st_uid if data.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                reason = f"{data} belongs to user {owner}: start as that user, or as root"
                raise StartFailed(self.name, reason)
            return
        try:
            # What exists stays with its owner.
            entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(self._run_as or UNPRIVILEGED)
        except KeyError as error:
            raise StartFailed(self.name, f"no such user: {error}") from error
        self._account = Account(entry.pw_uid, entry.pw_gid)

    def _open_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._account is None:
            return
        os.chown(self._folder, self._account.uid, self._account.gid)
        if self._descriptor is None and not can_walk_to(self._folder, self._account):
            self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)

    def _copy_programs(self) -> None:
        account = self._account
        if account is None or self._copy or can_walk_to(self._programs / "bin", account):
            return
        self._remove_left_copy()
        self._copy = tempfile.TemporaryDirectory(prefix=_COPY_PREFIX)
        self._copy_note.write_text(self._copy.name)
        self._programs = copy_programs(self._programs, Path(self._copy.name))

    @property
    def _copy_note(self) -> Path:
        """Says where the copy is; not in the folder, whose content the server may change."""
        return self._folder.with_name(f"{self._folder.name}.programs")

    def _remove_left_copy(self) -> None:
        """Remove what a supervisor that was killed could not."""
        if self._copy_note.exists():
            left = Path(self._copy_note.read_text())
            if left.name.startswith(_COPY_PREFIX) and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            self._copy_note.unlink()

    def _initialise(self) -> None:
        """Create the cluster under another name first: half of one is never taken for whole."""
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = self._folder / "password.new"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._account is not None:
            os.chown(password_file, self._account.uid, self._account.gid)
        try:
            self._run_initdb()
        finally:
            password_file.unlink()
        fresh.rename(self._folder / "data")

    def _run_initdb(self) -> None:
        command = Command(
            (
                str(self._programs / "bin/initdb"),
                f"--pgdata={self._location}/data.new",
                f"--username={USER}",
                f"--pwfile={self._location}/password.new",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--locale-provider=builtin",
                *(() if self._fsync else ("--no-sync",)),
            ),
            account=self._account,
            inherited=() if self._descriptor is None else (self._descriptor,),
        )
        done = subprocess.run(  # noqa: S603 - our own words
            command.launched,
            pass_fds=command.inherited,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=INITDB_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise StartFailed(self.name, "initdb failed", done.stdout + done.stderr)

    def _clear_predecessor(self) -> None:
        """Deal with a server that lived on after its supervisor, or died without saying so.

        Postgres itself refuses to start when the process named in its pid file exists: after
        a crash that number may be anybody's.
        """
        pid_file = self._folder / "data" / "postmaster.pid"
        if not pid_file.exists():
            return
        first = pid_file.read_text().split("\n", 1)[0].strip()
        pid = int(first) if first.isdigit() else 0
        if pid and is_server_of(pid, self._folder / "data"):
            _stop(pid)
        else:
            pid_file.unlink(missing_ok=True)


def is_server_of(pid: int, data: Path) -> bool:
    """Whether process ``pid`` is a Postgres at work in ``data``."""
    process = Path(f"/proc/{pid}")
    try:
        is_postgres = (process / "comm").read_text().strip() == "postgres"
        return is_postgres and (process / "cwd").resolve(strict=True) == data.resolve()
    except OSError:  # it is gone, or not ours to look at
        return False


def copy_programs(programs: Path, place: Path) -> Path:
    """Copy what a server needs to ``place``, open to everybody; returns where the copy is."""
    place.chmod(0o755)
    copy = place / programs.parent.name / programs.name
    for part in ("lib", "share"):
        shutil.copytree(programs / part, copy / part, symlinks=True)
    (copy / "bin").mkdir()
    for program in ("postgres", "initdb"):
        shutil.copy2(programs / "bin" / program, copy / "bin")
    # The programs look for these libraries beside their package.
    libraries = f"{programs.parent.name}.libs"
    shutil.copytree(programs.parents[1] / libraries, place / libraries, symlinks=True)
    return copy


def can_walk_to(folder: Path, account: Account) -> bool:
    """Whether ``account`` may enter ``folder`` and all that is above it, by their modes."""
    folder = folder.resolve()
    return all(_may_enter(place.stat(), account) for place in (folder, *folder.parents))


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _stop(pid: int) -> None:
    """Stop a predecessor: first in order, then at once."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
        while time.monotonic() < deadline:
            if not Path(f"/proc/{pid}").exists():
                return
            time.sleep(0.05)
    raise StartFailed(Postgres.name, f"process {pid}, which holds the data, does not end")
