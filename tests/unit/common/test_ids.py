from services.common.ids import CALL, new_id, uuid7


def test_uuid7_is_laid_out_as_rfc_9562_says() -> None:
    # RFC 9562 appendix A.6.
    random = bytes.fromhex("0cc318c4dc0c0c07398f")
    value = uuid7(0x017F22E279B0, random)
    assert value == "017f22e279b07cc398c4dc0c0c07398f"


def test_random_bits_never_reach_version_and_variant() -> None:
    for random in (b"\x00" * 10, b"\xff" * 10):
        value = uuid7(0, random)
        assert value[12] == "7"
        assert value[16] in "89ab"


def test_ids_sort_by_time() -> None:
    early, late = uuid7(1000, b"\xff" * 10), uuid7(1001, b"\x00" * 10)
    assert early < late


def test_new_ids_carry_their_prefix_and_differ() -> None:
    made = {new_id(CALL) for _ in range(1000)}
    assert len(made) == 1000
    assert all(one.startswith("cal_") and len(one) == 36 for one in made)
