"""The two errors of the stack: what we received is not SIP, what we would send is not safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.signaling.sip.message import Request, Response


class MalformedMessage(Exception):
    """A received message, header or URI breaks the grammar.

    ``reason`` is fit for a reason phrase. ``status`` is what a request deserves (400, 413,
    505, 513). ``message`` holds whatever could be split, so that the answer can echo its Via,
    From, To, Call-ID and CSeq as they came; it is ``None`` when there is nobody to answer.
    """

    def __init__(
        self, reason: str, status: int = 400, message: Request | Response | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.message = message


class UnsafeText(ValueError):
    """Text handed to a builder would have become something else on the wire.

    A line break, a NUL, an empty or folded header line, or a character outside latin-1.
    """
