"""NATS with JetStream: the bus."""

import asyncio
import json
from pathlib import Path

from deploy.local import tools
from deploy.local.children import Command
from deploy.local.units import PROBE_TIMEOUT_S

USER = "tandem"

MAX_PAYLOAD_BYTES = 4 << 20
"""One message carries the events of many calls."""

_LAZY_SYNC = '"2m"'
_SYNC_EVERY_WRITE = "always"

_CONFIG = """# Written at every start.
server_name: tandem
listen: "127.0.0.1:{port}"
max_payload: {max_payload}
authorization {{ user: {user}, password: {password} }}
jetstream {{
  store_dir: {store}
  sync_interval: {sync}
}}
"""


class Nats:
    """A NATS server on loopback, with a password, that syncs every stored message to disk."""

    name = "nats"

    def __init__(self, folder: Path, *, port: int, password: str, fsync: bool = True) -> None:
        self._folder = folder
        self._port = port
        self._password = password
        self._fsync = fsync

    @property
    def url(self) -> str:
        """Where clients connect, credentials included."""
        return f"nats://{USER}:{self._password}@127.0.0.1:{self._port}"

    @property
    def _config(self) -> Path:
        return self._folder / "nats.conf"

    def prepare(self) -> None:
        """Write the configuration, readable by us alone: the password is in it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._config.touch(mode=0o600)
        self._config.write_text(
            _CONFIG.format(
                port=self._port,
                max_payload=MAX_PAYLOAD_BYTES,
                user=json.dumps(USER),
                password=json.dumps(self._password),
                store=json.dumps(str(self._folder / "store")),
                sync=_SYNC_EVERY_WRITE if self._fsync else _LAZY_SYNC,
            )
        )

    def command(self) -> Command:
        """See :meth:`Unit.command`."""
        return Command((str(tools.nats_server()), "--config", str(self._config)))

    async def is_ready(self) -> bool:
        """Whether it introduces itself as a server with JetStream."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, ValueError):
            return False
        return line.startswith(b"INFO ") and b'"jetstream":true' in line
