"""A running relay, and parties that are closed after the test."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.media.parties import Party, Switch


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[Switch]:
    running = Switch(tmp_path, 23_000, 23_199)
    yield running
    running.relay.stop()


@pytest.fixture
def party() -> Iterator[Callable[..., Party]]:
    """Makes parties."""
    made: list[Party] = []

    def make(host: str = "127.0.0.1") -> Party:
        made.append(Party(host))
        return made[-1]

    yield make
    for each in made:
        each.close()
