"""Requests that belong to no call: sent through the same layer, answered to whoever asked."""

from __future__ import annotations

from collections.abc import Callable

from services.signaling.core.context import Context
from services.signaling.core.legs import dialog_of, peer_of
from services.signaling.sip.actions import Action, Peer
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response

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

    def ask(self, draft: RequestDraft, peer: Peer, on_answer: OnAnswer) -> None:
        """Send a request; ``on_answer`` is told once how it ended."""
        now = self._monotonic()
        key, actions = self._layer.send_request(draft, peer, now)
        self._waiting[key] = on_answer
        self._carry_out(actions, now)

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

    def hang_up(self, response: Response, key: str, now: float) -> None:
        """ACK and BYE for a 2xx nobody waits for, of a fork or after a CANCEL (13.2.2.4)."""
        dialog = dialog_of(response)
        target = peer_of(dialog.next_hop, self._context)
        if target is None:
            return
        ack = dialog.ack(response.cseq.number)
        self._carry_out(self._layer.send_ack(key, dialog.remote_tag, ack, target), now)
        _, actions = self._layer.send_request(dialog.request("BYE"), target, now)
        self._carry_out(actions, now)
