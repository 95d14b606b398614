"""What the switch counts, as plain integers that telemetry reads when asked."""

from __future__ import annotations

from services.common.events import CallEnded

PDD_BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0)


class Counters:
    """One process's totals since it started."""

    def __init__(self) -> None:
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.unknown_dropped = 0
        """Messages from strangers, dropped without an answer."""
        self.banned_dropped = 0
        """Messages from banned sources, dropped unread."""
        self.scanners_dropped = 0
        """Messages that bore the signature of a scanner."""
        self.shed = 0
        """INVITEs answered 503 because there was too much to do."""
        self.shed_dropped = 0
        """INVITEs dropped for it: stale, or beyond what could be answered."""
        self.invites = 0
        self.retransmissions = 0
        """Messages sent that no call asked for: repetitions, 100s and ACKs of refusals."""
        self.send_failures = 0
        self.errors = 0
        """Errors of ours that a call or a message ran into."""
        self.ended: dict[str, int] = {}
        """Calls by end reason."""
        self.answered = 0

    def received(self, data: bytes) -> None:
        """Count a message that came."""
        self.messages_in += 1
        self.bytes_in += len(data)

    def sent(self, data: bytes) -> None:
        """Count a message that leaves."""
        self.messages_out += 1
        self.bytes_out += len(data)

    def end(self, event: CallEnded) -> None:
        """Count a finished call."""
        self.ended[event.end_reason] = self.ended.get(event.end_reason, 0) + 1
        if event.answered_at is not None:
            self.answered += 1
