"""TLS on top of a stream: certificates from files, and one connection's encryption (RFC 5922).

The encryption reads and writes memory only, so the stream below stays ours: a connection counts
against the limits from its first packet, not from the end of its handshake.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, Literal

import msgspec

from services.common.logs import get_logger
from services.signaling.sip.actions import Manner

log = get_logger(__name__)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CHUNK: Final = 65_536
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class TlsFailed(Exception):
    """The connection is of no use; ``reason`` says why, for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where certificates are found, and whose certificates are asked for."""

    certificate: str = ""
    """PEM file with ours and those between it and its authority."""
    key: str = ""
    """PEM file; empty when the key is in ``certificate``."""
    authorities: str = ""
    """PEM file of authorities we trust; empty for those of the system."""
    verify_clients: Literal["none", "optional", "required"] = "none"


class TlsContexts:
    """The settings of TLS, read anew when their files change; connections keep what they have."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files.

        Raises:
            OSError: they cannot be read, or are no certificates (``ssl.SSLError``).
        """
        self._files = files
        self._paths = [Path(path) for path in (files.certificate, files.key, files.authorities)]
        self._stamp = self._look()
        self._clients: dict[tuple[bool, str], ssl.SSLContext] = {}
        self._server = self._read_server()

    def reload(self) -> bool:
        """Read files that have changed; whether they are in force. What is unreadable waits."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            server = self._read_server()
            self._client(is_verified=True, least_version="1.2")
        except OSError as error:
            # Half written, or of two generations: looked at again next time.
            log.warning("tls.unreadable", error=str(error))
            return False
        self._server, self._stamp = server, stamp
        self._clients.clear()
        log.info("tls.reloaded", certificate=self._files.certificate)
        return True

    def serve(self) -> TlsSession:
        """The encryption of a connection that was accepted.

        Raises:
            TlsFailed: we have no certificate.
        """
        if self._server is None:
            raise TlsFailed("no certificate of ours")
        return TlsSession(self._server, server_side=True)

    def call(self, manner: Manner, host: str) -> TlsSession:
        """The encryption of a connection that we open.

        Raises:
            TlsFailed: the name cannot be one.
        """
        key = (manner.is_verified, manner.least_version)
        context = self._clients.get(key)
        try:
            if context is None:
                context = self._clients[key] = self._client(
                    is_verified=manner.is_verified, least_version=manner.least_version
                )
            return TlsSession(context, server_side=False, name=manner.name or host)
        except (OSError, ValueError) as error:
            raise TlsFailed(str(error)) from error

    def _look(self) -> list[tuple[int, int, int]]:
        stamp = []
        for path in self._paths:
            try:
                state = path.stat() if path.name else None
            except OSError:
                state = None
            stamp.append((state.st_mtime_ns, state.st_ino, state.st_size) if state else (0, 0, 0))
        return stamp

    def _read_server(self) -> ssl.SSLContext | None:
        if not self._files.certificate:
            return None
        for path in self._paths:
            if path.name:
                path.open("rb").close()  # whose error, unlike that of the library, names the file
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A flood of handshakes may not cost us memory for the sessions of strangers.
        context.options |= ssl.OP_NO_TICKET
        context.verify_mode = _VERIFY[self._files.verify_clients]
        if context.verify_mode is not ssl.CERT_NONE:
            self._trust(context, ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._files.certificate, self._files.key or None)
        return context

    def _client(self, *, is_verified: bool, least_version: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = _VERSIONS[least_version]
        if is_verified:
            self._trust(context, ssl.Purpose.SERVER_AUTH)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._files.certificate:
            # Shown to those who ask for it.
            context.load_cert_chain(self._files.certificate, self._files.key or None)
        return context

    def _trust(self, context: ssl.SSLContext, purpose: ssl.Purpose) -> None:
        if self._files.authorities:
            context.load_verify_locations(self._files.authorities)
        else:
            context.load_default_certs(purpose)


class TlsSession:
    """One connection's encryption: ciphertext in, plaintext out, and the other way round."""

    __slots__ = ("_incoming", "_object", "_outgoing", "is_open")

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, name: str = "") -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=name or None
        )
        self.is_open = False
        """Whether the handshake is done, and with it the check of the other's certificate."""

    def start(self) -> None:
        """Begin the handshake; :meth:`output` has what to send.

        Raises:
            TlsFailed: it cannot begin.
        """
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """Take what came; the plaintext in it. :meth:`output` may have something to send.

        Raises:
            TlsFailed: the handshake failed, the data is damaged, or the other side has closed.
        """
        self._incoming.write(data)
        if not self.is_open:
            self._shake_hands()
            if not self.is_open:
                return b""
        plain = []
        try:
            while chunk := self._object.read(_CHUNK):
                plain.append(chunk)
        except ssl.SSLWantReadError:
            return b"".join(plain)
        except ssl.SSLError as error:
            raise TlsFailed(_why(error)) from error
        if plain:
            return b"".join(plain)
        raise TlsFailed("closed")

    def send(self, data: bytes) -> None:
        """Encrypt; :meth:`output` has it then."""
        self._object.write(data)

    def output(self) -> bytes:
        """What is to be sent to the other side."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say that nothing more will come."""
        if not self.is_open:
            return
        try:
            self._object.unwrap()
        except ssl.SSLError:
            return  # nobody waits for the other's word

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise TlsFailed(_why(error)) from error
        self.is_open = True


def _why(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or str(error)
