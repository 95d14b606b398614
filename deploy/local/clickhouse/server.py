"""Listens, and gives every connection a thread.

Threads, because the engine is called synchronously and lets go of the interpreter while it works.
"""

import socket
import threading

from deploy.local.clickhouse import packets
from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.errors import EngineRefused
from deploy.local.clickhouse.session import Credentials, Session

MAX_CONNECTIONS = 128
"""Each costs a thread and a session in the engine."""

STOP_TIMEOUT_S = 10.0
"""How long statements under way may go on when the server stops."""

_TOO_MANY = EngineRefused(202, f"DB::Exception: more than {MAX_CONNECTIONS} connections.")


class Server:
    """A listening socket in front of one engine."""

    def __init__(self, engine: Engine, credentials: Credentials, *, host: str, port: int) -> None:
        """Listen on ``host`` and ``port``; 0 picks a free port.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._engine = engine
        self._credentials = credentials
        self._listener = socket.create_server((host, port), backlog=MAX_CONNECTIONS)
        self._peers: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def port(self) -> int:
        """The port listened on."""
        port: int = self._listener.getsockname()[1]
        return port

    def serve(self) -> None:
        """Accept connections until :meth:`stop`; returns when they have ended."""
        while not self._stopping:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                # Shut down by stop(); or the peer was gone before it was accepted.
                continue
            self._admit(peer)
        self._finish()

    def stop(self) -> None:
        """Accept nothing more, let the statements under way end. Safe in a signal handler."""
        self._stopping = True
        self._listener.shutdown(socket.SHUT_RDWR)

    def _admit(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        thread = threading.Thread(target=self._serve_peer, args=(peer,), daemon=True)
        with self._lock:
            is_admitted = len(self._peers) < MAX_CONNECTIONS
            if is_admitted:
                self._peers[thread] = peer
        if is_admitted:
            thread.start()
        else:
            _turn_away(peer)

    def _serve_peer(self, peer: socket.socket) -> None:
        try:
            Session(peer, self._engine, self._credentials).serve()
        finally:
            peer.close()
            with self._lock:
                del self._peers[threading.current_thread()]

    def _finish(self) -> None:
        self._listener.close()
        with self._lock:
            peers = dict(self._peers)
        for peer in peers.values():
            _stop_listening_to(peer)
        for thread in peers:
            thread.join(STOP_TIMEOUT_S)


def _turn_away(peer: socket.socket) -> None:
    with peer:
        peer.settimeout(1.0)
        try:
            peer.sendall(packets.exception(_TOO_MANY))
        except OSError:
            return  # it is gone: nobody to tell


def _stop_listening_to(peer: socket.socket) -> None:
    try:
        # The session finds its client gone when it next listens; its answer still leaves.
        peer.shutdown(socket.SHUT_RD)
    except OSError:
        return  # it has ended by itself
