"""Matching, as far as it needs no transaction; the rest is in test_layer."""

from services.signaling.sip.actions import Peer
from services.signaling.sip.matching import server_key, stamp
from services.signaling.sip.message import Request, parse
from tests.support.sip_messages import ALICE, INVITE, edited


def request(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def test_an_ack_has_the_key_of_its_invite_and_a_cancel_one_of_its_own() -> None:
    invite = server_key(request(INVITE))
    ack = edited((b"INVITE sip", b"ACK sip"), (b"1 INVITE", b"1 ACK"))
    cancel = edited((b"INVITE sip", b"CANCEL sip"), (b"1 INVITE", b"1 CANCEL"))
    assert server_key(request(ack)) == invite
    assert server_key(request(cancel)) == invite.removesuffix("INVITE") + "CANCEL"


def test_responses_go_to_the_source_where_it_is_asked_for() -> None:
    moved = Peer("udp", ALICE.host, 33_333)
    assert stamp(request(INVITE), moved) == moved
    assert stamp(request(edited((b";rport", b""))), moved).port == 5060
    tcp = moved._replace(transport="tcp")
    assert stamp(request(edited((b";rport", b""))), tcp) == tcp
