"""Requests that belong to no call: sent through the same layer, answered to whoever asked."""

from __future__ import annotations

from collections.abc import Callable

from services.signaling.app.strays import hang_up_stray
from services.signaling.core.context import Context
from services.signaling.sip.actions import Action, Peer
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response
from services.signaling.sip.transaction.timers import TimerValues

OnAnswer = Callable[[Response | None, int, float], None]
"""Gets the final response; or ``None`` and 408 after silence, 503 when it could not be sent."""


class OutsideRequests:
    """Sends them, by ``carry_out``, and keeps who waits for which client transaction."""

    def __init__(
        self,
        context: Context,
        layer: TransactionLayer,
        carry_out: Callable[[list[Action], float], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._context = context
        self._layer = layer
        self._carry_out = carry_out
        self._monotonic = monotonic
        self._waiting: dict[str, OnAnswer] = {}

    def ask(
        self, draft: RequestDraft, peer: Peer, on_answer: OnAnswer, timers: TimerValues
    ) -> None:
        """Send a request; ``on_answer`` is told once how it ended."""
        now = self._monotonic()
        key, actions = self._layer.send_request(draft, peer, now, timers=timers)
        self._waiting[key] = on_answer
        self._carry_out(actions, now)

    def on_response(self, response: Response, key: str, now: float) -> None:
        """Take a response to none of the calls; a 2xx to an INVITE among them is hung up."""
        on_answer = self._waiting.get(key)
        if on_answer is not None:
            if response.status >= 200:
                del self._waiting[key]
                on_answer(response, response.status, now)
        elif response.status // 100 == 2 and response.cseq.method == "INVITE":
            self._carry_out(hang_up_stray(self._context, self._layer, response, key, now), now)

    def on_failure(self, key: str, status: int, now: float) -> None:
        """No response will come."""
        on_answer = self._waiting.pop(key, None)
        if on_answer is not None:
            on_answer(None, status, now)
