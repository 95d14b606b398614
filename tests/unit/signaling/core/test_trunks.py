"""Customers by address."""

from __future__ import annotations

import msgspec
import pytest

from services.common.sip_options.nat import Nat
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.trunks import (
    CustomerTrunk,
    DigestRules,
    DigestUser,
    Place,
    TrunkTable,
    canonical_host,
    split_address,
)
from services.signaling.sip.actions import Peer
from tests.support.signaling.machine import wire_request

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


def told_apart(id_: str, *, prefix: str = "", from_user: str = "") -> CustomerTrunk:
    return CustomerTrunk(id=id_, account_id="acc_1", tech_prefix=prefix, from_user=from_user)


def test_the_smallest_network_wins_and_an_address_wins_over_it() -> None:
    table = TrunkTable({
        "192.0.0.0/16": ONE, "192.0.2.0/24": TWO, "192.0.2.9": ONE, "2001:db8::/32": TWO,
    })  # fmt: skip
    assert table.identify("192.0.1.1", 5060) is ONE
    assert table.identify("192.0.2.1", 5060) is TWO
    assert table.identify("192.0.2.9", 5060) is ONE
    assert table.identify("2001:db8::5", 5060) is TWO
    assert table.identify("2001:db9::5", 5060) is None
    assert table.identify("192.1.0.0", 5060) is None
    assert table.identify("no address", 5060) is None
    assert table.knows("192.0.1.77")
    assert not table.knows("198.51.100.1")


def test_networks_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.signaling.core.trunks._MOST_CACHED", 2)
    table = TrunkTable({"192.0.2.0/24": ONE})
    for last in (1, 2, 3, 1):
        assert table.identify(f"192.0.2.{last}", 5060) is ONE
    assert len(table._cache) <= 2


def test_customers_behind_one_address_are_told_apart_by_prefix() -> None:
    red, blue = told_apart("red", prefix="11"), told_apart("blue", prefix="112")
    rest = told_apart("rest")
    table = TrunkTable([("192.0.2.1", red), ("192.0.2.1", blue)])

    def caller_of(number: str, table: TrunkTable = table) -> CustomerTrunk | None:
        request = wire_request("INVITE", uri=f"sip:{number}@203.0.113.1")
        return table.identify("192.0.2.1", 5060, request)

    assert caller_of("114912345") is red
    assert caller_of("1124912345") is blue
    assert caller_of("4912345") is None
    assert table.identify("192.0.2.1", 5060) is None
    everybody = TrunkTable([("192.0.2.1", rest), ("192.0.2.1", blue)])
    assert caller_of("4912345", everybody) is rest
    # The port is more particular than the address, but has nobody for this number.
    split = TrunkTable([("192.0.2.1:5060", blue), ("192.0.2.0/24", rest)])
    assert caller_of("4912345", split) is rest
    assert caller_of("1124912345", split) is blue


def test_customers_behind_one_address_are_told_apart_by_from_user() -> None:
    red, blue = told_apart("red", from_user="1000"), told_apart("blue", from_user="2000")
    table = TrunkTable([("192.0.2.1", red), ("192.0.2.1", blue)])
    request = wire_request("INVITE", from_uri="sip:2000@192.0.2.1")
    assert table.identify("192.0.2.1", 5060, request) is blue
    request = wire_request("INVITE", from_uri="sip:3000@192.0.2.1")
    assert table.identify("192.0.2.1", 5060, request) is None


def test_the_prefix_is_taken_off() -> None:
    assert told_apart("x", prefix="11#").without_prefix("11#4912") == "4912"
    assert told_apart("x").without_prefix("4912") == "4912"
    assert told_apart("x", prefix="99").without_prefix("4912") == "4912"


def test_whose_address_it_is() -> None:
    red, blue = told_apart("red", prefix="1"), told_apart("blue", prefix="2")
    table = TrunkTable([("192.0.2.1", red), ("192.0.2.1", blue), ("198.51.100.0/24", ONE)])
    assert table.lives_at("red", "192.0.2.1", 5060)
    assert table.lives_at("blue", "192.0.2.1", 5060)
    assert not table.lives_at("blue", "198.51.100.1", 5060)
    assert table.lives_at("ctr_1", "198.51.100.1", 5060)


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        (Place("sip.example", 5060, "udp"), "sip:sip.example"),
        (Place("sip.example", 5061, "tls"), "sip:sip.example;transport=tls"),
        (Place("sip.example", 5070, "udp", "srv"), "sip:sip.example"),
        (Place("2001:db8::1", 5080, "tcp"), "sip:[2001:db8::1]:5080;transport=tcp"),
    ],
)
def test_a_place_as_a_uri(place: Place, uri: str) -> None:
    assert place.uri == uri


def test_all_that_is_to_be_trusted() -> None:
    table = TrunkTable({"192.0.2.1:5070": ONE, "192.0.2.0/24": TWO}, vendor_hosts=["198.51.100.1"])
    assert table.hosts == {"192.0.2.1", "192.0.2.0/24", "198.51.100.1"}


def test_a_trunk_with_passwords_alone_is_known_by_its_id() -> None:
    user = DigestUser(trunk=TWO, realm="sip", ha1={})
    table = TrunkTable({"192.0.2.1": ONE}, digest=DigestRules(users={"alice": user}))
    assert table.customer("ctr_1") is ONE
    assert table.customer("ctr_2") is TWO
    assert table.customer("ctr_3") is None


def test_the_listening_addresses_trunks_want() -> None:
    inside = CustomerTrunk(id="ctr_1", account_id="acc_1", sip=CustomerSip(listener="in"))
    usual = CustomerTrunk(id="ctr_2", account_id="acc_1")
    vendors = {"vtr_1": VendorSip(listener="out"), "vtr_2": VendorSip()}
    table = TrunkTable({"192.0.2.1": inside, "192.0.2.2": usual}, vendors=vendors)
    assert table.listeners_named() == {"ctr_1": "in", "vtr_1": "out"}
