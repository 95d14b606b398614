"""The messages of recent calls, as they were on the wire.

Bounded four ways: steps per call, bytes per call, calls kept, and failed calls kept beside them (a
failed call is what an operator looks for when thousands of good ones have passed since).
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


class _Kept(list[Step]):
    """The steps of one call, and what they take."""

    size_bytes = 0


class Ladders:
    """Steps by call. ``calls`` of 0 switches it off."""

    def __init__(
        self,
        *,
        calls: int = 1000,
        failed: int = 200,
        steps: int = 64,
        size_bytes: int = 128 * 1024,
    ) -> None:
        self.enabled = calls > 0
        self._calls = calls
        self._failed_calls = failed
        self._steps = steps
        self._size_bytes = size_bytes
        self._recent: OrderedDict[str, _Kept] = OrderedDict()
        self._failed: OrderedDict[str, _Kept] = OrderedDict()

    def add(self, call_id: str, step: Step) -> None:
        """Note one message; beyond the bound the middle is lost, beginning and end stay."""
        steps = self._recent.get(call_id)
        if steps is None:
            steps = self._open(call_id)
        steps.size_bytes += len(step.raw)
        steps.append(step)
        while len(steps) > self._steps or (steps.size_bytes > self._size_bytes and len(steps) > 1):
            steps.size_bytes -= len(steps.pop((len(steps) - 1) // 2).raw)

    def _open(self, call_id: str) -> _Kept:
        kept = self._failed.get(call_id)
        if kept is not None:
            return kept
        while len(self._recent) >= self._calls:
            self._recent.popitem(last=False)
        steps = _Kept()
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
