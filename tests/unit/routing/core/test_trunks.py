"""Trunks are values."""

import msgspec
import pytest

from tests.unit.routing.core.switch import customer, vendor


def test_trunks_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        vendor("a").port = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        customer().enabled = False  # type: ignore[misc]


def test_a_changed_copy_is_another_trunk() -> None:
    trunk = vendor("a")
    assert msgspec.structs.replace(trunk, port=1) != trunk
    assert msgspec.structs.replace(trunk) == trunk
