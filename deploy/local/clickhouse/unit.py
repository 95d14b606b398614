"""The embedded ClickHouse as a process under supervision."""

import asyncio
import sys
from pathlib import Path

from deploy.local.children import Command
from deploy.local.clickhouse import packets
from deploy.local.clickhouse.packets import FromServer
from deploy.local.units import PROBE_TIMEOUT_S

USER = "tandem"
DATABASE = "tandem"


class ClickHouse:
    """The engine behind its server on loopback, with a password."""

    name = "clickhouse"

    def __init__(self, folder: Path, *, port: int, password: str, fsync: bool = True) -> None:
        self._folder = folder
        self._port = port
        self._password = password
        self._fsync = fsync

    @property
    def dsn(self) -> str:
        """Where clients connect, credentials included."""
        return f"clickhouse://{USER}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    def prepare(self) -> None:
        """Make its folder."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def command(self) -> Command:
        """See :meth:`Unit.command`."""
        place = ("--data", str(self._folder), "--port", str(self._port), "--database", DATABASE)
        speed = () if self._fsync else ("--no-fsync",)
        return Command(
            (sys.executable, "-m", "deploy.local.clickhouse", *place, *speed),
            {"TANDEM_CLICKHOUSE_USER": USER, "TANDEM_CLICKHOUSE_PASSWORD": self._password},
        )

    async def is_ready(self) -> bool:
        """Whether it lets us in, to the database it makes when it starts.

        Asked by hand: importing the driver takes 100 ms, longer than the answer.
        """
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(packets.client_hello(DATABASE, USER, self._password))
                    answer = await reader.readexactly(1)
                finally:
                    writer.close()
        except (OSError, asyncio.IncompleteReadError):  # TimeoutError included
            return False
        return answer[0] == FromServer.HELLO
