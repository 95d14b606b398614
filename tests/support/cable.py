"""The way to a server, which can be cut and mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Cable:
    """The way to a server, which can be cut and mended: what a dead server looks like."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self._here: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._carriers: set[asyncio.Task[None] | None] = set()
        self.port = 0

    async def mend(self) -> None:
        """Let connections through, at the port of the first time."""
        self._here = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._here.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break what is connected and refuse what comes."""
        assert self._here is not None
        self._here.close()
        for writer in self._writers:
            writer.transport.abort()
        for carrier in list(self._carriers):
            if carrier is not None:
                await asyncio.wait([carrier])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrier = asyncio.current_task()
        self._carriers.add(carrier)
        there_reader, there_writer = await asyncio.open_connection(*self._there)
        self._writers |= {writer, there_writer}
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pump(reader, there_writer))
                ways.create_task(_pump(there_reader, writer))
        finally:
            self._writers -= {writer, there_writer}
            self._carriers.discard(carrier)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass  # cut
    finally:
        writer.close()


@asynccontextmanager
async def cable_to(dsn: str) -> AsyncIterator[tuple[Cable, str]]:
    """A way to the server of ``dsn`` that is cut, and the DSN that goes over it."""
    parts = urlsplit(dsn)
    cable = Cable(str(parts.hostname), int(parts.port or 0))
    await cable.mend()
    await cable.cut()
    netloc = parts.netloc.replace(f":{parts.port}", f":{cable.port}")
    yield cable, parts._replace(netloc=netloc).geturl()
    await cable.cut()
