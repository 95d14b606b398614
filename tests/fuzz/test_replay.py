"""Every seed, and everything fuzzing ever found, is replayed by every run of the tests."""

import pytest

from tests.fuzz.__main__ import RUNS, read_arguments
from tests.fuzz.seeds import FOUND, seeds
from tests.fuzz.targets import TARGETS

SEEDS = [(target, seed) for target in TARGETS for seed in seeds(target)]


@pytest.mark.parametrize(
    "target, seed", SEEDS, ids=[f"{target}-{n}" for n, (target, _) in enumerate(SEEDS)]
)
def test_seed_breaks_nothing(target: str, seed: bytes) -> None:
    TARGETS[target](seed)


def test_whatever_was_found_belongs_to_a_target() -> None:
    assert {path.name for path in FOUND.iterdir()} <= set(TARGETS)


def test_without_a_word_all_targets_are_fuzzed() -> None:
    assert set(RUNS) == set(TARGETS)
    assert read_arguments([]).targets == list(RUNS)
    assert read_arguments(["sdp", "--runs", "5"]).targets == ["sdp"]
    with pytest.raises(SystemExit):
        read_arguments(["nothing"])
