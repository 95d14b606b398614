import pytest

from services.signaling.sip.names import COMPACT, LISTED, SINGLE, canonical_name


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
