"""What is let through: strangers, scanners, the banned, and new calls under overload."""

from __future__ import annotations

import pytest

from services.signaling.app.counters import Counters
from services.signaling.app.gate import MOST_REMEMBERED, Gate
from services.signaling.core.guard import Action, Ban, GuardRules
from services.signaling.core.overload import Overload
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.actions import Peer, Send
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response, parse
from tests.bench.bench_signaling import _invite
from tests.support.signaling.machine import CALLER, STRANGER, TRUNK, context

OPTIONS = (
    b"OPTIONS sip:100@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66;branch=z9hG4bK1\r\n"
    b"From: <sip:100@1.1.1.1>;tag=1\r\nTo: <sip:100@1.1.1.1>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 OPTIONS\r\n%b\r\n\r\n"
)


class Door:
    """A gate with one trunk behind it."""

    def __init__(self, *, replies: bool = False, dice: float = 0.9) -> None:
        self.sent: list[Send] = []
        self.bans: list[Action] = []
        self.counters = Counters()
        ctx = self.context = context()
        ctx.trunks = TrunkTable({CALLER.host: TRUNK}, reply_to_unknown=replies)
        self.layer = TransactionLayer(sent_by="203.0.113.1:5060", ids=lambda: "x" * 16)
        self.gate = Gate(
            ctx, self.layer, self.counters, lambda send, _: self.sent.append(send),
            overload=Overload(lambda: dice),
        )  # fmt: skip
        self.gate.guard.rules = GuardRules(suspend_s=100, unknown_limit=5)
        self.gate.on_guard.append(self.bans.extend)

    def admits(self, data: bytes, source: Peer = CALLER, now: float = 1.0) -> bool:
        is_stranger = not self.context.trunks.knows(source.host)
        return self.gate.admits(data, source, now, is_stranger=is_stranger)

    def overload(self, share: float, age_s: float = 0.2) -> None:
        self.gate.overload.on_queue_age(age_s, 1.0)
        self.gate.overload.share = share


def test_trunk_may_send_anything_and_as_much_as_it_likes() -> None:
    door = Door()
    for _ in range(1000):
        assert door.admits(OPTIONS % b"User-Agent: friendly-scanner")
        assert door.admits(b"garbage")
    assert door.bans == []


def test_stranger_is_dropped_counted_and_banned() -> None:
    door = Door()
    for _ in range(6):
        assert not door.admits(OPTIONS % b"X: y", STRANGER)
    assert door.counters.unknown_dropped == 6
    assert door.bans == [Ban(STRANGER.host, 100, "unknown_source")]
    assert not door.admits(b"SIP/2.0 200 OK\r\n\r\n", STRANGER)
    assert (door.counters.unknown_dropped, door.counters.banned_dropped) == (6, 1)
    assert not door.admits(OPTIONS % b"X: y", STRANGER, 102.0)  # heard again, and a stranger


@pytest.mark.parametrize("replies", [False, True])
def test_scanner_is_banned_at_its_first_word(*, replies: bool) -> None:
    door = Door(replies=replies)
    assert not door.admits(OPTIONS % b"User-Agent: friendly-scanner", STRANGER)
    assert door.bans == [Ban(STRANGER.host, 100, "scanner")]
    assert door.counters.scanners_dropped == 1
    assert not door.admits(OPTIONS % b"X: y", STRANGER)
    assert door.counters.banned_dropped == 1


def test_strangers_are_heard_where_the_operator_wants_it_but_not_endlessly() -> None:
    door = Door(replies=True)
    heard = [door.admits(OPTIONS % b"X: y", STRANGER) for _ in range(10)]
    assert heard == [True] * 6 + [False] * 4


def test_answers_and_keep_alives_of_strangers_are_no_offence() -> None:
    door = Door()
    for _ in range(100):
        assert door.admits(b"SIP/2.0 200 OK\r\n\r\n", STRANGER)
        assert door.admits(b"\r\n\r\n", STRANGER)
    assert door.bans == []


