"""Loopback ports for what listens on this machine only."""

import errno
import secrets
import socket
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Self

from deploy.local.errors import StartFailed

PORTS = range(20_000, 32_000)
"""Below the range from which Linux takes the local ports of outgoing connections, so that nobody
has taken ours by chance while a server was down."""


class Ports:
    """Chooses ports that no other switch chooses before :meth:`close`.

    A server binds seconds after its port was chosen. Until then an abstract Unix socket of that
    number stands for it: like ports these belong to a network namespace, and they go with the
    process that opened them, however it ends.
    """

    def __init__(self) -> None:
        self._claimed: set[int] = set()
        self._claims = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others choose them."""
        self._claims.close()
        self._claimed.clear()

    def choose(self, names: Collection[str], kept: Mapping[str, int]) -> dict[str, int]:
        """A port for each name, no two the same: the one it has in ``kept`` if that is free.

        Raises:
            StartFailed: no port is left.
        """
        chosen: dict[str, int] = {}
        for name in names:
            port = kept.get(name)
            if port is None or port in chosen.values() or not self._claim(port):
                port = self._pick({*kept.values(), *chosen.values()})
            chosen[name] = port
        return chosen

    def _pick(self, taken: Collection[int]) -> int:
        for _ in range(len(PORTS)):
            port = secrets.choice(PORTS)
            if port not in taken and self._claim(port):
                return port
        raise StartFailed("ports", f"no free loopback port in {PORTS.start} to {PORTS.stop - 1}")

    def _claim(self, port: int) -> bool:
        if not is_free(port):
            return False
        if port in self._claimed:
            return True
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0tandem.port.{port}")
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        self._claimed.add(port)
        self._claims.enter_context(claim)
        return True


def is_free(port: int) -> bool:
    """Whether a server could listen on loopback ``port`` now."""
    with socket.socket() as probe:
        # As servers do: connections of a predecessor that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
