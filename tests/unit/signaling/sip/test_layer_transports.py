"""The layer where several transports and listeners are in play."""

from services.signaling.sip.actions import (
    DeliverResponse,
    Fail,
    Manner,
    Peer,
    Send,
    Terminated,
)
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.listeners import Listener, Listeners
from services.signaling.sip.message import Request
from tests.support.sip_messages import BOB, edited, invite_draft
from tests.unit.signaling.sip.test_layer import answer_to, ids, layer, run_out, sent, server

GROWING = BOB._replace(manner=Manner(grows=True))


def large_draft() -> RequestDraft:
    draft = invite_draft()
    draft.body = b"v=0\r\n" + b"a=x\r\n" * 300
    return draft


def test_a_request_too_large_for_a_datagram_goes_by_tcp_to_who_takes_it() -> None:
    uac = layer()
    _, (small,) = uac.send_request(invite_draft(), GROWING, 0.0)
    _, (plain,) = uac.send_request(large_draft(), BOB, 0.0)
    _, (large,) = uac.send_request(large_draft(), GROWING, 0.0)
    assert isinstance(small, Send)
    assert isinstance(plain, Send)
    assert isinstance(large, Send)
    assert [send.peer.transport for send in (small, plain, large)] == ["udp", "udp", "tcp"]
    assert large.peer == Peer("tcp", BOB.host, BOB.port)
    assert sent([large])[0].via.transport == "TCP"


def test_it_goes_by_udp_after_all_when_no_connection_can_be_made() -> None:
    uac = layer()
    key, (first,) = uac.send_request(large_draft(), GROWING, 0.0)
    (again,) = uac.on_transport_error(key, 4.0)
    assert isinstance(first, Send)
    assert isinstance(again, Send)
    assert again.peer == GROWING
    assert again.key == first.key == key
    (before,), (after,) = sent([first]), sent([again])
    assert (before.via.branch, after.via.transport) == (after.via.branch, "UDP")
    assert uac.transaction_count == 1
    assert [at for at, action in run_out(uac) if isinstance(action, Send)][:2] == [4.5, 5.5]
    assert uac.transaction_count == 0
    assert uac._grown == {}


def test_a_cancel_survives_the_change_of_transport() -> None:
    uac = layer()
    key, _ = uac.send_request(large_draft(), GROWING, 0.0)
    assert uac.cancel(key, 1.0, ["Reason: SIP;cause=487"]) == []
    again = uac.on_transport_error(key, 4.0)
    trying = answer_to(again, 100)
    cancel = sent(uac.on_message(trying, BOB, 5.0))[0]
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.first("reason")) == ("CANCEL", "SIP;cause=487")


def test_a_connection_lost_after_a_first_response_is_a_failure_all_the_same() -> None:
    uac = layer()
    key, actions = uac.send_request(large_draft(), GROWING, 0.0)
    uac.on_message(answer_to(actions, 180), BOB, 1.0)
    lost = uac.on_peer_lost(Peer("tcp", BOB.host, BOB.port), 2.0)
    assert lost == [Fail(key, 503), Terminated(key)]


def test_a_source_with_a_rule_of_its_own_is_answered_by_it() -> None:
    uas = server()
    uas.reply_to = lambda source: "source" if source.host == "203.0.113.5" else "auto"
    nat = Peer("udp", "203.0.113.5", 40_000, 1)
    unasked = edited((b";rport", b""))
    reply = uas.on_message(unasked, nat, 0.0)[0]
    assert isinstance(reply, Send)
    assert reply.peer == nat
    usual = server().on_message(unasked, nat, 0.0)[0]
    assert isinstance(usual, Send)
    assert usual.peer.port == 5060


def test_via_is_that_of_the_listener_towards_the_peer() -> None:
    uac = TransactionLayer(
        sent_by=Listeners(
            [
                Listener("udp", "10.0.0.5", 5060, "203.0.113.5:5060"),
                Listener("tls", "10.0.0.5", 5061, "sip.example:5061"),
                Listener("udp", "2001:db8::5", 5060, "[2001:db8::5]:5060"),
            ]
        ),
        ids=ids(),
    )
    peers = (BOB, Peer("tls", "192.0.2.1", 5061), Peer("udp", "2001:db8::1", 5060))
    tops = [sent(uac.send_request(invite_draft(), peer, 0.0)[1])[0].first("via") for peer in peers]
    assert tops == [
        "SIP/2.0/UDP 203.0.113.5:5060;rport;branch=z9hG4bK0",
        "SIP/2.0/TLS sip.example:5061;branch=z9hG4bK1",
        "SIP/2.0/UDP [2001:db8::5]:5060;rport;branch=z9hG4bK2",
    ]
    _, actions = uac.send_request(invite_draft(), peers[2], 0.0)
    assert isinstance(uac.on_message(answer_to(actions, 200), peers[2], 1.0)[0], DeliverResponse)
