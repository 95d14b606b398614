"""Hashes of RFC 7616."""

from services.common.digest import ALGORITHMS, every_ha1, ha1, hexdigest


def test_the_hashes_of_the_example_of_rfc_7616_section_3_9_1() -> None:
    user = ("Mufasa", "http-auth@example.org", "Circle of Life")
    assert ha1("MD5", *user) == "3d78807defe7de2157e2b0b6573a855f"
    assert ha1("SHA-256", *user) == (
        "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
    )


def test_one_hash_per_algorithm() -> None:
    kept = every_ha1("alice", "sip", "secret")
    assert tuple(kept) == ALGORITHMS == ("SHA-512-256", "SHA-256", "MD5")
    assert [len(one) for one in kept.values()] == [64, 64, 32]
    assert "secret" not in str(kept)


def test_a_password_is_utf_8() -> None:
    assert ha1("MD5", "a", "b", "pässword") == hexdigest("MD5", "a:b:pässword".encode())
