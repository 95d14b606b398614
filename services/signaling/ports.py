"""What signaling needs from the outside, in its own words.

Everything is asked by callback and never blocks: a call costs no task. A callback gets ``None``
when there is no answer to be had, and may be called before the question returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from services.common.events import CallAnswered, CallEnded, CallRinging, CallStarted
from services.signaling.core.commands import AnswerMedia, AskServer, FindRoutes, OfferMedia
from services.signaling.core.interrupted import Begun, Dialled
from services.signaling.core.ladder import Step
from services.signaling.core.location import Binding
from services.signaling.core.offered_routes import Ruling
from services.signaling.core.snapshot import CallSnapshot, EndNote
from services.signaling.core.takeover import Left
from services.signaling.core.values import Credit, MediaAnswer, MediaStats, Plan
from services.signaling.sip.actions import Peer


class Network(Protocol):
    """The sockets."""

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        """Send, or say at once that it is impossible.

        What turns out impossible later is told to the switch, by ``key``.
        """

    def send_alike(self, messages: list[bytes], peer: Peer) -> bool:
        """Send messages of equal length for the price of one, where that can be had.

        Returns as :meth:`send`. Nobody is told what turns out impossible later.
        """


class Planner(Protocol):
    """routing."""

    def plan(
        self, question: FindRoutes, at_unix_ms: int, on_plan: Callable[[Plan | None], None]
    ) -> None:
        """Ask where a call may go; ``at_unix_ms`` decides which rates are in force."""


class RouteServers(Protocol):
    """Customers' own routing servers, over HTTP."""

    def ask(self, question: AskServer, on_ruling: Callable[[Ruling | None], None]) -> None:
        """Ask where a call may go; ``None`` for no usable answer in time."""


class Credits(Protocol):
    """rating."""

    def authorize(
        self, call_id: str, sell_terms: bytes, on_credit: Callable[[Credit | None], None]
    ) -> None:
        """Reserve credit for a call."""

    def extend(
        self,
        call_id: str,
        reservation_id: str,
        sell_terms: bytes,
        paid_ms: int,
        on_extended: Callable[[Credit | None], None],
    ) -> None:
        """Cover more talk time than ``paid_ms``."""

    def release(self, call_id: str, reservation_id: str) -> None:
        """Give back what an unanswered call reserved."""


class Media(Protocol):
    """The relay."""

    def offer(
        self, call_id: str, ask: OfferMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        """Rewrite an offer."""

    def answer(
        self, call_id: str, ask: AnswerMedia, on_answer: Callable[[MediaAnswer | None], None]
    ) -> None:
        """Rewrite the answer to the last offer."""

    def forget(self, call_id: str, attempt: int) -> None:
        """Free what an attempt held."""

    def attach(self, call_id: str, on_known: Callable[[bool | None], None]) -> None:
        """Claim a session after either process was away, and hear whether it is still there."""

    def release(self, call_id: str, on_stats: Callable[[MediaStats | None], None]) -> None:
        """Free what a call held, and tell what was relayed."""


class EventLog(Protocol):
    """What is written here is told to the world, whatever breaks meanwhile."""

    def append(self, event: CallStarted | CallRinging | CallEnded) -> None:
        """Tell, without waiting."""

    def persist(self, event: CallAnswered, on_durable: Callable[[bool], None]) -> None:
        """Tell, and say when it is on disk, or that it cannot be."""


class Journal(Protocol):
    """Calls, for the process that takes them over when this one dies.

    Nothing here waits or fails: what is kept is on disk no later than an event appended to
    :class:`EventLog` afterwards.
    """

    def keep(self, call_id: str, snapshot: CallSnapshot) -> None:
        """Keep the call as it is, in place of what was kept of it."""

    def keep_end(self, call_id: str, note: EndNote) -> None:
        """Keep beside it that it is over."""

    def forget(self, call_id: str) -> None:
        """Its record is written; calls that were never kept included."""

    def begin(self, call_id: str, begun: Begun) -> None:
        """Keep a call that is not answered yet: its caller is owed a refusal and a record."""

    def dial(self, call_id: str, dialled: Dialled) -> None:
        """Keep beside it which vendor is being tried: his telephone has to stop ringing."""

    def take_over(self, now: float) -> Left:
        """What the process before this one left behind."""


class TraceSink(Protocol):
    """Who follows calls live."""

    def take(self, call_id: str, step: Step) -> None:
        """Send one message on, or drop it: never waits, never fails."""


class Observer(Protocol):
    """Logs and traces; never on the path of a call."""

    def call_ended(self, event: CallEnded) -> None:
        """A call is over."""

    def vendor_changed(self, vendor_trunk_id: str, target: str, failure: str) -> None:
        """An address of a vendor went down, or with an empty ``failure`` up."""

    def failed(self, what: str, error: BaseException) -> None:
        """An error of ours, which must not take the process with it."""


class LocationStore(Protocol):
    """Bindings as other nodes know them, and as this one will after a restart.

    Written behind: nobody waits for it, and what cannot be written now is written later.
    """

    def put(self, binding: Binding) -> None:
        """Store one."""

    def remove(self, binding: Binding) -> None:
        """Forget one."""
