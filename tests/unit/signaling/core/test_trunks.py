"""Customers by address."""

from __future__ import annotations

import msgspec
import pytest

from services.common.sip_options.nat import Nat
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.trunks import (
    CustomerTrunk,
    TrunkTable,
    canonical_host,
    split_address,
)
from services.signaling.sip.actions import Peer

ONE = CustomerTrunk(id="ctr_1", account_id="acc_1")
TWO = CustomerTrunk(id="ctr_2", account_id="acc_2")


def test_an_address_with_a_port_wins() -> None:
    table = TrunkTable({"192.0.2.1": ONE, "192.0.2.1:5070": TWO})
    assert table.identify("192.0.2.1", 5060) is ONE
    assert table.identify("192.0.2.1", 5070) is TWO
    assert table.identify("192.0.2.2", 5060) is None


def test_sources_are_answered_by_the_rule_of_their_trunk() -> None:
    assert TrunkTable({"192.0.2.1": ONE}).reply_to is None
    behind_nat = msgspec.structs.replace(ONE, sip=CustomerSip(nat=Nat(reply_to="source")))
    table = TrunkTable({"192.0.2.1": ONE, "192.0.2.2": behind_nat})
    vendors = TrunkTable({"192.0.2.1": ONE}, vendor_rules={"198.51.100.1": "via"})
    assert table.reply_to is not None
    assert vendors.reply_to is not None
    rules = [
        rule(Peer("udp", host, 5060))
        for rule, host in (
            (table.reply_to, "192.0.2.1"),
            (table.reply_to, "192.0.2.2"),
            (vendors.reply_to, "198.51.100.1"),
            (vendors.reply_to, "203.0.113.9"),
        )
    ]
    assert rules == ["auto", "source", "via", "auto"]


def test_ipv6_however_it_is_written() -> None:
    table = TrunkTable({"2001:DB8:0::1": ONE, "[2001:db8::2]:5080": TWO})
    assert table.identify("2001:db8::1", 1) is ONE
    assert table.identify("2001:db8::2", 5080) is TWO
    assert table.identify("2001:db8::2", 5060) is None


def test_known_hosts_are_customers_and_vendors() -> None:
    table = TrunkTable({"192.0.2.1:5070": ONE}, vendor_hosts=["198.51.100.1"])
    assert table.knows("192.0.2.1")
    assert table.knows("198.51.100.1")
    assert not table.knows("203.0.113.1")
    assert not table.reply_to_unknown


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", None),
        (" 192.0.2.1:5060 ", "192.0.2.1", 5060),
        ("2001:db8::1", "2001:db8::1", None),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:DB8::1]:5061", "2001:db8::1", 5061),
    ],
)
def test_split_address(text: str, host: str, port: int | None) -> None:
    assert split_address(text) == (host, port)


@pytest.mark.parametrize("text", ["192.0.2.1:0", "192.0.2.1:70000", "192.0.2.1:sip"])
def test_impossible_ports(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|invalid literal"):
        split_address(text)


def test_canonical_host() -> None:
    assert canonical_host("::ffff:192.0.2.1") == "192.0.2.1"
    assert canonical_host("[2001:DB8:0:0::1]") == "2001:db8::1"
    assert canonical_host("SIP.Example") == "sip.example"
