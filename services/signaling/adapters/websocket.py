"""SIP in WebSocket messages, one each (RFC 7118); the framing of RFC 6455 is wsproto's."""

from __future__ import annotations

from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from services.signaling.sip import stream
from services.signaling.sip.message import DEFAULT_LIMITS

SUBPROTOCOL: Final = "sip"
_GOING_AWAY: Final = 1001
_BREAKS: Final = b"\r\n"


class WebSocketFramer:
    """Reassembles one accepted connection's messages, and wraps those we send.

    Has the face of :class:`services.signaling.sip.stream.Framer`; what :meth:`output` returns
    is to be sent after each call.
    """

    def __init__(self) -> None:
        self._socket = WSConnection(ConnectionType.SERVER)
        self._parts: list[bytes] = []
        self._size = 0
        self._output: list[bytes] = []
        self.is_ready = False
        """Whether the handshake is done."""
        self.is_broken = False

    @property
    def is_idle(self) -> bool:
        """Whether no message is half received."""
        return self.is_ready and not self._parts

    def feed(self, data: bytes) -> list[stream.Event]:
        """Take bytes as they came; what they complete, in order."""
        if self.is_broken or not data:  # nothing would mean the end to h11
            return []
        events: list[stream.Event] = []
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                events += self._take(event)
                if events and isinstance(events[-1], stream.Unframeable):
                    break
        except (ProtocolError, ValueError) as error:
            # ValueError: wsproto decodes handshake headers without looking at them.
            events += self._end(str(error) or "no WebSocket")
        return events

    def wrap(self, data: bytes) -> bytes:
        """One message, ready to be sent."""
        try:
            message: Event = TextMessage(data=data.decode())
        except UnicodeDecodeError:
            message = BytesMessage(data=data)
        return self._socket.send(message)

    def output(self) -> bytes:
        """What is to be sent to the other side, beside messages."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def close(self) -> None:
        """Say that nothing more will come."""
        if self.is_ready and not self.is_broken:
            self._output.append(self._socket.send(CloseConnection(code=_GOING_AWAY)))
            self.is_broken = True

    def _take(self, event: Event) -> list[stream.Event]:
        if isinstance(event, (TextMessage, BytesMessage)):
            return self._take_part(event)
        if isinstance(event, Request):
            return self._upgrade(event)
        if isinstance(event, Ping):
            self._output.append(self._socket.send(event.response()))
            return [stream.Ping(is_answered=True)]
        if isinstance(event, CloseConnection):
            self._output.append(self._socket.send(event.response()))
            return self._end("closed")
        return []

    def _upgrade(self, request: Request) -> list[stream.Event]:
        # "the server MUST NOT agree to a connection without it" in effect (section 4.1): a peer
        # that does not ask for SIP wants something else of us.
        if SUBPROTOCOL not in request.subprotocols:
            self._output.append(self._socket.send(RejectConnection(status_code=400)))
            return self._end("no SIP asked for")
        self._output.append(self._socket.send(AcceptConnection(subprotocol=SUBPROTOCOL)))
        self.is_ready = True
        return []

    def _take_part(self, event: TextMessage | BytesMessage) -> list[stream.Event]:
        data = event.data
        part = data.encode() if isinstance(data, str) else bytes(data)
        self._size += len(part)
        if self._size > DEFAULT_LIMITS.message:
            return self._end("Message too large")
        if part:
            self._parts.append(part)
        if not event.message_finished:
            return []
        message = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if not message.strip(_BREAKS):
            # Keep-alive as on other streams (section 6): two line breaks ask for one.
            return [stream.Ping()] if message.startswith(stream.PING) else []
        return [stream.Framed(message)]

    def _end(self, reason: str) -> list[stream.Event]:
        self.is_broken = True
        self._parts.clear()
        return [stream.Unframeable(reason)]
