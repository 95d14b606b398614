"""What is measured before anything is asked, and requests before the answer."""

from __future__ import annotations

from services.common.causes import EndReason
from services.common.sip_options.keepalive import KeepAlive
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.admission import admit, offer_of
from services.signaling.core.ingress import Ingress
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.core.values import CallState
from tests.support.signaling.machine import (
    ANSWER,
    CALLER,
    OFFER,
    STRANGER,
    Machine,
    context,
    kinds,
    wire_request,
)


def test_limits_count_admitted_calls_only() -> None:
    shared = context()
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", max_calls=2, max_cps=2)
    invite = Ingress(wire_request("INVITE"), "k", CALLER, shared)
    looped = Ingress(wire_request("INVITE", max_forwards="0"), "k", CALLER, shared)
    assert admit(shared, trunk, looped, 1.0) is EndReason.LOOP
    assert [admit(shared, trunk, invite, 1.0) for _ in range(3)] == [
        None,
        None,
        EndReason.CUSTOMER_CAPACITY,
    ]
    shared.customer_limits.give_back("ctr_1")
    assert admit(shared, trunk, invite, 1.5) is EndReason.CUSTOMER_CPS
    assert admit(shared, trunk, invite, 2.0) is None


def test_a_customer_whose_listener_is_not_here_is_refused() -> None:
    shared = context()
    for listener, outcome in (("inside", EndReason.LISTENER_MISSING), ("203.0.113.1", None)):
        sip = CustomerSip(listener=listener)
        ingress = Ingress(wire_request("INVITE"), "k", CALLER, shared)
        ingress.meet(sip)
        trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=sip)
        assert admit(shared, trunk, ingress, 1.0) is outcome
        assert ingress.source is CALLER


def test_calls_come_by_the_transports_of_their_trunk() -> None:
    shared = context()
    sip = CustomerSip(transports=("tls", "wss"))
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=sip)
    plain = Ingress(wire_request("INVITE"), "k", CALLER, shared)
    assert admit(shared, trunk, plain, 1.0) is EndReason.TRANSPORT_REFUSED
    secure = Ingress(wire_request("INVITE"), "k", CALLER._replace(transport="tls"), shared)
    assert admit(shared, trunk, secure, 1.0) is None
    assert secure.sip is sip


def test_who_wants_it_is_kept_alive_where_he_calls_from() -> None:
    shared = context()
    sip = CustomerSip(keepalive=KeepAlive(crlf_s=30))
    trunk = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=sip)
    admit(shared, trunk, Ingress(wire_request("INVITE"), "k", CALLER, shared), 1.0)
    assert shared.keep_alives.due(30.9) == []
    assert shared.keep_alives.due(31.0) == [CALLER]


def test_what_passes_to_the_egress_invite() -> None:
    invite = wire_request(
        "INVITE",
        body=OFFER,
        headers=["Privacy: id", "X-Secret: 1", "Alert-Info: <http://192.0.2.1/>"],
        max_forwards="",
    )
    offer = offer_of(Ingress(invite, "k", CALLER, context()))
    assert offer[:5] == (OFFER, "192.0.2.10", invite, ("Privacy: id",), 70)
    assert offer.is_special


def test_max_forwards_is_capped() -> None:
    invite = wire_request("INVITE", max_forwards="255")
    assert offer_of(Ingress(invite, "k", CALLER, context())).max_forwards == 69


def test_bye_on_an_early_dialog_cancels() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.say(invite, 180, 101.0)
    assert kinds(machine.caller_sends("BYE", 102.0)) == [
        "A 200", "Cancel", "A 487", "ReleaseCredit",
    ]  # fmt: skip
    machine.say(invite, 487, 102.1)
    machine.assert_ended(EndReason.CANCELLED, 487)


def test_requests_inside_an_early_dialog() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.say(invite, 180, 101.0)
    assert kinds(machine.caller_sends("UPDATE", 102.0, body=OFFER)) == ["A 500"]
    assert kinds(machine.caller_sends("OPTIONS", 102.0)) == ["A 200"]
    assert kinds(machine.caller_sends("INFO", 102.0, source=STRANGER)) == ["A 481"]
    assert kinds(machine.callee_sends(invite, "UPDATE", 102.0)) == ["B1 200"]
    assert kinds(machine.callee_sends(invite, "UPDATE", 102.0, body=OFFER)) == ["B1 491"]
    assert kinds(machine.callee_sends(invite, "REFER", 102.0)) == ["B1 405"]
    assert kinds(machine.callee_sends(invite, "BYE", 102.0)) == ["B1 200"]
    assert machine.call.state is CallState.RINGING


def test_the_callee_hangs_up_before_the_caller_heard_the_answer() -> None:
    machine = Machine()
    invite = machine.dial()
    machine.say(invite, 200, 105.0, body=ANSWER)
    assert kinds(machine.callee_sends(invite, "BYE", 105.1)) == [
        "B1 200", "A 480", "ReleaseCredit", "CallEnded", "Finished",
    ]  # fmt: skip
    assert machine.assert_ended(EndReason.NO_ANSWER, 480).end_side == "callee"
