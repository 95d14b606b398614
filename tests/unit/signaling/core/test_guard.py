"""Bans by literal time: who is kept out, who never is, and that no table grows."""

from __future__ import annotations

import pytest

from services.signaling.core.guard import (
    MOST_BANS,
    NETWORK_FACTOR,
    PROVEN_S,
    USER_FACTOR,
    Ban,
    Guard,
    GuardRules,
    Prove,
    Unban,
    ban_target,
    network_of,
    overlaps,
)

RULES = GuardRules(max_retry=3, suspend_s=100, unknown_limit=5)
BAD = "203.0.113.66"


def test_failed_authentications_suspend_the_source_for_a_while() -> None:
    guard = Guard(RULES)
    for second in range(3):
        assert guard.on_auth_failed(BAD, "alice", 10.0 + second) == []
    assert not guard.is_banned(BAD, 12.9)
    assert guard.on_auth_failed(BAD, "alice", 13.0) == [Ban(BAD, 100, "authentication")]
    assert guard.is_banned(BAD, 112.9)
    assert not guard.is_banned(BAD, 113.0)
    assert not guard.is_banned("203.0.113.67", 13.0)


def test_failures_far_apart_are_forgotten() -> None:
    guard = Guard(RULES)
    for minute in range(20):
        assert guard.on_auth_failed(BAD, "alice", 61.0 * minute) == []


def test_success_clears_what_was_counted() -> None:
    guard = Guard(RULES)
    for _ in range(3):
        guard.on_auth_failed(BAD, "alice", 1.0)
    assert guard.on_auth_succeeded(BAD, "alice", 2.0) == [Prove(BAD, PROVEN_S)]
    assert guard.on_auth_succeeded(BAD, "alice", 62.0) == []
    assert guard.on_auth_failed(BAD, "alice", 3.0) == []


def test_zero_means_never() -> None:
    guard = Guard(GuardRules(max_retry=0, unknown_limit=0))
    for _ in range(1000):
        assert guard.on_auth_failed(BAD, "alice", 1.0) == []
        assert guard.on_unknown(BAD, 1.0) == []


def test_stranger_may_send_a_few_requests_a_minute() -> None:
    guard = Guard(RULES)
    for _ in range(5):
        assert guard.on_unknown(BAD, 1.0) == []
    assert guard.on_unknown(BAD, 2.0) == [Ban(BAD, 100, "unknown_source")]
    assert guard.on_unknown(BAD, 2.0) == []  # those that were on their way already
    assert guard.counters == {"unknown_source": 7, "banned_unknown_source": 1}


@pytest.mark.parametrize(
    ("hosts", "network"),
    [
        ([f"203.0.113.{n}" for n in range(1, 60)], "203.0.113.0/24"),
        ([f"2001:db8:0:1::{n:x}" for n in range(1, 60)], "2001:db8:0:1::/64"),
    ],
)
def test_network_whose_addresses_take_turns_is_banned_as_a_whole(
    hosts: list[str], network: str
) -> None:
    guard = Guard(RULES)
    actions = [action for host in hosts[:40] for action in guard.on_unknown(host, 1.0)]
    assert actions == []
    for host in hosts:
        actions += guard.on_auth_failed(host, host, 1.0)
    assert actions == [Ban(network, 100, "authentication")]
    assert len(hosts) > 3 * NETWORK_FACTOR
    assert guard.is_banned(hosts[-1], 1.0)
    assert not guard.is_banned("198.51.100.1", 1.0)
    assert guard.unban(network) == [Unban(network)]
    assert not guard.is_banned(hosts[-1], 1.0)


def test_scanner_is_banned_at_once() -> None:
    guard = Guard(RULES)
    assert guard.on_scanner(BAD, 1.0) == [Ban(BAD, 100, "scanner")]


def test_forged_messages_ban_no_source_that_has_proven_itself() -> None:
    guard = Guard(RULES)
    guard.on_auth_succeeded(BAD, "alice", 1.0)
    assert guard.on_scanner(BAD, 2.0) == []
    for _ in range(50):
        assert guard.on_unknown(BAD, 2.0) == []
    guard.ban("203.0.113.0/24", 60, 2.0)
    assert not guard.is_banned(BAD, 3.0)
    assert guard.is_banned("203.0.113.67", 3.0)
    # Credentials over our nonce cannot be forged: those count against it.
    actions = [action for _ in range(4) for action in guard.on_auth_failed(BAD, "alice", 4.0)]
    assert actions == [Ban(BAD, 100, "authentication")]
    assert guard.is_banned(BAD, 4.0)


