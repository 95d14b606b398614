"""Ports for what a test starts: none that the kernel or another test process gives away meanwhile.

A server binds seconds after its port was chosen. So ports lie below those the kernel takes for
outgoing connections (32768 and above on Linux), and each of the processes that run tests at the
same time has its own.
"""

import itertools
import os
import secrets
import socket

_PROCESSES = 4
_OWN = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_LISTENING = 750
_FIRST = 17_000 + _OWN * _LISTENING
_counter = itertools.count(secrets.randbelow(_LISTENING))

RTP = f"{8_000 + _OWN * 2_000}-{9_999 + _OWN * 2_000}"
"""Ports of the relay of a whole switch."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port of ``host`` that is free for UDP and TCP, and was not given lately."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_LISTENING):
        port = _FIRST + next(_counter) % _LISTENING
        with (
            socket.socket(family, socket.SOCK_DGRAM) as udp,
            socket.socket(family, socket.SOCK_STREAM) as tcp,
        ):
            # As servers do: connections of a predecessor that linger do not count.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                udp.bind((host, port))
                tcp.bind((host, port))
            except OSError:
                continue
        return port
    raise OSError(f"no free port on {host} in {_FIRST} to {_FIRST + _LISTENING - 1}")
