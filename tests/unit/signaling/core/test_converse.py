"""What a conversation knows when it begins."""

from __future__ import annotations

from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.transfer import Transfer
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.conversation import Conversation
from tests.support.signaling.machine import ANSWER, OFFER
from tests.support.signaling.options import machine


def begun(customer: CustomerSip) -> Conversation:
    subject = machine(customer=customer)
    subject.answer(105.0)
    conversation = subject.call._conversation
    assert conversation is not None
    return conversation


def test_sessions_are_kept_only_where_they_are_needed() -> None:
    plain = begun(CustomerSip())
    assert (plain.caller.session, plain.callee.session) == (b"", b"")
    assert plain._vigil is None
    timed = begun(CustomerSip(session_timer=SessionTimer(mode="request")))
    assert (timed.caller.session, timed.callee.session) == (ANSWER, b"")
    movable = begun(CustomerSip(transfer=Transfer(mode="honour")))
    assert (movable.caller.session, movable.callee.session) == (b"", OFFER)


def test_both_parties_were_heard_when_it_begins() -> None:
    conversation = begun(CustomerSip())
    assert conversation.caller.heard_at == conversation.callee.heard_at == 105.0
