"""New calls under overload: who is refused, how, and what is never touched."""

from __future__ import annotations

import pytest

from services.signaling.app.counters import Counters
from services.signaling.app.shedding import MOST_REMEMBERED, Shedding
from services.signaling.core.overload import Overload
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.actions import Peer, Send
from services.signaling.sip.glance import SHED_TAG
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response, parse
from tests.bench.bench_signaling import _invite
from tests.support.signaling.machine import CALLER, STRANGER, TRUNK, context


class Door:
    """What sheds, with one trunk behind it."""

    def __init__(self, *, dice: float = 0.9) -> None:
        self.sent: list[Send] = []
        self.batches: list[int] = []
        self.errors: list[Exception] = []
        self.is_connected = True
        self.counters = Counters()
        ctx = self.context = context()
        ctx.trunks = TrunkTable({CALLER.host: TRUNK})
        self.layer = TransactionLayer(sent_by="203.0.113.1:5060", ids=lambda: "x" * 16)
        self.shedding = Shedding(
            ctx, self.layer, self.counters, self, self.errors.append,
            overload=Overload(lambda: dice),
        )  # fmt: skip

    def send(self, data: bytes, peer: Peer, key: str) -> bool:
        """The network."""
        return self.send_alike([data], peer) and not key

    def send_alike(self, messages: list[bytes], peer: Peer) -> bool:
        """The network."""
        assert len({len(data) for data in messages}) == 1
        self.batches.append(len(messages))
        self.sent += [Send(data, peer) for data in messages]
        return self.is_connected

    def admits(self, data: bytes, source: Peer = CALLER, now: float = 1.0) -> bool:
        return list(self.shedding.sift([(data, source)], now)) == [(data, source)]

    def overload(self, share: float, age_s: float = 0.2) -> None:
        self.shedding.overload.on_queue_age(age_s, 1.0)
        self.shedding.overload.share = share


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
    door.shedding.overload._dice = lambda: next(throws)
    assert not door.admits(_invite(1))
    door.shedding.overload.age_s = 0.0
    assert not door.admits(_invite(1))
    assert door.admits(_invite(2))
    assert (len(door.sent), door.counters.shed) == (2, 1)


def test_memory_of_refusals_is_bounded() -> None:
    door = Door()
    door.overload(0.1)
    for number in range(MOST_REMEMBERED + 10):
        door.admits(_invite(number))
    assert len(door.shedding._refused) == MOST_REMEMBERED


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
    door = Door(dice=0.1)
    cancel, again, answer = _like(b"CANCEL"), _invite(1), b"SIP/2.0 200 OK"
    came = [
        (data, CALLER) for data in (_invite(1), _like(b"BYE"), cancel, answer, again)
    ]  # fmt: skip
    assert door.shedding.sift(came, 1.0) is came
    door.overload(0.5)
    assert door.shedding.sift(came, 1.0) == [came[1], came[3], came[0], came[2], came[4]]


def test_what_is_refused_is_counted_and_so_is_what_acknowledges_it() -> None:
    door = Door()
    door.overload(0.5)
    ack = f"ACK sip:x SIP/2.0\r\nTo: <sip:x>;tag={SHED_TAG}00000001\r\n\r\n".encode()
    came = [(_invite(1), CALLER), (ack, CALLER)]
    assert door.shedding.sift(came, 1.0) == []
    assert door.counters.messages_in == 2
    assert door.counters.bytes_in == sum(len(data) for data, _ in came)
    assert (door.counters.messages_out, door.counters.send_failures) == (1, 0)
    assert door.counters.bytes_out == len(door.sent[0].data)
    door.is_connected = False
    door.admits(_invite(2))
    assert (door.counters.messages_out, door.counters.send_failures) == (2, 1)


def test_refusals_of_equal_length_leave_together() -> None:
    door = Door()
    door.overload(0.5)
    other = CALLER._replace(port=CALLER.port + 1)
    long = _invite(4).replace(b"sip:sipp@", b"sip:" + b"s" * 40 + b"@")
    came = [(_invite(1), CALLER), (_invite(2), other), (long, CALLER), (_invite(33), CALLER)]
    assert door.shedding.sift(came, 1.0) == []
    assert sorted(door.batches) == [1, 3]  # both answer to where their Via says
    assert door.counters.messages_out == 4


def test_new_calls_of_strangers_wait_until_the_gate_has_heard_them() -> None:
    door = Door()
    door.overload(0.5)
    assert door.admits(_invite(1), STRANGER)
    assert door.sent == []
    assert not door.shedding.admits(_invite(1), STRANGER, 1.0)
    assert len(door.sent) == 1
    assert door.shedding.admits(_like(b"BYE"), STRANGER, 1.0)


def test_an_error_costs_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bool:
        raise RuntimeError("a bug")

    door = Door()
    door.overload(0.5)
    monkeypatch.setattr(door.layer, "has", fail)
    came = [(_invite(1), CALLER), (_like(b"BYE"), CALLER)]
    assert door.shedding.sift(came, 1.0) == came[1:]
    assert [str(each) for each in door.errors] == ["a bug"]


def test_repetition_of_an_admitted_invite_is_not_refused() -> None:
    door = Door()
    door.layer.on_message(_invite(1), CALLER, 1.0)
    door.overload(0.02)
    assert door.admits(_invite(1))
    assert not door.admits(_invite(2))
