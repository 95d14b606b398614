"""The identity of a boot."""

from services.common.boot import boot_id


def test_this_machine_says_when_it_was_started() -> None:
    assert len(boot_id()) == 36
