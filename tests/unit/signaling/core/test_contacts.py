"""The way to a registered contact, and calls that take it."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.auth import VendorRegistered
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import Request as Dial
from services.signaling.core.contacts import way_to
from services.signaling.core.location import Binding
from services.signaling.core.trunks import CustomerTrunk, DigestRules, DigestUser, TrunkTable
from services.signaling.sip.actions import Manner, Peer
from tests.support.signaling.machine import WALL, Machine, candidate, context, only, received
from tests.unit.signaling.core.test_location import binding

SOURCE = Peer("udp", "192.0.2.1", 5060, 1)
NOW = WALL.timestamp()


def lasting(contact: str = "sip:a@10.0.0.5", **changes: object) -> Binding:
    return binding(contact, expires_at=NOW + 60, registered_at=NOW, **changes)


def test_by_the_flow_it_registered_with() -> None:
    way = way_to(lasting(), context())
    assert way is not None
    assert (way.uri, way.route, way.peer) == ("sip:a@10.0.0.5", (), SOURCE)


def test_of_another_node_at_its_source() -> None:
    way = way_to(lasting(node="n2"), context())
    assert way is not None
    assert way.peer == SOURCE._replace(connection=0)


@pytest.mark.parametrize(
    ("changes", "peer"),
    [
        ({"connection": 7}, Peer("tcp", "192.0.2.1", 5060, 7)),
        ({"connection": 0}, Peer("tcp", "198.51.100.7", 5070)),
        ({"connection": 7, "node": "n2"}, Peer("tcp", "198.51.100.7", 5070)),
    ],
)
def test_a_stream_that_is_gone_or_elsewhere_is_made_anew(
    changes: dict[str, object], peer: Peer
) -> None:
    contact = "sip:a@198.51.100.7:5070;transport=tcp"
    way = way_to(lasting(contact, transport="tcp", **changes), context())
    assert way is not None
    assert way.peer == peer


def test_from_the_listener_of_the_users_trunk() -> None:
    shared = context()
    trunk = CustomerTrunk(id="c", account_id="a", sip=CustomerSip(listener="inside"))
    user = DigestUser(trunk=trunk, realm="sip", ha1={})
    shared.trunks = TrunkTable({}, digest=DigestRules(users={lasting().username: user}))
    way = way_to(lasting(), shared)
    assert way is not None
    assert way.peer == SOURCE._replace(connection=0, manner=Manner(listener="inside"))
    flow = way_to(lasting(transport="tcp", connection=7), shared)
    assert flow is not None
    assert flow.peer.connection == 7  # the stream that is open
    browser = way_to(lasting(transport="wss", connection=7), shared)
    assert browser is not None
    assert browser.peer.manner is None


def test_by_its_path() -> None:
    path = ("<sip:198.51.100.20:5080;lr>", "<sip:inner;lr>")
    way = way_to(lasting(path=path), context())
    assert way is not None
    assert (way.route, way.peer) == (path, Peer("udp", "198.51.100.20", 5080))
    straight = way_to(lasting(path=path, host="198.51.100.20"), context())
    assert straight is not None
    assert straight.peer == Peer("udp", "198.51.100.20", 5060, 1)
    assert way_to(lasting(path=("<sip:nobody.invalid;lr>",)), context()) is None


def test_4475_regescrt_headers_of_a_contact_never_become_ours() -> None:
    way = way_to(lasting("sip:u@e.com?Route=%3Csip:evil%3E"), context())
    assert way is not None
    assert way.uri == "sip:u@e.com"


# --- calls -------------------------------------------------------------------------------


def call_to(*bindings: Binding, request_uri: str = "contact") -> Machine:
    shared = context()
    for one in bindings:
        shared.location.put(one)
    options = VendorSip(registered=VendorRegistered(request_uri=request_uri))  # type: ignore[arg-type]
    shared.trunks = TrunkTable({}, vendors={"vtr_1": options})
    return Machine(candidate(host="registered:alice"), shared=shared)


def test_a_call_to_a_registered_user() -> None:
    call = call_to(lasting(path=("<sip:198.51.100.20;lr>",)))
    invite = call.dial()
    request = received(invite.draft)
    assert request.uri == "sip:a@10.0.0.5"
    assert request.to.uri == "sip:2000@198.51.100.20"
    assert request.headers("route") == ["<sip:198.51.100.20;lr>"]
    assert invite.peer.host == "198.51.100.20"


def test_a_pbx_wants_the_number() -> None:
    call = call_to(lasting("sip:trunk1@10.0.0.5:5070;line=3"), request_uri="number")
    assert call.dial().draft.uri == "sip:2000@10.0.0.5:5070;line=3"


def test_nobody_is_registered() -> None:
    call = call_to()
    call.start()
    call.take(call.call.on_plan(call.plan, 100.0))
    call.take(call.call.on_credit(call.credit, 100.0))
    record = call.assert_ended(EndReason.NOT_REGISTERED, 480)
    assert record.attempts[0].end_reason == "not_registered"


def test_several_contacts_are_tried_one_after_the_other() -> None:
    call = call_to(lasting("sip:low@10.0.0.6", q=0.5), lasting("sip:high@10.0.0.5"))
    first = call.dial()
    assert first.draft.uri == "sip:high@10.0.0.5"
    second = only(call.say(first, 480, 101.0), Dial)
    assert second.draft.uri == "sip:low@10.0.0.6"
    call.say(second, 480, 102.0)
    assert len(call.record.attempts) == 2