def test_user_under_attack_goes_on_from_where_he_was() -> None:
    guard = Guard(RULES)
    guard.on_auth_succeeded("192.0.2.1", "alice", 1.0)
    for n in range(3 * USER_FACTOR + 1):
        guard.on_auth_failed(f"10.{n}.0.1", "alice", 2.0)
    assert guard.is_suspended("alice", "10.200.0.1", 3.0)
    assert not guard.is_suspended("alice", "192.0.2.1", 3.0)
    assert not guard.is_suspended("bob", "10.200.0.1", 3.0)
    assert not guard.is_suspended("alice", "10.200.0.1", 103.0)


def test_operator_bans_and_lets_in() -> None:
    guard = Guard(RULES)
    assert guard.ban(BAD, 5.0, 1.0) == [Ban(BAD, 5.0, "operator")]
    assert guard.is_banned(BAD, 2.0)
    assert [(ban.target, ban.until, ban.hits) for ban in guard.bans(2.0)] == [(BAD, 6.0, 1)]
    assert guard.unban(BAD) == [Unban(BAD)]
    assert guard.unban(BAD) == []
    assert not guard.is_banned(BAD, 2.0)


def test_after_unban_nothing_is_held_against_it() -> None:
    guard = Guard(RULES)
    for _ in range(6):
        guard.on_unknown(BAD, 1.0)
    guard.unban(BAD)
    for _ in range(5):
        assert guard.on_unknown(BAD, 1.0) == []


def test_bug_class_14_attacker_with_a_whole_network_fills_no_table() -> None:
    guard = Guard(RULES, most_counted=1000)
    for n in range(30_000):
        host = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        guard.on_unknown(host, 1.0)
        guard.on_auth_failed(host, host, 1.0)
        guard.on_auth_succeeded(host, host, 1.0)
    assert all(len(tally) <= 1000 for tally in (guard._unknown, guard._failed_users))
    assert len(guard._proven) <= 1000
    banned = [
        guard.ban(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 60, 2.0) for n in range(MOST_BANS + 5)
    ]
    assert banned[-1][1] == Unban("10.0.0.4")
    assert len(list(guard.bans(2.0))) == MOST_BANS


def test_what_is_over_is_forgotten() -> None:
    guard = Guard(RULES)
    guard.ban("203.0.113.0/24", 5, 1.0)
    guard.on_auth_succeeded(BAD, "alice", 1.0)
    for _ in range(3 * USER_FACTOR + 1):
        guard.on_auth_failed("192.0.2.1", "alice", 1.0)
    guard.on_timer(5000.0)
    assert (len(guard._bans), len(guard._proven), len(guard._users)) == (0, 0, 0)
    assert guard._networks == 0


def test_meters_name_the_busiest() -> None:
    guard = Guard(RULES)
    for host, times in (("192.0.2.1", 2), ("192.0.2.2", 4)):
        for _ in range(times):
            guard.on_unknown(host, 1.0)
    meters = guard.meters(2.0, most=1)
    assert meters["unknown_source"] == [("192.0.2.2", 4)]
    assert meters["unknown_network"] == [("192.0.2.0/24", 6)]
    assert guard.meters(100.0)["unknown_source"] == []


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("192.0.2.1", "192.0.2.1"), ("[2001:DB8::1]", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:db8::/64", "2001:db8::/64"),
    ],
)  # fmt: skip
def test_targets_are_written_one_way(text: str, target: str) -> None:
    assert ban_target(text) == target


@pytest.mark.parametrize("text", ["", "example.com", "192.0.2.0/16", "192.0.2.1/24", "::/0"])
def test_other_targets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        ban_target(text)


@pytest.mark.parametrize(
    ("target", "is_trunk"),
    [
        ("192.0.2.1", True), ("198.51.100.7", True), ("198.51.100.64", False),
        ("192.0.2.0/24", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_trunks_are_known_by_address_and_by_network(target: str, *, is_trunk: bool) -> None:
    assert overlaps(target, ["example.com", "192.0.2.1", "198.51.100.0/26"]) is is_trunk


def test_what_is_no_address_has_no_network() -> None:
    assert network_of("example.com") == ""
