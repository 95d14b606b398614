"""From DNS records to targets: RFC 3263 and the weights of RFC 2782."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from services.signaling.core.targets import (
    MOST_TARGETS,
    Choice,
    Naptr,
    Service,
    Srv,
    choices_of,
    in_order,
    names_asked,
    services_of,
)
from services.signaling.sip.actions import Peer

A, B, C = (Peer("udp", f"198.51.100.{number}", 5060) for number in (1, 2, 3))


def test_naptr_records_choose_the_transport_by_order_then_preference() -> None:
    records = [
        Naptr(20, 10, "s", "SIP+D2T", "_sip._tcp.example.com."),
        Naptr(10, 50, "S", "sip+d2u", "_sip._udp.Example.com."),
        Naptr(10, 10, "s", "SIPS+D2T", "_sips._tcp.example.com."),
        Naptr(10, 20, "u", "E2U+sip", ""),
        Naptr(1, 1, "s", "SIP+D2S", "_sip._sctp.example.com."),
    ]
    assert services_of(records, "udp") == [
        ("tls", "_sips._tcp.example.com"),
        ("udp", "_sip._udp.example.com"),
        ("tcp", "_sip._tcp.example.com"),
    ]
    # What is to be secure is never called otherwise.
    assert services_of(records, "tls") == [("tls", "_sips._tcp.example.com")]


def test_without_naptr_every_plain_transport_is_asked_for_the_trunks_own_first() -> None:
    assert names_asked(Service("example.com", "tcp", "naptr")) == [
        ("tcp", "_sip._tcp.example.com"),
        ("udp", "_sip._udp.example.com"),
    ]
    assert names_asked(Service("example.com", "udp", "srv")) == [("udp", "_sip._udp.example.com")]
    for lookup in ("srv", "naptr"):
        asked = names_asked(Service("example.com", "tls", lookup))
        assert asked == [("tls", "_sips._tcp.example.com")]


def test_srv_records_become_choices_by_priority_with_the_addresses_of_their_hosts() -> None:
    found = [
        ("udp", [Srv(20, 0, 5070, "b.example"), Srv(10, 5, 5060, "A.example")]),
        ("tcp", [Srv(1, 0, 5080, "a.example")]),
    ]
    addresses = {"a.example": ("198.51.100.1", "2001:db8::1"), "b.example": ("198.51.100.2",)}
    choices = choices_of(found, addresses)
    assert in_order(choices, lambda: 0.0) == [
        Peer("udp", "198.51.100.1", 5060),
        Peer("udp", "2001:db8::1", 5060),
        Peer("udp", "198.51.100.2", 5070),
        Peer("tcp", "198.51.100.1", 5080),
        Peer("tcp", "2001:db8::1", 5080),
    ]


def test_records_that_lead_nowhere_are_left_out() -> None:
    found = [("udp", [Srv(1, 0, 5060, "."), Srv(2, 0, 0, "a"), Srv(3, 0, 5060, "unknown")])]
    assert choices_of(found, {"a": ("198.51.100.1",), ".": ("198.51.100.9",)}) == ()


@pytest.mark.parametrize(
    ("draws", "order"),
    [
        # Weights 0, 1, 3: running sums 0, 1, 4; the number drawn is 0 to 4.
        ([0.0], [A, B, C]),
        ([0.2, 0.99], [B, C, A]),
        ([0.99, 0.0], [C, A, B]),
        ([0.99, 0.99], [C, B, A]),
    ],
)
def test_weights_are_drawn_as_rfc_2782_says(draws: list[float], order: list[Peer]) -> None:
    numbers = iter(draws + [0.0] * 3)
    choices = [Choice(0, 1, (B,)), Choice(0, 0, (A,)), Choice(0, 3, (C,))]
    assert in_order(choices, lambda: next(numbers)) == order


def test_weights_are_shares() -> None:
    choices = [Choice(0, 3, (A,)), Choice(0, 1, (B,))]
    steps = iter([number / 1000 for number in range(1000)])
    first = Counter(in_order(choices, lambda: next(steps))[0] for _ in range(1000))
    # RFC 2782 draws from 0 to the sum, both included: 4 of 5 numbers fall to weight 3.
    assert first == {A: 800, B: 200}


def test_an_overgrown_zone_is_cut() -> None:
    many = tuple(Peer("udp", f"198.51.100.{number}", 5060) for number in range(100))
    assert len(in_order([Choice(0, 1, many)], lambda: 0.0)) == MOST_TARGETS
    each = [Choice(number, 1, (peer,)) for number, peer in enumerate(many)]
    drawn = in_order(each, lambda: 0.0)
    assert len(drawn) == MOST_TARGETS
    assert all(one != other for one, other in pairwise(drawn))


def test_logs_name_what_was_asked() -> None:
    assert str(Service("example.com", "udp", "srv")) == "srv example.com udp"
