import pytest

from services.signaling.sip.names import (
    CANONICAL,
    COMPACT,
    LISTED,
    MOST_NAMES,
    SINGLE,
    canonical_name,
    learn_name,
)


@pytest.mark.parametrize(
    "written, canonical",
    [
        ("v", "via"),
        ("F ", "from"),
        ("cAlL-iD\t", "call-id"),
        ("X-Custom", "x-custom"),
        ("", ""),
        ("X-Internal\x0b", ""),
        (" Via", ""),
        ("To\xa0", ""),
        ("Na me", ""),
    ],
)
def test_names_are_folded_and_anything_but_a_token_is_refused(
    written: str, canonical: str
) -> None:
    assert canonical_name(written) == canonical


def test_only_space_and_tab_may_stand_before_the_colon() -> None:
    accepted = {
        byte for byte in range(256) if canonical_name("x-internal" + chr(byte)) == "x-internal"
    }
    assert accepted == {0x20, 0x09}


def test_no_header_is_both_single_and_a_list() -> None:
    assert not SINGLE & LISTED
    assert len(set(COMPACT.values())) == len(COMPACT)


def test_names_are_learned_but_not_without_end() -> None:
    assert learn_name("X-Learned") == CANONICAL["X-Learned"] == "x-learned"
    for stranger in ("", " folded", "a b", "X\x00"):
        assert learn_name(stranger) == ""
        assert stranger not in CANONICAL
    long = "X-" + "a" * 200
    assert (learn_name(long), long in CANONICAL) == (long.lower(), False)
    try:
        for n in range(2 * MOST_NAMES):
            assert learn_name(f"X-{n}") == f"x-{n}"
        assert len(CANONICAL) == MOST_NAMES
    finally:
        for name in [name for name in CANONICAL if name.startswith("X-")]:
            del CANONICAL[name]
