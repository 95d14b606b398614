"""INVITEs to ourselves: whose they are, and whom they join."""

from __future__ import annotations

from services.common.sip_options.keepalive import KeepAlive
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.transfer import Transfer
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.admission import admit
from services.signaling.core.ingress import Ingress
from services.signaling.core.loop import (
    LOOP,
    Onward,
    call_to_join,
    caller_of,
    origin_of,
)
from services.signaling.sip.refer import Replaces
from tests.support.signaling.machine import CALLER, wire_request
from tests.support.signaling.options import machine

SIP = CustomerSip(transfer=Transfer(mode="honour"), reliable=Reliable(mode="supported"))
INVITE = wire_request("INVITE", call_id="cal_1.1@transfer")


def test_a_call_of_a_transfer_is_the_transferor_s() -> None:
    subject = machine(customer=SIP)
    subject.context.transfers[INVITE.call_id] = Onward("ctr_1", "acc_1", "192.0.2.10:5060;udp")
    trunk = caller_of(subject.context, INVITE, LOOP)
    assert trunk is not None
    assert (trunk.id, trunk.sip.reliable.mode) == ("ctr_1", "off")
    assert origin_of(subject.context, INVITE) == "192.0.2.10:5060;udp"
    assert call_to_join(subject.context, INVITE) is None


def test_a_call_of_a_transfer_has_no_transport_to_choose_or_to_keep_open() -> None:
    sip = CustomerSip(
        transfer=Transfer(mode="honour"), transports=("tls",), keepalive=KeepAlive(crlf_s=30)
    )
    subject = machine(customer=sip)
    subject.context.transfers[INVITE.call_id] = Onward("ctr_1", "acc_1", "192.0.2.10:5061;tls")
    trunk = caller_of(subject.context, INVITE, LOOP)
    assert trunk is not None
    assert admit(subject.context, trunk, Ingress(INVITE, "k", LOOP, subject.context), 1.0) is None
    assert subject.context.keep_alives.due(100.0) == []


def test_an_invite_nobody_asked_for_is_nobody_s() -> None:
    subject = machine(customer=SIP)
    assert caller_of(subject.context, INVITE, LOOP) is None
    assert origin_of(subject.context, INVITE) == ""
    subject.context.transfers[INVITE.call_id] = Onward("ctr_gone", "acc_1", "")
    assert caller_of(subject.context, INVITE, LOOP) is None


def test_from_outside_the_address_decides_whatever_the_call_id() -> None:
    subject = machine(customer=SIP)
    subject.context.transfers[INVITE.call_id] = Onward("ctr_other", "acc_9", "")
    trunk = caller_of(subject.context, INVITE, CALLER)
    assert trunk is not None
    assert trunk.id == "ctr_1"
    assert caller_of(subject.context, INVITE, CALLER._replace(host="203.0.113.9")) is None


def test_an_invite_that_replaces_joins_a_call_and_never_begins_one() -> None:
    subject = machine(customer=SIP)
    subject.answer()
    for tag, found in (("tag1", subject.call), ("tag1-7", subject.call), ("other", None)):
        replaces = Replaces("ingress@192.0.2.10", tag, "caller", early_only=False)
        subject.context.transfers[INVITE.call_id] = Onward("ctr_1", "acc_1", "", replaces)
        assert call_to_join(subject.context, INVITE) is found
        assert caller_of(subject.context, INVITE, LOOP) is None
