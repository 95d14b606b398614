"""Cutting SIP messages out of a byte stream (RFC 3261 section 18.3, RFC 5626 section 3.5.1)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from services.signaling.sip.message import DEFAULT_LIMITS, Limits

PING: Final = b"\r\n\r\n"
"""A sign of life that wants an answer (RFC 5626 section 4.4.1)."""
PONG: Final = b"\r\n"
"""The answer to :class:`Ping`."""

_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:(?:[ \t]|\r\n[ \t])*([^\r\n]*)", re.IGNORECASE
)


class Framed(NamedTuple):
    """One complete message."""

    data: bytes


class Ping(NamedTuple):
    """A keep-alive; answer :data:`PONG`, unless the framing below has done so in its own way."""

    is_answered: bool = False


class Unframeable(NamedTuple):
    """Nothing after this point can be told apart: close the connection."""

    reason: str


Event = Framed | Ping | Unframeable


class Framer:
    """Reassembles one connection's messages.

    Buffers at most one message of ``limits.message`` bytes, and searches no byte twice. After
    :class:`Unframeable` it takes nothing any more.
    """

    __slots__ = ("_buffer", "_limits", "_needed", "_searched", "is_broken")

    is_ready = True
    """Messages may come at once; there are framings that begin with a handshake."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._buffer = bytearray()
        self._limits = limits
        self._searched = 0
        self._needed = 0
        """Size of the message being received once its head is complete, else 0."""
        self.is_broken = False

    @property
    def is_idle(self) -> bool:
        """Whether no message is half received: a half one for long is an attack."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes as they came; what they complete, in order."""
        if self.is_broken:
            return []
        self._buffer += data
        events: list[Event] = []
        while self._buffer and not self.is_broken:
            event = self._next()
            if event is None:
                break
            if isinstance(event, Unframeable):
                self.is_broken = True
                self._buffer.clear()
            events.append(event)
        return events

    def _next(self) -> Event | None:
        if not self._needed:
            if self._buffer[0] == 0x0D:
                return self._line_break()
            problem = self._find_head()
            if problem is not None:
                return Unframeable(problem)
            if not self._needed:
                return None
        if len(self._buffer) < self._needed:
            return None
        data = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._needed = self._searched = 0
        return Framed(data)

    def _line_break(self) -> Event | None:
        """CRLF between messages: two are a ping, one is a pong or padding (section 7.5)."""
        if self._buffer.startswith(b"\r\n\r\n"):
            del self._buffer[:4]
            return Ping()
        if len(self._buffer) < 4 and b"\r\n\r\n".startswith(self._buffer):
            return None
        if not self._buffer.startswith(b"\r\n"):
            return Unframeable("Stray carriage return")
        del self._buffer[:2]
        return self._next() if self._buffer else None

    def _find_head(self) -> str | None:
        """Learn how long the message is; the problem found, if any."""
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(self._buffer)
            return "Head too large" if self._searched > self._limits.message else None
        lengths = _LENGTH.findall(self._buffer, 0, end)
        # Two different ones would let a second message hide in the body of the first.
        if len(lengths) != 1:
            return "Content-Length missing" if not lengths else "Content-Length repeated"
        text = lengths[0].strip(b" \t")
        if not text.isdigit() or len(text) > 10:
            return "Content-Length malformed"
        needed = end + 4 + int(text)
        if needed > self._limits.message:
            return "Message too large"
        self._needed = needed
        return None
