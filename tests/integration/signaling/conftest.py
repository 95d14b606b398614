"""Certificates for the tests that need any."""

from pathlib import Path

import pytest

from tests.support.signaling.secure import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
