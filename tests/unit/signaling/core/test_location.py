"""Bindings by username."""

from __future__ import annotations

import msgspec

from services.signaling.core.location import SWEEP_S, Binding, Location, binding_id
from services.signaling.sip.actions import Peer


def binding(contact: str = "sip:a@192.0.2.1", **changes: object) -> Binding:
    base = Binding(
        id=binding_id("alice", contact),
        username="alice",
        uri=contact,
        expires_at=1060.0,
        registered_at=1000.0,
        call_id="1",
        cseq=1,
        node="n1",
        transport="udp",
        host="192.0.2.1",
        port=5060,
        connection=1,
    )
    return msgspec.structs.replace(base, **changes)


def test_the_best_contact_comes_first_and_then_the_newest() -> None:
    location = Location()
    low, old, new = (
        binding("sip:low", q=0.1, registered_at=1009.0),
        binding("sip:old", registered_at=1001.0),
        binding("sip:new", registered_at=1002.0),
    )
    for one in (low, old, new):
        location.put(one)
    assert location.of("alice", 1010.0) == [new, old, low]
    assert list(location.all(1010.0)) == [new, old, low]
    assert location.of("bob", 1010.0) == []
    assert len(location) == 3


def test_what_ran_out_is_not_used_and_swept_in_time() -> None:
    location = Location()
    location.put(binding())
    assert location.of("alice", 1059.9) != []
    assert location.of("alice", 1060.0) == []
    assert location.knows("192.0.2.1")
    location.sweep(1060.0)
    assert not location.knows("192.0.2.1")
    location.put(binding())
    location.sweep(1060.0 + SWEEP_S / 2)  # too soon to look again
    assert len(location) == 1


def test_replaced_and_removed() -> None:
    location = Location()
    location.put(binding())
    moved = binding(host="192.0.2.2")
    location.put(moved)
    assert location.get("alice", moved.id) == moved
    assert (location.knows("192.0.2.1"), location.knows("192.0.2.2")) == (False, True)
    location.remove("alice", moved.id)
    location.remove("alice", moved.id)
    assert len(location) == 0
    assert not location.knows("192.0.2.2")


def test_a_lost_connection_takes_its_flow_and_only_outbound_bindings() -> None:
    location = Location()
    plain = binding("sip:a", transport="tcp", connection=7)
    outbound = binding("sip:b", transport="tcp", connection=7, instance="u", reg_id=1)
    foreign = binding("sip:c", transport="tcp", connection=7, node="n2")
    for one in (plain, outbound, foreign):
        location.put(one)
    lost = Peer("tcp", "192.0.2.1", 5060, 7)
    assert location.lose(lost._replace(connection=0), "n1") == []
    assert location.lose(lost._replace(host="192.0.2.99"), "n1") == []
    assert location.lose(lost, "n1") == [plain, outbound]
    assert {(one.uri, one.connection) for one in location.all(1000.0)} == {
        ("sip:a", 0), ("sip:c", 7),
    }  # fmt: skip


def test_the_name_of_a_binding_is_fit_for_a_subject() -> None:
    names = {binding_id("alice", "sip:a"), binding_id("alic", "esip:a"), binding_id("a.*>", "\0")}
    assert len(names) == 3
    assert all(name.isalnum() and len(name) == 32 for name in names)
