"""Nonces over several nodes."""

from __future__ import annotations

from itertools import count

import pytest

from services.signaling.core import nonces as module
from services.signaling.core.nonces import LIFETIME_S, SKEW_S, Nonces

KEY = b"shared"
NOW = 1_800_000_000


def node() -> Nonces:
    numbers = count(1)
    return Nonces(lambda: f"{next(numbers):016x}")


def test_a_nonce_of_one_node_is_good_on_another() -> None:
    nonce = node().make(KEY, "192.0.2.1", NOW)
    assert node().is_fresh(KEY, nonce, "192.0.2.1", NOW + LIFETIME_S)


@pytest.mark.parametrize(
    ("key", "source", "at"),
    [
        (b"other", "192.0.2.1", NOW),
        (KEY, "192.0.2.2", NOW),
        (KEY, "192.0.2.1", NOW + LIFETIME_S + 1),
        (KEY, "192.0.2.1", NOW - SKEW_S - 1),
    ],
)
def test_it_expires_and_is_bound_to_key_and_address(key: bytes, source: str, at: int) -> None:
    nonce = node().make(KEY, "192.0.2.1", NOW)
    assert not node().is_fresh(key, nonce, source, at)


@pytest.mark.parametrize("nonce", ["", "x", "0" * 56, "\u0131" * 56, "g" * 100])
def test_what_somebody_made_up(nonce: str) -> None:
    assert not node().is_fresh(KEY, nonce, "192.0.2.1", NOW)


def test_each_count_is_good_once() -> None:
    here = node()
    nonce = here.make(KEY, "a", NOW)
    assert here.use(nonce, 1, NOW)
    assert not here.use(nonce, 1, NOW)
    assert here.use(nonce, 3, NOW)
    assert here.use(nonce, 2, NOW)  # overtaken on the way
    assert not here.use(nonce, 2, NOW)
    assert not here.use(nonce, 3, NOW)
    assert here.use(nonce, 0xFFFFFFFF, NOW)
    assert not here.use(nonce, 4, NOW)  # too far behind to be known
    assert not here.use(nonce, 0, NOW)


def test_what_was_used_is_forgotten_only_when_it_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_USED", 2)
    here = node()
    first, second, third = (here.make(KEY, "a", NOW + after) for after in (0, 1, 2))
    for nonce in (first, second, third):
        assert here.use(nonce, 1, NOW + 2)
    # There was no room for the first one: instead of being good again it is too old now.
    assert not here.is_fresh(KEY, first, "a", NOW + 3)
    assert here.is_fresh(KEY, second, "a", NOW + 3)
    assert not here.use(second, 1, NOW + 3)
    here.use(here.make(KEY, "a", NOW + 1000), 1, NOW + 1000)
    assert len(here._used) == 1


def test_a_use_heard_of_is_not_good_here_any_more() -> None:
    there, here = node(), node()
    told: list[tuple[str, int]] = []
    there.on_used = lambda nonce, use: told.append((nonce, use))
    nonce = there.make(KEY, "a", NOW)
    assert there.use(nonce, 1, NOW)
    assert not there.use(nonce, 1, NOW)  # a replay is not worth telling
    assert there.use(nonce, 2, NOW)
    assert told == [(nonce, 1), (nonce, 2)]
    assert all(here.hear(*each, NOW) for each in told)
    assert not here.use(nonce, 1, NOW)
    assert not here.use(nonce, 2, NOW)
    assert here.use(nonce, 3, NOW)  # the telephone goes on here


def test_word_that_comes_late_or_out_of_order_takes_nothing_back() -> None:
    here = node()
    nonce = node().make(KEY, "a", NOW)
    assert here.hear(nonce, 3, NOW)
    assert here.hear(nonce, 1, NOW)
    assert not here.use(nonce, 3, NOW)
    assert not here.use(nonce, 1, NOW)
    assert here.use(nonce, 2, NOW)


def test_a_use_taken_at_both_nodes_is_noticed() -> None:
    here = node()
    nonce = node().make(KEY, "a", NOW)
    assert here.use(nonce, 1, NOW)
    assert not here.hear(nonce, 1, NOW)


def test_what_is_heard_is_not_told_again() -> None:
    here = node()
    here.on_used = lambda nonce, use: pytest.fail(f"told of {nonce} {use}")
    assert here.hear(node().make(KEY, "a", NOW), 1, NOW)


@pytest.mark.parametrize(
    "nonce",
    [
        "",
        "6b49d200",
        "6B49D20" + "0" * 49,
        "-1" + "0" * 54,
        "0x" + "0" * 54,
        " 6b49d2" + "0" * 49,
        "\u0661" * 56,
        "6b49d200" + "0" * 1000,
        "00000000" + "0" * 48,
        "ffffffff" + "0" * 48,
    ],
)
def test_what_cannot_be_a_nonce_now_is_not_remembered(nonce: str) -> None:
    here = node()
    far = NOW if len(nonce) != 8 else NOW + 10**6
    assert here.hear(nonce, 1, far)
    assert not here._used


def test_a_flood_of_word_is_bounded_and_makes_no_old_one_good_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_USED", 10)
    here, there = node(), node()
    mine = here.make(KEY, "a", NOW)
    assert here.use(mine, 1, NOW)
    for _ in range(100):
        here.hear(there.make(KEY, "b", NOW + SKEW_S), 1, NOW)
    assert len(here._used) <= 10
    assert not here.is_fresh(KEY, mine, "a", NOW)
    # Whoever is challenged now is still let in: the nonce is dated so that it counts.
    fresh = here.make(KEY, "a", NOW)
    assert here.is_fresh(KEY, fresh, "a", NOW + 2)


def test_a_node_believes_no_nonce_from_before_its_start() -> None:
    """Of the process that was killed, too: in the very second of the start."""
    before = Nonces(lambda: "0" * 16, started_s=NOW - 100).make(KEY, "a", NOW)
    here = Nonces(lambda: "1" * 16, started_s=NOW)
    assert not here.is_fresh(KEY, before, "a", NOW)
    assert not here.is_fresh(KEY, before, "a", NOW + 1)
    own = here.make(KEY, "a", NOW)
    assert here.is_fresh(KEY, own, "a", NOW)
    assert here.is_fresh(KEY, own, "a", NOW + LIFETIME_S)
    # A neighbour that has been up for long takes it, too.
    assert node().is_fresh(KEY, own, "a", NOW)
