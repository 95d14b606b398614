"""What control and worker processes say to each other, message by message."""

from typing import Final

import msgspec

from services.media.core.exchange import Aim
from services.media.core.reception import Report

PROTOCOL: Final = 1
"""Of all that follows, :class:`Aim` and :class:`Report` included."""
LARGEST_MESSAGE: Final = 512 * 1024
SOCKET_BUFFER: Final = 4 * 1024 * 1024
OPENS_PER_MESSAGE: Final = 60
"""Two descriptors each; the kernel passes 253 at once (SCM_MAX_FD)."""
ORDERS_PER_MESSAGE: Final = 300


class Orders(msgspec.Struct, array_like=True, frozen=True):
    """To the worker: carried out in the order of the fields."""

    opens: list[int] = []
    """Endpoint ids; the message carries an RTP and an RTCP socket for each."""
    aims: list[Aim] = []
    closes: list[tuple[int, list[int]]] = []
    """A ticket, and the endpoints it closes."""
    recall: int | None = None
    """From a new control process: which endpoints are open, after so many it has heard of?"""


class Notes(msgspec.Struct, array_like=True, frozen=True):
    """From the worker."""

    active: list[int] = []
    """Endpoints that took packets since the last notes."""
    closed: list[tuple[int, dict[int, Report]]] = []
    """By ticket, what the closed endpoints had counted."""
    started: list[int] = []
    """Endpoints whose first packet was awaited, and has come."""
    held: list[int] | None = None
    """To a recall: the next open endpoints, whose sockets the message carries; empty: no more."""


orders_decoder = msgspec.msgpack.Decoder(Orders)
notes_decoder = msgspec.msgpack.Decoder(Notes)
encoder = msgspec.msgpack.Encoder()
