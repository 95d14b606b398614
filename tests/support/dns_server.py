"""A name server for tests: answers from a table, over UDP on a free port."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Self, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer(asyncio.DatagramProtocol):
    """``records`` maps ``NAME TYPE`` to lines of rdata; it may be changed at any time."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.records: dict[str, list[str]] = {}
        self.ttl_s = 60
        self.is_silent = False
        self.fails = False
        """Whether it answers SERVFAIL."""
        self.asked: Counter[str] = Counter()
        self.address = (host, port)

    @classmethod
    @asynccontextmanager
    async def started(cls, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Self]:
        server = cls(host, port)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: server, local_addr=server.address
        )
        server.address = transport.get_extra_info("sockname")
        try:
            yield server
        finally:
            transport.close()

    transport: asyncio.DatagramTransport

    @property
    def text(self) -> str:
        """As settings name it."""
        return f"{self.address[0]}:{self.address[1]}"

    def set(self, name: str, kind: str, *rdata: str) -> None:
        """Replace the records of one name and type; none: the name has no such records."""
        self.records[f"{name} {kind}"] = list(rdata)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # by duck type only

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked[f"{name} {kind}"] += 1
        if self.is_silent:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if self.fails:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif f"{name} {kind}" in self.records:
            self._add(response.answer, question.name, kind, self.records[f"{name} {kind}"])
        elif not any(key.startswith(f"{name} ") for key in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(response.to_wire(), addr)

    def _add(
        self, section: list[dns.rrset.RRset], name: dns.name.Name, kind: str, rdata: Iterable[str]
    ) -> None:
        lines = list(rdata)
        if lines:
            section.append(dns.rrset.from_text_list(name, self.ttl_s, "IN", kind, lines))


@contextmanager
def dns_in_background(records: Mapping[str, list[str]]) -> Iterator[DnsServer]:
    """A name server with a loop and a thread of its own, for tests without."""
    loop = asyncio.new_event_loop()
    ready: Future[DnsServer] = Future()
    over = asyncio.Event()

    async def serve() -> None:
        async with DnsServer.started() as server:
            server.records.update(records)
            ready.set_result(server)
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield ready.result(timeout=10)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
