"""SIP endpoints over TLS and WebSocket, and the certificates of a test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Ping, Pong, Request, TextMessage

from services.signaling.adapters.tls import TlsFiles
from tests.support.signaling.party import PATIENCE_S, StreamParty


class Authority:
    """One authority and the files it fills; ``name`` of each certificate is a file's stem."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(folder / "authority.pem")

    def files(self, *names: str, verify_clients: str = "none", stem: str = "ours") -> TlsFiles:
        """A certificate for ``names``, and the settings of a switch that shows it."""
        return TlsFiles(
            certificate=str(self.issue(*names, stem=stem)),
            authorities=str(self.folder / "authority.pem"),
            verify_clients=verify_clients,  # type: ignore[arg-type] # tests say only what exists
        )

    def issue(self, *names: str, stem: str = "ours") -> Path:
        """Certificate and key in one file, replaced as an administrator would."""
        path = self.folder / f"{stem}.pem"
        fresh = self.folder / f"{stem}.fresh"
        self.ca.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(fresh)
        fresh.rename(path)
        return path

    def client(self, *names: str) -> ssl.SSLContext:
        """What a client goes by that trusts this authority; with names it has a certificate."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if names:
            self.ca.issue_cert(*names).configure_cert(context)
        return context

    def server(self, *names: str) -> ssl.SSLContext:
        """What a server goes by that is known by these names."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(*names).configure_cert(context)
        self.ca.configure_trust(context)
        return context


class TlsParty(StreamParty):
    """One TLS endpoint; connects, or is connected to."""

    transport_name = "TLS"

    @classmethod
    async def connect(
        cls, to: tuple[str, int], context: ssl.SSLContext, host: str, name: str = "127.0.0.1"
    ) -> TlsParty:
        """Connect from ``host`` to who calls himself ``name``."""
        _, party = await asyncio.get_running_loop().create_connection(
            cls, *to, ssl=context, server_hostname=name, local_addr=(host, 0)
        )
        return party

    @classmethod
    @asynccontextmanager
    async def certified(cls, host: str, context: ssl.SSLContext) -> AsyncIterator[TlsServer]:
        """Accept connections at ``host``; the last one accepted is who is spoken to."""
        server = TlsServer()
        listener = await asyncio.get_running_loop().create_server(
            server.accept, host, 0, ssl=context
        )
        server.address = listener.sockets[0].getsockname()[:2]
        server.party.address = server.address
        try:
            yield server
        finally:
            listener.close()


class TlsServer:
    """Who connected to a TLS endpoint of a test."""

    def __init__(self) -> None:
        self.party = TlsParty()
        self.accepted = 0
        self.address = ("", 0)

    def accept(self) -> TlsParty:
        self.accepted += 1
        return self.party


class WebSocketParty(StreamParty):
    """A browser's SIP stack, as far as the switch can tell (RFC 7118)."""

    transport_name = "WSS"

    def __init__(self, subprotocols: tuple[str, ...] = ("sip",)) -> None:
        super().__init__()
        self.socket = WSConnection(ConnectionType.CLIENT)
        self.is_open = asyncio.Event()
        self.pongs = 0
        self._subprotocols = list(subprotocols)
        self._text: list[str] = []

    @classmethod
    async def connect(
        cls, to: tuple[str, int], context: ssl.SSLContext | None, host: str
    ) -> WebSocketParty:
        """Connect from ``host`` and shake hands."""
        name = "127.0.0.1" if context else None
        _, party = await asyncio.get_running_loop().create_connection(
            cls, *to, ssl=context, server_hostname=name, local_addr=(host, 0)
        )
        party.transport_name = "WSS" if context else "WS"
        async with asyncio.timeout(PATIENCE_S):
            await party.is_open.wait()
        return party

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        request = Request(host="switch.example", target="/", subprotocols=self._subprotocols)
        self.transport.write(self.socket.send(request))

    def data_received(self, data: bytes) -> None:
        self.socket.receive_data(data)
        for event in self.socket.events():
            if isinstance(event, AcceptConnection):
                assert event.subprotocol == "sip"
                self.is_open.set()
            elif isinstance(event, TextMessage):
                self._text.append(event.data)
                if event.message_finished:
                    self.inbox.put_nowait("".join(self._text).encode())
                    self._text.clear()
            elif isinstance(event, Pong):
                self.pongs += 1

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        del to
        self.transport.write(self.socket.send(TextMessage(data=data.decode())))

    def send_in_parts(self, *parts: bytes) -> None:
        """One binary message in several frames."""
        for part in parts:
            last = part is parts[-1]
            message = BytesMessage(data=part, message_finished=last)
            self.transport.write(self.socket.send(message))

    def ping(self) -> None:
        self.transport.write(self.socket.send(Ping()))
