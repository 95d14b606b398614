"""What lies where in a data folder: secrets, ports, and the lock against a second switch."""

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import AlreadyRunning, StartFailed
from deploy.local.ports import Ports

SECRETS = ("nats", "postgres", "clickhouse", "admin_key")

_SOCKET_PATH_BYTES = 107
"""Longest path of a Unix socket: sun_path has 108 bytes with the closing zero."""

_LONGEST_SOCKET_NAME = "/signaling.sock"


class Layout:
    """Paths under one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.logs = self.data / "logs"
        self.nats = self.data / "nats"
        self.postgres = self.data / "postgres"
        self.clickhouse = self.data / "clickhouse"
        self.spool = self.data / "spool"
        self._ports = Ports()

    def create(self) -> None:
        """Make the folders, closed to other users.

        Raises:
            StartFailed: the folder cannot be written.
        """
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.logs, self.nats, self.clickhouse, self.spool):
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise StartFailed("data folder", str(error)) from error

    def log(self, name: str) -> Path:
        """The log file of one process."""
        return self.logs / f"{name}.log"

    def spool_of(self, service: str) -> Path:
        """The folder that is one service's own."""
        folder = self.spool / service
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the data folder and its ports; both go with their holder, however that ends.

        Raises:
            AlreadyRunning: somebody else holds it.
        """
        with (self.data / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                holder = lock.read().strip()
                pid = int(holder) if holder.isdigit() else None
                raise AlreadyRunning(self.data, pid) from error
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            with self._ports:
                yield
            lock.truncate(0)

    def secrets(self) -> dict[str, str]:
        """Passwords and keys, made on the first call and the same ever after."""
        path = self.data / "secrets.json"
        kept = _load(path)
        missing = [name for name in SECRETS if name not in kept]
        if missing:
            kept |= {name: secrets.token_urlsafe(24) for name in missing}
            _store(path, kept)
        return kept

    def ports(self, names: Collection[str]) -> dict[str, int]:
        """A loopback port for each name: the one it had before, unless that is taken now."""
        path = self.data / "ports.json"
        kept = {name: int(port) for name, port in _load(path).items()}
        chosen = self._ports.choose(names, kept)
        if chosen != kept:
            _store(path, {name: str(port) for name, port in (kept | chosen).items()})
        return chosen

    @contextmanager
    def sockets(self) -> Iterator[Path]:
        """A folder for Unix sockets: ``run``, or a temporary one where its path is too long."""
        folder = self.data / "run"
        if len(os.fsencode(folder)) + len(_LONGEST_SOCKET_NAME) <= _SOCKET_PATH_BYTES:
            folder.mkdir(exist_ok=True, mode=0o700)
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="tandem-", dir="/tmp") as short:
            yield Path(short)


def _load(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise StartFailed(path.name, f"{path} is damaged: {error}") from error


def _store(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step: it is never seen half written, nor by other users."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(values, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
