"""Requests that belong to no call: sent through the same layer, answered to whoever asked."""

from __future__ import annotations

from collections.abc import Callable

from services.signaling.sip.message import Response

OnAnswer = Callable[[Response | None, int, float], None]
"""Gets the final response; or ``None`` and 408 after silence, 503 when it could not be sent."""


class OutsideRequests:
    """Who waits for which client transaction."""

    def __init__(self) -> None:
        self._waiting: dict[str, OnAnswer] = {}

    def await_answer(self, key: str, on_answer: OnAnswer) -> None:
        """Tell ``on_answer``, once."""
        self._waiting[key] = on_answer

    def on_response(self, key: str, response: Response, now: float) -> bool:
        """Whether the response was for one of these."""
        if not self._waiting or key not in self._waiting:
            return False
        if response.status >= 200:
            self._waiting.pop(key)(response, response.status, now)
        return True

    def on_failure(self, key: str, status: int, now: float) -> None:
        """No response will come."""
        on_answer = self._waiting.pop(key, None)
        if on_answer is not None:
            on_answer(None, status, now)
