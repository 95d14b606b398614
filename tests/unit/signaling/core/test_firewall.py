"""The rules as text: ours alone, only our ports, in an order that never bans a trunk."""

from __future__ import annotations

import pytest

from services.signaling.core.firewall import (
    METHODS,
    change,
    create,
    iptables_file,
    nftables_file,
    remove,
    table_name,
    trust,
)
from services.signaling.core.guard import Ban, Prove, Unban
from services.signaling.core.scanners import SIGNATURES

LISTENERS = [("192.0.2.1", 5060), ("0.0.0.0", 5080), ("2001:db8::1", 5060), ("::", 5090)]
TRUSTED = ["198.51.100.2", "198.51.100.1", "2001:db8::5", "vendor.example.com"]


@pytest.mark.parametrize(
    ("node", "name"),
    [("signaling-1", "tandem_signaling_1"), ("a b;flush ruleset", "tandem_a_b_flush_ruleset")],
)
def test_name_is_safe(node: str, name: str) -> None:
    assert table_name(node) == name


def test_only_our_addresses_and_ports_are_looked_at() -> None:
    rules = create("t", LISTENERS, TRUSTED)
    jumps = [line.strip() for line in rules.splitlines() if line.endswith("jump strangers")]
    both = "meta l4proto { tcp, udp } th dport"
    assert jumps == [
        f"ip daddr 192.0.2.1 {both} 5060 jump strangers",
        f"meta nfproto ipv4 {both} 5080 jump strangers",
        f"ip6 daddr 2001:db8::1 {both} 5060 jump strangers",
        f"meta nfproto ipv6 {both} 5090 jump strangers",
    ]
    assert "policy accept" in rules


def test_what_was_left_behind_is_replaced() -> None:
    assert create("t", LISTENERS, ()).startswith(remove("t"))


def test_trunks_are_accepted_before_anything_is_dropped() -> None:
    rules = create("t", LISTENERS, TRUSTED)
    for version in ("4", "6"):
        assert rules.index(f"@trusted{version} accept") < rules.index(f"@banned{version} counter")
        assert rules.index(f"@proven{version} accept") < rules.index(f"@banned_net{version} count")
        assert rules.index(f"@banned{version} counter") < rules.index(f"@proven{version} accept")
    assert rules.index("@trusted4 accept") < rules.index("limit rate over")
    assert "trusted4 { 198.51.100.1, 198.51.100.2 }" in rules
    assert "trusted6 { 2001:db8::5 }" in rules
    assert "vendor.example.com" not in rules


def test_every_method_and_every_answer_may_begin_a_datagram() -> None:
    rules = create("t", LISTENERS, ())
    for method in METHODS:
        assert "0x" + f"{method} "[:4].encode().hex() in rules


def test_no_trunks() -> None:
    assert trust("t", []) == "flush set inet t trusted4\nflush set inet t trusted6\n"


def test_changes_replace_what_is_there() -> None:
    text = change("t", [Ban("192.0.2.9", 180.4, "scanner"), Unban("2001:db8::/64")])
    assert text.splitlines() == [
        "add element inet t banned4 { 192.0.2.9 }",
        "delete element inet t banned4 { 192.0.2.9 }",
        "add element inet t banned4 { 192.0.2.9 timeout 180s }",
        "add element inet t banned_net6 { 2001:db8:: }",
        "delete element inet t banned_net6 { 2001:db8:: }",
    ]
    assert "add element inet t proven4 { 192.0.2.9 timeout 3600s }" in change(
        "t", [Prove("192.0.2.9", 3600)]
    )


def test_files_for_sites_that_load_them_themselves() -> None:
    assert nftables_file("t", LISTENERS, TRUSTED) == create("t", LISTENERS, TRUSTED)
    lines = iptables_file(LISTENERS, TRUSTED).splitlines()
    assert (lines[0], lines[-1]) == ("*raw", "COMMIT")
    assert "-A PREROUTING -d 192.0.2.1 -p udp --dport 5060 -j TANDEM" in lines
    assert "-A PREROUTING -p tcp --dport 5080 -j TANDEM" in lines
    assert not any("2001:db8" in line for line in lines)
    accepts = max(n for n, line in enumerate(lines) if line.endswith("ACCEPT"))
    assert accepts < min(n for n, line in enumerate(lines) if line.endswith("DROP"))
    assert sum("--string" in line for line in lines) == len(SIGNATURES)


def test_networks_of_trunks_are_trusted_whole() -> None:
    rules = create("t", LISTENERS, ["192.0.2.0/24", "192.0.2.7", "2001:db8::/32"])
    assert "trusted4 { 192.0.2.0/24, 192.0.2.7 }" in rules
    assert "trusted6 { 2001:db8::/32 }" in rules
    assert rules.count("flags interval; auto-merge;") == 2
    assert "-A TANDEM -s 192.0.2.0/24 -j ACCEPT" in iptables_file(LISTENERS, ["192.0.2.0/24"])
