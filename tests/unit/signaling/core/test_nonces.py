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
