"""What is looked into of messages from nobody's address."""

from __future__ import annotations

import pytest

from services.signaling.core.context import Context
from services.signaling.core.strangers import may_speak
from services.signaling.core.trunks import CustomerTrunk, DigestRules, DigestUser, TrunkTable
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import context
from tests.unit.signaling.core.test_location import binding

SOURCE = Peer("udp", "192.0.2.1", 5060, 1)
USER = DigestUser(trunk=CustomerTrunk(id="c", account_id="a"), realm="sip", ha1={})


def with_passwords() -> Context:
    shared = context()
    shared.trunks = TrunkTable({}, digest=DigestRules(users={"alice": USER}))
    return shared


@pytest.mark.parametrize(
    ("start", "is_heard"),
    [
        (b"INVITE sip:a@b SIP/2.0", True),
        (b"REGISTER sip:b SIP/2.0", True),
        (b"ACK sip:a@b SIP/2.0", True),
        (b"CANCEL sip:a@b SIP/2.0", True),
        (b"OPTIONS sip:a@b SIP/2.0", False),
        (b"SUBSCRIBE sip:a@b SIP/2.0", False),
        (b"BYE sip:a@b SIP/2.0", False),
        (b"", False),
        (b"\0" * 100, False),
    ],
)
def test_strangers_may_prove_themselves_where_there_are_passwords(
    start: bytes, *, is_heard: bool
) -> None:
    assert may_speak(with_passwords(), start, SOURCE) is is_heard
    assert not may_speak(context(), start, SOURCE)


def test_who_is_registered_is_no_stranger() -> None:
    shared = context()
    shared.location.put(binding())
    assert may_speak(shared, b"OPTIONS sip:a@b SIP/2.0", SOURCE)
