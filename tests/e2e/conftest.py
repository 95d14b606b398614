"""One switch for all tests of a module; each test dials a number of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.support.lab import Lab, document


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("switch")) as lab:
        lab.apply(document(lab.vendors, media_proxy=True))
        yield lab


@pytest.fixture
def stage(lab: Lab, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(lab, tmp_path)
    yield stage
    stage.close()
