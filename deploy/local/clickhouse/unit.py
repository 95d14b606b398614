"""The embedded ClickHouse as a process under supervision."""

import asyncio
import sys
from pathlib import Path

from clickhouse_driver import Client
from clickhouse_driver.errors import Error

from deploy.local.children import Command
from deploy.local.units import PROBE_TIMEOUT_S, listens

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
        place = ("--data", str(self._folder), "--port", str(self._port))
        speed = () if self._fsync else ("--no-fsync",)
        return Command(
            (sys.executable, "-m", "deploy.local.clickhouse", *place, *speed),
            {"TANDEM_CLICKHOUSE_USER": USER, "TANDEM_CLICKHOUSE_PASSWORD": self._password},
        )

    async def is_ready(self) -> bool:
        """Whether it answers a query; sees to it that there is a database."""
        # The driver logs a traceback for every refused connection: first see that it listens.
        if not await listens(self._port):
            return False
        return await asyncio.to_thread(self._create_database)

    def _create_database(self) -> bool:
        client = Client(
            "127.0.0.1",
            port=self._port,
            user=USER,
            password=self._password,
            connect_timeout=PROBE_TIMEOUT_S,
            send_receive_timeout=PROBE_TIMEOUT_S,
        )
        try:
            client.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        except (OSError, EOFError, Error):
            return False
        else:
            return True
        finally:
            client.disconnect()
