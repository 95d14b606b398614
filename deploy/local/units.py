"""What a supervisor keeps running: the shape that servers and services share."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from deploy.local.children import Command

PROBE_TIMEOUT_S = 2.0


class Unit(Protocol):
    """One process: how to start it, and how to tell that it works."""

    @property
    def name(self) -> str:
        """What it is called, on the console and in file names."""

    def prepare(self) -> None:
        """Make ready what it needs on disk; called before every start, may take seconds.

        Raises:
            StartFailed: it cannot be.
        """

    def command(self) -> Command:
        """How it is started."""

    async def is_ready(self) -> bool:
        """Whether it answers."""


class Service:
    """One of the five services."""

    def __init__(self, name: str, command: Command, *, ops_port: int) -> None:
        self._name = name
        self._command = command
        self._ops_port = ops_port

    @property
    def name(self) -> str:
        """The service's name."""
        return self._name

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings it is started with."""
        return self._command.environment

    def prepare(self) -> None:
        """Nothing: its folder and its database are there."""

    def command(self) -> Command:
        """See :meth:`Unit.command`."""
        return self._command

    async def is_ready(self) -> bool:
        """Whether its ``/readyz`` says so."""
        return await http_status(self._ops_port, "/readyz") == 200


async def http_status(port: int, path: str) -> int | None:
    """The status that loopback ``port`` answers a GET with; ``None`` when there is no answer."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
                )
                start = (await reader.readline()).split()
            finally:
                writer.close()
    except (OSError, ValueError):  # TimeoutError included; ValueError: an endless first line
        return None
    return int(start[1]) if len(start) > 1 and start[1].isdigit() else None
