"""Whom to send CRLF to, by a literal clock."""

from __future__ import annotations

from services.signaling.core import keep_alive
from services.signaling.core.keep_alive import REMEMBERED_S, KeepAlives
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import CALLER

VENDOR = Peer("udp", "198.51.100.1", 5060)


def test_each_at_its_own_interval() -> None:
    subject = KeepAlives()
    subject.keep([(VENDOR, 20)], 0.0)
    subject.heard(CALLER, 30, 0.0)
    due = {now: subject.due(float(now)) for now in range(0, 70, 10)}
    assert due == {
        0: [], 10: [], 20: [VENDOR], 30: [CALLER], 40: [VENDOR], 50: [], 60: [CALLER, VENDOR],
    }  # fmt: skip


def test_hearing_again_does_not_put_it_off() -> None:
    subject = KeepAlives()
    for now in range(40):
        subject.heard(CALLER, 30, float(now))
    assert subject.due(30.0) == [CALLER]


def test_a_new_configuration_keeps_the_beat_of_the_old() -> None:
    subject = KeepAlives()
    subject.keep([(VENDOR, 20)], 0.0)
    subject.keep([(VENDOR, 20)], 15.0)
    assert subject.due(20.0) == [VENDOR]
    subject.keep([(VENDOR, 60)], 25.0)
    assert subject.due(40.0) == []
    subject.keep([], 50.0)
    assert subject.due(1000.0) == []


def test_who_is_gone_is_forgotten() -> None:
    subject = KeepAlives()
    subject.heard(CALLER, 30, 0.0)
    subject.lost(CALLER)
    assert subject.due(31.0) == []
    subject.heard(CALLER, 30, 0.0)
    assert subject.due(REMEMBERED_S) == []
    assert subject._heard == {}


def test_strangers_cannot_fill_the_memory() -> None:
    subject = KeepAlives()
    for port in range(keep_alive.MOST_CUSTOMERS + 10):
        subject.heard(Peer("udp", "192.0.2.1", port), 30, 0.0)
    assert len(subject._heard) == keep_alive.MOST_CUSTOMERS