def test_new_calls_are_refused_under_overload_and_can_be_answered_without_state() -> None:
    door = Door()
    door.overload(0.5)
    assert not door.admits(_invite(1))
    (send,) = door.sent
    assert send.peer == CALLER._replace(port=25070)  # where its Via says
    reply = parse(send.data)
    assert isinstance(reply, Response)
    assert (reply.status, reply.has("retry-after")) == (503, False)
    assert reply.to_tag.startswith("shed.")
    assert (reply.call_id, reply.cseq.method) == ("1-1@127.0.0.1", "INVITE")
    assert door.layer.transaction_count == 0
    assert door.counters.shed == 1
    assert not door.admits(_invite(1), now=1.05)
    assert len(door.sent) == 1  # it was sent before our answer was
    assert not door.admits(_invite(1), now=1.5)
    assert door.sent[1] == send  # "must be the same tag for the same request"
    assert door.counters.shed == 1
    ack = send.data.replace(b"SIP/2.0 503 Service Unavailable", b"ACK sip:x SIP/2.0")
    assert not door.admits(ack)


@pytest.mark.parametrize(("rule", "port"), [("auto", 25070), ("source", CALLER.port)])
def test_refusals_go_where_the_trunk_wants_them(rule: str, port: int) -> None:
    door = Door()
    door.layer.reply_to = lambda _: rule
    door.overload(0.5)
    assert not door.admits(_invite(1))
    assert door.sent[0].peer == CALLER._replace(port=port)


def test_who_was_refused_is_not_let_in_by_repeating_himself() -> None:
    throws = iter([0.9, 0.1, 0.1])
    door = Door()
    door.overload(0.5)
    door.gate.overload._dice = lambda: next(throws)
    assert not door.admits(_invite(1))
    door.gate.overload.age_s = 0.0
    assert not door.admits(_invite(1))
    assert door.admits(_invite(2))
    assert (len(door.sent), door.counters.shed) == (2, 1)


def test_memory_of_refusals_is_bounded() -> None:
    door = Door()
    door.overload(0.1)
    for number in range(MOST_REMEMBERED + 10):
        door.admits(_invite(number))
    assert len(door.gate._refused) == MOST_REMEMBERED


def test_total_overload_asks_peers_to_stay_away_for_a_while() -> None:
    door = Door()
    door.overload(0.1)
    door.admits(_invite(1))
    assert parse(door.sent[0].data).first("retry-after") == "9"


def test_stale_invite_is_dropped_without_a_word() -> None:
    door = Door(dice=0.0)
    door.overload(1.0, age_s=0.6)
    assert not door.admits(_invite(1))
    assert door.sent == []
    assert door.counters.shed_dropped == 1
    assert door.admits(_invite(1), Peer("tcp", CALLER.host, 5060, 7))


def _like(method: bytes) -> bytes:
    return _invite(1).replace(b"INVITE", method)


@pytest.mark.parametrize("age_s", [0.2, 0.6])
@pytest.mark.parametrize(
    "data",
    [
        _like(b"BYE"), _like(b"ACK"), _like(b"CANCEL"), _like(b"PRACK"), _like(b"UPDATE"),
        _invite(1).replace(b"To: 2000 <sip:2000@127.0.0.1:25060>", b"To: <sip:2000@x>;tag=1"),
        b"SIP/2.0 200 OK\r\n\r\n", b"INVITE nonsense", b"garbage",
    ],
)  # fmt: skip
def test_nothing_but_new_invites_is_ever_shed(data: bytes, age_s: float) -> None:
    door = Door(dice=0.99)
    door.overload(0.02, age_s)
    assert door.admits(data)
    assert door.sent == []


def test_new_calls_are_handled_last_under_overload_only() -> None:
    door = Door()
    came = [(_invite(1), CALLER), (_like(b"BYE"), CALLER)]
    assert door.gate.ordered(came) is came
    door.overload(0.5)
    assert door.gate.ordered(came) == came[::-1]


def test_repetition_of_an_admitted_invite_is_not_refused() -> None:
    door = Door()
    door.layer.on_message(_invite(1), CALLER, 1.0)
    door.overload(0.02)
    assert door.admits(_invite(1))
    assert not door.admits(_invite(2))
