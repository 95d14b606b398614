"""The messages of recent calls, as they were on the wire.

Bounded four ways: steps per call, bytes per call, calls kept, and failed calls kept beside them (a
failed call is what an operator looks for when thousands of good ones have passed since).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

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


_FIELDS: Final = len(Step._fields)


class Trace:
    """The messages of one call. Cheap to add to: some thirteen are added per call."""

    __slots__ = ("_bounds", "_looked_at_from", "_steps")

    def __init__(self, most_steps: int, most_bytes: int) -> None:
        self._bounds = (most_steps, most_bytes)
        self._steps: list[Any] = []
        """The fields of one after those of another: a tuple of each would take 100 bytes more."""
        # As many messages as may be kept fit, while none is larger than this.
        self._looked_at_from = most_bytes // most_steps

    def add(self, at: float, leg: str, sent: bool, peer: Peer, raw: bytes) -> None:
        """Note one message; beyond the bound the middle is lost, beginning and end stay."""
        steps = self._steps
        steps += (at, leg, sent, peer, raw)
        if len(raw) > self._looked_at_from or len(steps) > _FIELDS * self._bounds[0]:
            self._trim()

    def shrink(self) -> None:
        """Only the last message is of interest from now on."""
        self._bounds = (1, self._bounds[1])
        del self._steps[:-_FIELDS]

    def _trim(self) -> None:
        steps, (most_steps, most_bytes) = self._steps, self._bounds
        count, size_bytes = len(steps) // _FIELDS, sum(map(len, steps[_FIELDS - 1 :: _FIELDS]))
        if len(steps[-1]) > self._looked_at_from:
            self._looked_at_from = -1  # every further one may be too much
        while count > most_steps or (size_bytes > most_bytes and count > 1):
            begin = (count - 1) // 2 * _FIELDS
            size_bytes -= len(steps[begin + _FIELDS - 1])
            del steps[begin : begin + _FIELDS]
            count -= 1

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is still known, oldest first."""
        fields = [iter(self._steps)] * _FIELDS
        return tuple(map(Step, *fields))


class Ladders:
    """Traces by call. ``calls`` of 0 switches it off.

    Calls that wait for their answer are kept beyond that number: they may still fail.
    """

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
        self._bounds = (steps, size_bytes)
        self.is_waiting: Callable[[str], bool] = lambda _: False
        """Whether a call is not answered yet; the owner's to replace."""
        self._recent: OrderedDict[str, Trace] = OrderedDict()
        self._waiting: dict[str, Trace] = {}
        self._failed: OrderedDict[str, Trace] = OrderedDict()

    def open(self, call_id: str) -> Trace:
        """Where the messages of a new call go. It may be forgotten while they still come."""
        while len(self._recent) >= self._calls > 0:
            passed, old = self._recent.popitem(last=False)
            if self.is_waiting(passed):
                self._waiting[passed] = old
            elif passed not in self._failed:
                old.shrink()
        trace = Trace(*self._bounds)
        if self._calls:
            self._recent[call_id] = trace
        return trace

    def ended(self, call_id: str, *, is_failure: bool) -> None:
        """The call is over; the steps of one that was never answered are kept longer."""
        trace = self._waiting.pop(call_id, None) or self._recent.get(call_id)
        if trace is None or not is_failure:
            return
        self._failed[call_id] = trace
        while len(self._failed) > self._failed_calls:
            self._failed.popitem(last=False)

    def steps(self, call_id: str) -> tuple[Step, ...]:
        """What is still known of ``call_id``, oldest first."""
        recent, waiting = self._recent.get(call_id), self._waiting.get(call_id)
        trace = recent or waiting or self._failed.get(call_id)
        return () if trace is None else trace.steps
