"""What goes by TCP for its size; the change of transport itself is in test_layer_transports."""

from services.signaling.sip.actions import Manner
from services.signaling.sip.oversize import (
    LARGEST_DATAGRAM,
    Grown,
    client_transaction,
    is_oversize,
)
from services.signaling.sip.transaction.invite_client import InviteClientTransaction
from services.signaling.sip.transaction.timers import RFC3261_TIMERS
from tests.support.sip_messages import BOB, invite_draft

GROWING = BOB._replace(manner=Manner(grows=True))


def test_only_what_is_too_large_and_may_grow() -> None:
    large = b"x" * (LARGEST_DATAGRAM + 1)
    assert is_oversize(large, GROWING)
    assert not is_oversize(large[1:], GROWING)
    assert not is_oversize(large, BOB)
    assert not is_oversize(large, BOB._replace(manner=Manner("sip.example")))


def test_what_takes_its_place_is_under_the_same_key() -> None:
    draft = invite_draft()
    failed = client_transaction(draft, b"", "branch INVITE", GROWING, RFC3261_TIMERS)
    assert isinstance(failed, InviteClientTransaction)
    failed.cancel_headers = ("Reason: SIP;cause=487",)
    via = "Via: SIP/2.0/UDP h;branch=z9hG4bK1"
    again = Grown(draft, GROWING, RFC3261_TIMERS).by_udp(via, failed)
    assert isinstance(again, InviteClientTransaction)
    assert (again.key, again.peer) == (failed.key, GROWING)
    assert again.cancel_headers == failed.cancel_headers
