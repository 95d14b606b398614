"""What the tests of the shared infrastructure need beside the servers."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.nats import Nats
from tests.support import ports


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


class KillableNats:
    """A bus of one test's own, that may die and come back at the same address."""

    def __init__(self, folder: Path, port: int) -> None:
        self._unit = Nats(folder, port=port, password="secret")
        self._unit.prepare()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self._unit.url

    def start(self) -> None:
        command = self._unit.command()
        self._process = subprocess.Popen(
            command.arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def own_nats(tmp_path: Path, free_port: int) -> Iterator[KillableNats]:
    server = KillableNats(tmp_path / "nats", free_port)
    server.start()
    yield server
    server.kill()
