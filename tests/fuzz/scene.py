"""A whole switch in process, whose parties, services and clock do what a course of bytes says.

Everything a call can meet is an action here: messages in and out of order, damaged, repeated,
from strangers; services that answer late, never or with a refusal; sends that fail; time that
jumps. :meth:`Scene.play` ends by letting all timers run, and states what must hold after that.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar, NamedTuple, cast

from services.common.causes import EndReason
from services.common.events import CallEnded
from services.signaling.app.services import Services
from services.signaling.core.takeover import Left
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import response_to
from services.signaling.sip.message import Request, parse
from tests.bench.bench_signaling import Bench
from tests.fuzz.course import Course
from tests.fuzz.slow import VENDOR_HOST, SlowMedia, SlowServices
from tests.fuzz.wire import SDP, check_sent, first_request, in_dialog
from tests.support.signaling.ports import FixedRouteServers, Observations

CALLER = Peer("udp", "127.0.0.1", 25070, 1)
VENDOR = Peer("udp", VENDOR_HOST, 5060, 1)
STRANGER = Peer("udp", "203.0.113.66", 5060, 1)
STREAM = Peer("tcp", "127.0.0.1", 40000, 1001)
SOURCES = (CALLER, VENDOR, STRANGER, STREAM)
START = 1000.0
WALL = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
STATUSES = (
    100, 180, 183, 200, 200, 202, 300, 302, 401, 404, 408, 480, 481, 486, 487, 488, 491, 500, 503,
    603,
)  # fmt: skip
METHODS = (
    "BYE", "ACK", "INVITE", "UPDATE", "INFO", "OPTIONS", "MESSAGE", "CANCEL", "PRACK", "REFER",
    "SUBSCRIBE", "XYZ",
)  # fmt: skip
MOST_STEPS = 60
MOST_KEPT = 40


class IdleLoop:
    """Stands in for the loop: the scene runs timers itself."""

    def __init__(self) -> None:
        self.soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> IdleLoop:
        del delay, callback, args
        return self

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self.soon.append((callback, args))

    def cancel(self) -> None:
        """As a timer: nothing to do."""


class Sent(NamedTuple):
    data: bytes
    peer: Peer
    key: str


class Scene:
    """See the module docstring."""

    steps: ClassVar[tuple[Callable[..., None], ...]] = ()
    """What may happen next."""

    def __init__(self) -> None:
        self.now = START
        self.loop = IdleLoop()
        self.services = SlowServices()
        self.bench = Bench(lambda: self.now)
        switch = self.switch = self.bench.switch
        ids = count(1)
        context = self.context = switch._context
        context.new_tag = lambda: f"t{next(ids)}"
        context.new_call_id = lambda: f"e{next(ids)}"
        switch._layer._ids = lambda: f"b{next(ids)}"
        switch._new_call_id = lambda: f"cal_{next(ids):09}"
        switch._utc_now = lambda: WALL
        services = self.services
        switch._events = services
        switch._performers.update(
            Services(
                services,
                services,
                SlowMedia(services),
                services,
                self.bench.journal,
                FixedRouteServers(),
            ).performers(switch._resume, lambda: self.now)
        )
        self.sent: list[Sent] = []
        self.heard: list[tuple[bytes, Peer]] = []
        self.fails = 0
        self.cseq = count(1)
        self.switch._network = self

    # --- the network ----------------------------------------------------------------------

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        """Take what the switch sends; it must be sound, whatever came in."""
        check_sent(data, peer)
        if self.fails:
            self.fails -= 1
            return False
        if len(self.sent) >= MOST_KEPT:
            del self.sent[: MOST_KEPT // 2]
        self.sent.append(Sent(data, peer, key))
        return True

    def send_alike(self, messages: list[bytes], peer: Peer) -> bool:
        return all(self.send(data, peer, "") for data in messages)

    def deliver(self, data: bytes, source: Peer) -> None:
        if len(self.heard) >= MOST_KEPT:
            del self.heard[: MOST_KEPT // 2]
        self.heard.append((data, source))
        self.switch.receive([(data, source)])
        self.run_soon()

    def run_soon(self) -> None:
        while self.loop.soon:
            callback, args = self.loop.soon.popleft()
            callback(*args)

    # --- the course -----------------------------------------------------------------------

    def play(self, data: bytes) -> None:
        """The whole course, then the end of everything, then what must hold."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(cast("asyncio.AbstractEventLoop", self.loop))
        try:
            course = Course(data)
            for _ in range(MOST_STEPS):
                if course.is_over:
                    break
                course.pick(self.steps)(self, course)
            self.finish()
        finally:
            asyncio._set_running_loop(before)
        self.check()

    def invite(self, course: Course) -> None:
        data = first_request(
            "INVITE", f"c{next(self.cseq)}", 1, body=b"" if course.chance(6) else SDP
        )
        source = STREAM if course.chance(6) else CALLER
        self._perhaps_damaged(course, data, source)

    def ask_in_dialog(self, course: Course) -> None:
        """Either party asks something inside the dialog of something it got from us."""
        if not self.sent:
            return
        about = self.sent[-1 - course.below(len(self.sent))]
        method = course.pick(METHODS)
        data = in_dialog(about.data, method, course.below(6), SDP if course.chance(3) else b"")
        if data:
            self._perhaps_damaged(course, data, about.peer)

    def respond(self, course: Course) -> None:
        """Either party answers a request of ours."""
        found = [sent for sent in self.sent if not sent.data.startswith((b"SIP/2.0", b"ACK"))]
        if not found:
            return
        about = found[-1 - course.below(len(found))]
        asked = parse(about.data)
        assert isinstance(asked, Request)
        status, tag = course.pick(STATUSES), course.pick(("callee", "callee", "fork", ""))
        body = SDP if course.chance(2) else b""
        contact = f"Contact: <sip:2000@{about.peer.host}:{about.peer.port}>"
        reply = response_to(asked, status, to_tag=tag, headers=[contact], body=body)
        self._perhaps_damaged(course, reply.data, about.peer)

    def answer_question(self, course: Course) -> None:
        asked = self.services.asked
        if not asked:
            return
        asked.rotate(-course.below(len(asked)) if course.chance(4) else 0)
        question = asked.popleft()
        # Mostly the first sensible answer: calls must get far before strange things happen.
        choice = course.byte()
        answers = question.choices
        question.answer(answers[choice % len(answers)] if choice >= 128 else answers[1])
        self.run_soon()

    def wait(self, course: Course) -> None:
        self.now += course.pick((0.001, 0.02, 0.5, 1.0, 5.1, 12.0, 33.0, 130.0))
        self.switch._alarm._on_time()
        self.run_soon()

    def repeat(self, course: Course) -> None:
        if not self.heard:
            return
        data, source = self.heard[-1 - course.below(len(self.heard))]
        self._perhaps_damaged(course, data, course.pick(SOURCES) if course.chance(4) else source)

    def reflect(self, course: Course) -> None:
        """What we sent comes back to us."""
        if self.sent:
            sent = course.pick(self.sent)
            self._perhaps_damaged(course, sent.data, course.pick(SOURCES))

    def cancel(self, course: Course) -> None:
        invites = [each for each in self.heard if each[0].startswith(b"INVITE ")]
        if invites:
            data, source = invites[-1 - course.below(len(invites))]
            head = data.partition(b"Content-Type")[0].replace(b" INVITE\r\n", b" CANCEL\r\n")
            cancel = b"CANCEL" + head[6:] + b"Content-Length: 0\r\n\r\n"
            self._perhaps_damaged(course, cancel, source)

    def noise(self, course: Course) -> None:
        self.deliver(course.blob(), course.pick(SOURCES))

    def hang_up(self, course: Course) -> None:
        for call_id in list(self.switch.calls)[: 1 + course.below(2)]:
            self.switch.hang_up(call_id, EndReason.ADMIN_DISCONNECT)
        self.run_soon()

    def lose(self, course: Course) -> None:
        """The network fails us, now or with the next sends."""
        if course.chance(2):
            self.fails = 1 + course.below(3)
        elif course.chance(2):
            self.switch.on_peer_lost(course.pick(SOURCES))
        elif self.sent:
            self.switch.on_transport_error(course.pick(self.sent).key)
        self.run_soon()

    def silence(self, course: Course) -> None:
        del course
        for call_id in list(self.switch.calls)[:1]:
            self.switch.on_silence(call_id)
        self.run_soon()

    def early_audio(self, course: Course) -> None:
        """Media sees RTP of some vendor, perhaps of one given up on, or of none."""
        for call in list(self.switch.calls.values())[:1]:
            call.on_rtp(course.below(4))

    def _perhaps_damaged(self, course: Course, data: bytes, source: Peer) -> None:
        self.deliver(course.damaged(data) if course.chance(5) else data, source)

    # --- the end --------------------------------------------------------------------------

    def finish(self) -> None:
        """Nobody says anything any more, and all timers run."""
        self.fails = 0
        for call_id in list(self.switch.calls):
            self.switch.hang_up(call_id, EndReason.ADMIN_DISCONNECT)
        for _ in range(2_000):
            self.run_soon()
            while self.services.asked:
                question = self.services.asked.popleft()
                question.answer(question.choices[0])
            layer_at = self.switch._layer.deadline
            at = min(self.switch._wakeups.next, float("inf") if layer_at is None else layer_at)
            if at == float("inf"):
                break
            self.now = max(at, self.now) + 0.01
            self.switch._alarm._on_time()
        self.run_soon()

    def check(self) -> None:
        """What holds after every course."""
        switch, layer, services = self.switch, self.switch._layer, self.services
        observations = switch._observer
        assert isinstance(observations, Observations)
        if observations.errors:
            raise observations.errors[0]
        assert not switch.calls
        ended = [event for event in services.events if isinstance(event, CallEnded)]
        assert len({event.call_id for event in ended}) == len(ended) == switch.counters.invites
        assert self.context.dialogs == {}
        assert self.bench.journal.take_over(self.now) == Left([], [])
        assert self.context.customer_limits.calls("ctr_1") == 0
        for number in range(4):
            assert self.context.vendor_limits.calls(f"vtr_{number}") == 0
        assert (layer.transaction_count, layer._answers, layer._initial) == (0, {}, {})
        assert layer._provisionals == {}
        assert (switch._owners, switch._invites) == ({}, {})
        answered = {event.reservation_id for event in ended if event.answered_at is not None}
        for reservation, times in services.granted.items():
            assert services.released[reservation] == (0 if reservation in answered else times)
        assert services.media_released == Counter(dict.fromkeys(services.media, 1))


STEPS: tuple[Callable[[Scene, Course], None], ...] = (
    Scene.invite, Scene.answer_question, Scene.respond, Scene.ask_in_dialog, Scene.wait,
    Scene.answer_question, Scene.respond, Scene.repeat, Scene.answer_question, Scene.respond,
    Scene.cancel, Scene.noise, Scene.hang_up, Scene.lose, Scene.reflect, Scene.silence,
    Scene.ask_in_dialog, Scene.early_audio,
)  # fmt: skip
Scene.steps = STEPS


def play(data: bytes) -> None:
    """One scene."""
    Scene().play(data)
