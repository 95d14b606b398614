"""Addresses that are down, and addresses that are left alone."""

from __future__ import annotations

from services.common.causes import EndReason
from services.common.sip_options.probe import VendorProbe
from services.signaling.core.vendor_health import Seen, VendorHealth
from services.signaling.sip.actions import Peer

PEER = Peer("udp", "198.51.100.1", 5060)
OTHER = Peer("udp", "198.51.100.2", 5060)
PLACE = ("vtr_1", PEER)
PROBE = VendorProbe(every_s=10, down_after=3, up_after=2)


def test_it_goes_down_after_so_many_silences_and_up_after_so_many_answers() -> None:
    health = VendorHealth()
    outcomes = [
        ("no answer", False), ("no answer", False), ("", False),  # an answer starts the count anew
        ("no answer", False), ("no answer", False), ("no answer", True),
        ("", False), ("no answer", False), ("", False), ("", True),
    ]  # fmt: skip
    for at, (failure, changes) in enumerate(outcomes):
        assert health.on_probe(PLACE, PROBE, failure, float(at)) is changes, at
        is_down = 5 <= at < 9
        trouble = EndReason.VENDOR_DOWN if is_down else None
        assert health.trouble(*PLACE, float(at)) is trouble
    assert list(health.seen(20.0)) == [Seen(*PLACE, "up", 9.0, "answers OPTIONS again", 0.0)]


def test_a_down_address_says_since_when_and_why() -> None:
    health = VendorHealth()
    for at in (1.0, 2.0, 3.0, 4.0):
        health.on_probe(PLACE, PROBE, f"503 at {at}", at)
    assert list(health.seen(9.0)) == [Seen(*PLACE, "down", 3.0, "503 at 4.0", 0.0)]


def test_another_trunk_or_address_is_not_concerned() -> None:
    health = VendorHealth()
    for at in range(3):
        health.on_probe(PLACE, PROBE, "no answer", float(at))
    assert health.trouble("vtr_1", OTHER, 5.0) is None
    assert health.trouble("vtr_2", PEER, 5.0) is None


def test_a_rest_ends_by_itself() -> None:
    health = VendorHealth()
    health.rest(*PLACE, 30.0, "503", 100.0)
    assert health.trouble(*PLACE, 129.9) is EndReason.VENDOR_BACKOFF
    assert list(health.seen(120.0)) == [Seen(*PLACE, "backoff", 100.0, "503", 130.0)]
    assert health.trouble(*PLACE, 130.0) is None
    assert list(health.seen(130.0)) == []


def test_a_later_rest_lengthens_but_never_shortens() -> None:
    health = VendorHealth()
    health.rest(*PLACE, 30.0, "first", 100.0)
    health.rest(*PLACE, 5.0, "second", 110.0)
    assert health.trouble(*PLACE, 129.0) is EndReason.VENDOR_BACKOFF
    health.rest(*PLACE, 60.0, "third", 120.0)
    assert list(health.seen(121.0)) == [Seen(*PLACE, "backoff", 100.0, "third", 180.0)]
    health.rest(*PLACE, 0.0, "none", 200.0)
    assert not health.is_resting(PLACE, 200.0)


def test_what_nobody_asks_any_more_is_forgotten() -> None:
    health = VendorHealth()
    for at in range(3):
        health.on_probe(PLACE, PROBE, "no answer", float(at))
    health.rest("vtr_1", OTHER, 60.0, "503", 3.0)
    health.keep_only(set(), {"vtr_1"})
    assert health.trouble(*PLACE, 5.0) is None
    assert [seen.peer for seen in health.seen(5.0)] == [OTHER]
    health.keep_only(set(), set())
    assert list(health.seen(5.0)) == []


def test_rests_that_are_over_do_not_pile_up() -> None:
    health = VendorHealth()
    for number in range(3_000):
        peer = Peer("udp", f"192.0.2.{number % 256}", 5000 + number)
        health.rest("vtr_1", peer, 1.0, "503", float(number))
    assert len(health._resting) <= 1_001
