"""Our end of a dialog: where it sends, whom it believes."""

from __future__ import annotations

import pytest

from services.common.sip_options.nat import Nat
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.addressing import peer_of
from services.signaling.core.ingress import Ingress
from services.signaling.core.legs import Leg, dialog_of, session
from services.signaling.core.reach import Reach
from services.signaling.sip.actions import Peer
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Request
from tests.support.signaling.machine import (
    ANSWER,
    CALLER,
    STRANGER,
    Machine,
    answer_to,
    context,
    received,
    wire_request,
)


def caller_leg(contact: str, peer: Peer = CALLER, *headers: str) -> Leg:
    invite = wire_request("INVITE", contact=contact, headers=headers)
    return Leg("A", Dialog.from_request(invite, "ours"), peer, attempt=1)


def test_the_first_route_comes_before_the_contact() -> None:
    leg = caller_leg("sip:x@192.0.2.10", CALLER, "Record-Route: <sip:192.0.2.20:5090;lr>")
    assert leg.target(context()) == Peer("udp", "192.0.2.20", 5090, 1)


def request(**changes: str) -> Request:
    facts = {"to_tag": "ours"} | changes
    return wire_request("BYE", cseq=2, **facts)  # type: ignore[arg-type]  # all are strings


def test_whom_a_leg_believes() -> None:
    leg = caller_leg("sip:x@192.0.2.11", CALLER, "Record-Route: <sip:192.0.2.20;lr>")
    assert leg.accepts(request(), CALLER)
    assert leg.accepts(request(), CALLER._replace(host="192.0.2.11", port=9))
    assert leg.accepts(request(), CALLER._replace(host="192.0.2.20"))
    assert not leg.accepts(request(), STRANGER)
    assert not leg.accepts(request(from_tag="other"), CALLER)
    assert not leg.accepts(request(call_id="other"), CALLER)


def test_the_dialog_of_a_stray_answer() -> None:
    machine = Machine()
    invite = machine.dial()
    stray = dialog_of(answer_to(invite.draft, 200, tag="late"))
    ack = received(stray.ack(1))
    assert (ack.uri, ack.to_tag, ack.call_id) == ("sip:2000@198.51.100.1:5060", "late", "egress1")
    assert received(stray.request("BYE")).cseq == (2, "BYE")
    assert peer_of(stray.next_hop, machine.context) == Peer("udp", "198.51.100.1", 5060)


def test_session_is_the_sdp_and_nothing_else() -> None:
    assert session(wire_request("INVITE", body=ANSWER)) == ANSWER
    assert session(wire_request("INVITE")) == b""
    other = wire_request("INVITE", headers=["Content-Type: text/plain"])
    other.body = b"hello"
    assert session(other) == b""


def test_peer_of_nonsense() -> None:
    assert peer_of("nonsense", context()) is None
    assert peer_of("tel:+49", context()) is None


def test_a_leg_follows_the_rule_of_its_trunk() -> None:
    invite = wire_request("INVITE", contact="sip:x@198.51.100.77:5070")
    ingress = Ingress(invite, "k", CALLER, context())
    ingress.sip = CustomerSip(nat=Nat(request_to="source"))
    assert ingress.leg("ours", 1).target(context()) == CALLER


@pytest.mark.parametrize(
    ("contact", "port"),
    [("sip:x@sip.example", 5071), ("sip:x@SIP.example:5090", 5090)],
)
def test_of_a_names_addresses_the_one_that_answered_is_kept(contact: str, port: int) -> None:
    shared = context()
    names = {"sip.example": ("198.51.100.7", "192.0.2.10")}
    shared.reach = Reach(names, {}, draw=lambda: 0.0)
    answered = Peer("udp", "192.0.2.10", 5071, 1)
    assert caller_leg(contact, answered).target(shared) == answered._replace(port=port)
