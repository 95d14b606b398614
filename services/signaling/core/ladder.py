"""The messages of recent calls, as they were on the wire.

Bounded three ways: steps per call, calls kept, and failed calls kept beside them (a failed
call is what an operator looks for when thousands of good ones have passed since).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from services.signaling.sip.actions import Peer


class Step(NamedTuple):
    """One message."""

    at: float
    """Monotonic seconds."""
    leg: str
    sent: bool
    peer: Peer
    raw: bytes

    @property
    def summary(self) -> str:
        """The start line, without the protocol version."""
        line = self.raw[:256].partition(b"\r\n")[0].decode("latin-1")
        return line.removeprefix("SIP/2.0 ").removesuffix(" SIP/2.0")


class Ladders:
    """Steps by call. ``calls`` of 0 switches it off."""

    def __init__(self, *, calls: int = 1000, failed: int = 200, steps: int = 64) -> None:
        self.enabled = calls > 0
        self._calls = calls
        self._failed_calls = failed
        self._steps = steps
        self._recent: OrderedDict[str, list[Step]] = OrderedDict()
        self._failed: OrderedDict[str, list[Step]] = OrderedDict()

    def add(self, call_id: str, step: Step) -> None:
        """Note one message; beyond the bound the middle is lost, beginning and end stay."""
        steps = self._recent.get(call_id)
        if steps is None:
            self._open(call_id).append(step)
            return
        if len(steps) >= self._steps:
            del steps[self._steps // 2]
        steps.append(step)

    def _open(self, call_id: str) -> list[Step]:
        kept = self._failed.get(call_id)
        if kept is not None:
            return kept
        while len(self._recent) >= self._calls:
            self._recent.popitem(last=False)
        steps: list[Step] = []
        self._recent[call_id] = steps
        return steps

    def keep_failed(self, call_id: str) -> None:
        """The call ended badly: keep its steps longer than those of others."""
        steps = self._recent.get(call_id)
        if steps is None:
            return
        self._failed[call_id] = steps
        while len(self._failed) > self._failed_calls:
            self._failed.popitem(last=False)

    def steps(self, call_id: str) -> tuple[Step, ...]:
        """What is still known of ``call_id``, oldest first."""
        return tuple(self._recent.get(call_id) or self._failed.get(call_id) or ())
