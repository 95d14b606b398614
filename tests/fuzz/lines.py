"""Two transaction layers, and between them a network that loses, repeats, reorders and damages.

Both ends end with nothing left, whatever arrived.
"""

from __future__ import annotations

from itertools import count

from services.signaling.sip.actions import (
    Action,
    Cancelled,
    DeliverAck,
    DeliverRequest,
    DeliverResponse,
    Fail,
    NoAck,
    Peer,
    Send,
    Terminated,
)
from services.signaling.sip.build import request, response_to
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request
from tests.fuzz.course import Course

HOSTS = ("192.0.2.1", "192.0.2.2")
STATUSES = (100, 180, 200, 486, 302, 603, 503)
METHODS = ("INVITE", "INVITE", "OPTIONS", "BYE", "INFO", "UPDATE")
MOST_STEPS = 60


class End:
    """One layer and its user."""

    def __init__(self, number: int) -> None:
        ids = count(1)
        self.number = number
        self.layer = TransactionLayer(
            sent_by=f"{HOSTS[number]}:5060", ids=lambda: f"{number}x{next(ids)}"
        )
        self.waiting: dict[str, Request] = {}
        """Requests delivered and not finally answered."""
        self.sent: dict[str, bool] = {}
        """Requests sent, and whether their end was told."""

    def take(self, action: Action) -> None:
        """What the layer tells its user; each thing at most once."""
        match action:
            case DeliverRequest(received, key, _):
                assert key not in self.waiting
                self.waiting[key] = received
            case DeliverResponse(response, key):
                assert key in self.sent
                # Only a 2xx of an INVITE may come again, from another fork.
                if response.status >= (300 if key.endswith("INVITE") else 200):
                    assert not self.sent[key]
                    self.sent[key] = True
            case Fail(key, _):
                assert not self.sent[key]
                self.sent[key] = True
            case Terminated(key):
                self.waiting.pop(key, None)
            case Cancelled(_, key):
                assert key in self.waiting
            case DeliverAck() | NoAck():
                pass
            case _:
                pass


class Lines:
    """See the module docstring."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends = (End(0), End(1))
        self.flying: list[tuple[int, Send]] = []
        """With the number of the end that sent it."""
        self.transport = "udp"
        self._numbers = count(1)

    def do(self, end: End, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                if len(self.flying) < 64:
                    self.flying.append((end.number, action))
            else:
                end.take(action)

    # --- steps ----------------------------------------------------------------------------

    def ask(self, course: Course) -> None:
        end = self.ends[course.below(2)]
        other = HOSTS[1 - end.number]
        number, method = next(self._numbers), course.pick(METHODS)
        draft = request(
            method,
            f"sip:x@{other}",
            from_=f"<sip:a@{HOSTS[end.number]}>;tag=a{number}",
            to=f"<sip:b@{other}>" + (";tag=b" if course.chance(3) else ""),
            call_id=f"call{number}",
            cseq=number,
            headers=[f"Contact: <sip:a@{HOSTS[end.number]}>"],
            body=course.blob() if course.chance(4) else b"",
        )
        key, actions = end.layer.send_request(draft, self.peer(1 - end.number), self.now)
        end.sent[key] = False
        self.do(end, actions)

    def peer(self, number: int) -> Peer:
        return Peer(self.transport, HOSTS[number], 5060, 1)

    def arrive(self, course: Course) -> None:
        if not self.flying:
            return
        at = 0 if course.chance(2) else course.below(len(self.flying))
        number, send = self.flying[at] if course.chance(5) else self.flying.pop(at)
        data = course.damaged(send.data) if course.chance(6) else send.data
        end = self.ends[1 - number]
        source = self.peer(number if not course.chance(12) else 1 - number)
        self.do(end, end.layer.on_message(data, source, self.now))

    def lose(self, course: Course) -> None:
        if self.flying:
            number, send = self.flying.pop(course.below(len(self.flying)))
            if course.chance(2) and send.key:
                end = self.ends[number]
                self.do(end, end.layer.on_transport_error(send.key, self.now))

    def answer(self, course: Course) -> None:
        end = self.ends[course.below(2)]
        if not end.waiting:
            return
        key = course.pick(list(end.waiting))
        status = course.pick(STATUSES)
        received = end.waiting[key]
        contact = [f"Contact: <sip:b@{HOSTS[end.number]}>"]
        reply = response_to(received, status, to_tag=course.pick(("b", "c")), headers=contact)
        if status >= 200:
            del end.waiting[key]
        self.do(end, end.layer.respond(key, reply, self.now))

    def cancel(self, course: Course) -> None:
        end = self.ends[course.below(2)]
        if end.sent:
            self.do(end, end.layer.cancel(course.pick(list(end.sent)), self.now))

    def acknowledge(self, course: Course) -> None:
        end = self.ends[course.below(2)]
        if not end.sent:
            return
        key = course.pick(list(end.sent))
        other = HOSTS[1 - end.number]
        number = 1 + course.below(8)
        draft = request(
            "ACK", f"sip:x@{other}", from_=f"<sip:a@{HOSTS[end.number]}>;tag=a{number}",
            to=f"<sip:b@{other}>;tag=b", call_id=f"call{number}", cseq=number,
        )  # fmt: skip
        self.do(end, end.layer.send_ack(key, "b", draft, self.peer(1 - end.number)))

    def wait(self, course: Course) -> None:
        self.now += course.pick((0.01, 0.5, 1.0, 4.0, 32.0, 64.0))
        self.run_timers()

    def run_timers(self) -> None:
        for end in self.ends:
            self.do(end, end.layer.on_timer(self.now))

    def noise(self, course: Course) -> None:
        end = self.ends[course.below(2)]
        self.do(end, end.layer.on_message(course.blob(), self.peer(1 - end.number), self.now))

    def part(self, course: Course) -> None:
        end = self.ends[course.below(2)]
        self.do(end, end.layer.on_peer_lost(self.peer(1 - end.number), self.now))

    # --- the end --------------------------------------------------------------------------

    def play(self, data: bytes) -> None:
        course = Course(data)
        self.transport = course.pick(("udp", "udp", "tcp"))
        for _ in range(MOST_STEPS):
            if course.is_over:
                break
            course.pick(STEPS)(self, course)
        self.finish()

    def finish(self) -> None:
        for end in self.ends:
            for key, received in list(end.waiting.items()):
                try:
                    self.do(end, end.layer.respond(key, response_to(received, 500), self.now))
                except MalformedMessage:
                    raise AssertionError(received.lines) from None
        for _ in range(500):
            deadlines = [end.layer.deadline for end in self.ends]
            at = min((each for each in deadlines if each is not None), default=None)
            if at is None:
                break
            self.now = max(self.now, at)
            self.run_timers()
        for end in self.ends:
            layer = end.layer
            # An INVITE of ours that rings for ever is its user's to cancel.
            ringing = [key for key, each in layer._clients.items() if each.deadline == NEVER]
            assert len(layer._clients) == len(ringing)
            assert all(key.endswith("INVITE") for key in ringing)
            assert (layer._servers, layer._answers, layer._initial) == ({}, {}, {})


NEVER = float("inf")
STEPS = (
    Lines.ask, Lines.arrive, Lines.answer, Lines.arrive, Lines.wait, Lines.lose, Lines.arrive,
    Lines.cancel, Lines.acknowledge, Lines.noise, Lines.part,
)  # fmt: skip


def play(data: bytes) -> None:
    """One course."""
    Lines().play(data)
