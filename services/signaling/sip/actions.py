"""What the stack asks of its driver and tells its user: the alphabet of :mod:`.layer`.

Structures of msgspec, because several are made for every message: they cost a third of named
tuples, and a sixth of frozen dataclasses.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

from services.signaling.sip.message import Request, Response

_STREAMS = frozenset({"tcp", "tls"})


class Manner(NamedTuple):
    """How we reach a peer of ours, where there is more to say than its address."""

    name: str = ""
    """Whose certificate it must show over TLS; ``""`` for one of its address."""
    is_verified: bool = True
    """Whether its certificate is looked at."""
    least_version: str = "1.2"
    """Of TLS."""
    grows: bool = False
    """Whether a request too large for one UDP packet goes by TCP (section 18.1.1)."""
    listener: str = ""
    """Name or address of the listener that requests leave from; ``""`` for any."""


PLAIN = Manner()
"""Nothing special to say."""


class Peer(NamedTuple):
    """A remote transport address, and which way leads to it."""

    transport: str
    """``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``."""
    host: str
    """Address without brackets."""
    port: int
    connection: int = 0
    """The stream connection, or the local socket for datagrams; 0 lets the driver choose.

    The remainder of 64 is the number of the listener it belongs to."""
    manner: Manner | None = None
    """``None`` for nothing special."""

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself."""
        return self.transport != "udp"

    @property
    def is_framed(self) -> bool:
        """Whether messages are told apart by their Content-Length (section 18.3)."""
        return self.transport in _STREAMS

    def goes_by(self, lost: Peer) -> bool:
        """Whether what is sent here goes over the connection of ``lost``, however that is told."""
        return self[:4] == lost[:4] if lost.connection else self == lost


Datagram: TypeAlias = tuple[bytes, Peer]
"""A message as it came, or one piece of a stream, and who sent it."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """Put these bytes on the wire."""

    data: bytes
    peer: Peer
    key: str = ""
    """The client transaction to fail (``on_transport_error``) when that is impossible."""


class DeliverRequest(msgspec.Struct, frozen=True, gc=False):
    """A new, valid request, to be answered with ``respond(key, ...)``."""

    request: Request
    key: str
    source: Peer
    """Where it came from, which is not always where the answer goes."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """An INVITE the layer has answered by itself, for whoever keeps records of calls.

    Refused without state: a repetition of it is refused, and told, again.
    """

    request: Request
    """As far as it could be split: any accessor may raise."""
    source: Peer
    status: int


class DeliverAck(msgspec.Struct, frozen=True, gc=False):
    """The first ACK of a 2xx of ours; ``key`` is the INVITE's transaction."""

    request: Request
    key: str


class DeliverResponse(msgspec.Struct, frozen=True, gc=False):
    """A response to the client transaction ``key``; retransmissions are not delivered."""

    response: Response
    key: str


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    """The peer cancelled the INVITE ``key``, and has its 200; answer the INVITE 487.

    Arrives only while the INVITE has no final response.
    """

    request: Request
    """The CANCEL, for its Reason."""
    key: str


class Fail(msgspec.Struct, frozen=True, gc=False):
    """No response will come for ``key``: act as if this status had (section 8.1.3.1)."""

    key: str
    status: int
    """408 after silence, 503 after a transport error."""


class NoAck(msgspec.Struct, frozen=True, gc=False):
    """64*T1 passed and nobody acknowledged the 2xx of ``key``: BYE (section 13.3.1.4)."""

    key: str


class NoPrack(msgspec.Struct, frozen=True, gc=False):
    """64*T1 passed and no PRACK came for a provisional response to the INVITE ``key``.

    It is to be refused with a 5xx (RFC 3262 section 3).
    """

    key: str


class Terminated(msgspec.Struct, frozen=True, gc=False):
    """The transaction is gone and its key means nothing any more."""

    key: str


Action = (
    Send
    | DeliverRequest
    | Refused
    | DeliverAck
    | DeliverResponse
    | Cancelled
    | Fail
    | NoAck
    | NoPrack
    | Terminated
)
