"""How vendors are, in words."""

from __future__ import annotations

from services.common.sip_options.probe import VendorProbe
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.context import Context
from services.signaling.core.reach import Reach
from services.signaling.core.trunks import TrunkTable, VendorPlace
from services.signaling.core.vendor_view import State, vendor_views
from services.signaling.sip.actions import Peer
from services.signaling.sip.listeners import Listener, Listeners
from tests.support.signaling.machine import context

OPTIONS = VendorProbe(every_s=10, down_after=1, up_after=1)
VENDOR = VendorPlace("vtr_1", "north", "sip.example", sip=VendorSip(probe=OPTIONS))
FIRST, SECOND = Peer("udp", "192.0.2.1", 5060), Peer("udp", "192.0.2.2", 5060)


def known(*places: VendorPlace) -> Context:
    shared = context()
    names = {"sip.example": ("192.0.2.1", "192.0.2.2")}
    shared.reach = Reach(names, {}, draw=lambda: 0.0)
    shared.trunks = TrunkTable({}, places=places or (VENDOR,))
    return shared


def state_of(shared: Context, now: float) -> State:
    (view,) = vendor_views(shared, now)
    return view.state


def test_nobody_asks() -> None:
    assert state_of(known(), 1.0).state == "unknown"


def test_disabled_and_unresolved() -> None:
    assert state_of(known(VENDOR._replace(enabled=False)), 1.0).state == "disabled"
    assert state_of(known(VENDOR._replace(host="other.example")), 1.0).state == "unresolved"


def test_it_is_as_well_as_the_best_of_its_addresses() -> None:
    shared = known()
    health = shared.reach.health
    health.on_probe(("vtr_1", FIRST), OPTIONS, "no answer", 5.0)
    health.on_probe(("vtr_1", SECOND), OPTIONS, "", 6.0)
    assert state_of(shared, 7.0) == State("up", 6.0, "answers OPTIONS")
    health.on_probe(("vtr_1", SECOND), OPTIONS, "503 to OPTIONS", 8.0)
    assert state_of(shared, 9.0) == State("down", 8.0, "503 to OPTIONS")
    (view,) = vendor_views(shared, 9.0)
    assert [(peer, state.state) for peer, state in view.targets] == [
        (FIRST, "down"),
        (SECOND, "down"),
    ]


def test_a_listener_that_is_not_here_leaves_no_way_to_the_vendor() -> None:
    lost = VENDOR._replace(sip=VendorSip(listener="outside"))
    down = State("down", why="no listening address outside on this node")
    assert state_of(known(lost), 1.0) == down
    here = VENDOR._replace(sip=VendorSip(listener="203.0.113.1"))
    assert state_of(known(here), 1.0).state == "unknown"
    shared = known(lost)
    shared.reach.addresses = {"sip.example": ("192.0.2.1", "2001:db8::1")}
    shared.listeners = Listeners([Listener("udp", "::1", 5060, "[::1]:5060", "outside")])
    (view,) = vendor_views(shared, 1.0)
    assert [state.why for _, state in view.targets] == [
        "listening address outside has no IPv4 on this node", "not asked",
    ]  # fmt: skip
    assert view.state.state == "unknown"


def test_left_alone_until_the_first_address_is_called_again() -> None:
    shared = known()
    for peer, seconds in ((FIRST, 60.0), (SECOND, 30.0)):
        shared.reach.health.rest("vtr_1", peer, seconds, "503", 100.0)
    assert state_of(shared, 101.0) == State("backoff", 100.0, "503", 130.0)


def test_where_a_redirection_led_is_shown_but_does_not_count() -> None:
    shared = known()
    elsewhere = Peer("udp", "192.0.2.99", 5060)
    shared.reach.health.rest("vtr_1", elsewhere, 60.0, "503", 100.0)
    (view,) = vendor_views(shared, 101.0)
    assert (view.state.state, view.targets[-1][0]) == ("unknown", elsewhere)


def test_calls_in_progress_are_counted() -> None:
    shared = known()
    shared.vendor_limits.take("vtr_1", max_calls=None, max_cps=None, now=1.0)
    (view,) = vendor_views(shared, 2.0)
    assert view.calls == 1
