"""The file of the last configuration: what it takes to be believed."""

import datetime as dt
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.clock import UTC
from services.common.last_known import (
    LastKnown,
    LastKnownFile,
    Unusable,
    replace_file,
    seal,
    shape_of,
    unseal,
)

SHAPE = shape_of("SELECT 1")
KNOWN = LastKnown(812, dt.datetime(2026, 11, 25, 21, 16, 15, 250_000, UTC), b"trunks\n\0\xff")
FILE = seal("signaling", SHAPE, KNOWN)


def test_what_was_written_is_read() -> None:
    assert FILE.startswith(b"tandem-configuration 1 signaling ")
    assert unseal("signaling", SHAPE, FILE) == KNOWN


def test_an_empty_configuration_is_one() -> None:
    nothing = LastKnown(0, dt.datetime(1970, 1, 1, tzinfo=UTC), b"")
    assert unseal("routing", SHAPE, seal("routing", SHAPE, nothing)) == nothing


@pytest.mark.parametrize("length", range(len(FILE)))
def test_a_file_cut_short_is_refused(length: int) -> None:
    with pytest.raises(Unusable):
        unseal("signaling", SHAPE, FILE[:length])


@pytest.mark.parametrize("at", range(len(FILE)))
@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_a_flipped_bit_is_noticed_wherever_it_is(at: int, bit: int) -> None:
    damaged = bytearray(FILE)
    damaged[at] ^= bit
    with pytest.raises(Unusable):
        unseal("signaling", SHAPE, bytes(damaged))


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\n" * 400,
        b"tandem-configuration",
        b"x" * 1000,
        FILE + b"x",
        FILE + FILE,
        bytes(len(FILE)),
        FILE.replace(b" 1 ", b" 2 ", 1),
    ],
)
def test_anything_else_is_refused(file: bytes) -> None:
    with pytest.raises(Unusable):
        unseal("signaling", SHAPE, file)


@pytest.mark.parametrize(
    ("kind", "shape"), [("routing", SHAPE), ("signaling", shape_of("SELECT 2"))]
)
def test_what_another_service_or_version_wrote_is_refused(kind: str, shape: str) -> None:
    with pytest.raises(Unusable, match="another"):
        unseal(kind, shape, FILE)


class Words:
    """A configuration of one text."""

    shape = SHAPE

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.swept = 0
        self.is_sense = True

    def write(self) -> bytes:
        return self.text

    def sweep(self) -> None:
        self.swept += 1

    def read(self, payload: bytes) -> Callable[[], None]:
        if not self.is_sense:
            raise Unusable("nonsense")

        def take() -> None:
            self.text = payload

        return take


async def test_what_is_kept_is_found_by_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "below" / "configuration"
    first = Words(b"one")
    kept = LastKnownFile(path, "signaling", first)
    await kept.keep(7)
    # Nobody else may read passwords, whatever the umask.
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.swept == 1
    next_one = Words(b"")
    found = await LastKnownFile(path, "signaling", next_one).find()
    assert found is not None
    assert (found.revision, next_one.text) == (7, b"")
    found.take()
    assert next_one.text == b"one"


async def test_the_time_of_change_says_when_it_was_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    kept = LastKnownFile(path, "signaling", Words(b"one"))
    await kept.keep(7)
    os.utime(path, (1000, 1000))
    found = await kept.find()
    assert found is not None
    assert found.confirmed_at == dt.datetime(1970, 1, 1, 0, 16, 40, tzinfo=UTC)
    content = path.read_bytes()
    await kept.keep(7)
    found = await kept.find()
    assert found is not None
    assert found.confirmed_at.year > 1970
    assert path.read_bytes() == content  # not written again


async def test_a_file_taken_away_is_written_again_at_the_next_confirmation(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    kept = LastKnownFile(path, "signaling", Words(b"one"))
    await kept.keep(7)
    path.unlink()
    assert await kept.find() is None
    await kept.keep(7)
    await kept.keep(7)
    assert await kept.find() is not None


async def test_a_disk_that_fails_costs_nothing_but_the_file(tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("")
    kept = LastKnownFile(tmp_path / "in-the-way" / "configuration", "signaling", Words(b"one"))
    await kept.keep(7)
    await kept.keep(8)
    assert await kept.find() is None


@pytest.mark.parametrize("content", [b"", b"rubbish", FILE[:-1]])
async def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "configuration"
    path.write_bytes(content)
    assert await LastKnownFile(path, "signaling", Words(b"")).find() is None


async def test_a_payload_without_sense_is_as_good_as_none(tmp_path: Path) -> None:
    words = Words(b"one")
    kept = LastKnownFile(tmp_path / "configuration", "signaling", words)
    await kept.keep(7)
    words.is_sense = False
    assert await kept.find() is None


class Faulty(Words):
    """Has a bug in every method."""

    def write(self) -> bytes:
        raise ZeroDivisionError

    def read(self, payload: bytes) -> Callable[[], None]:
        if payload == b"bug when read":
            raise ZeroDivisionError

        def take() -> None:
            raise ZeroDivisionError

        return take


async def test_a_bug_of_ours_costs_nothing_but_the_file(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    await LastKnownFile(path, "signaling", Faulty(b"")).keep(7)
    assert not path.exists()
    for text in (b"bug when read", b"bug when taken"):
        await LastKnownFile(path, "signaling", Words(text)).keep(7)
        found = await LastKnownFile(path, "signaling", Faulty(b"")).find()
        assert found is None or not found.take()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def pieces() -> list[memoryview]:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, (piece for _ in range(1) for piece in pieces()))
    assert path.read_bytes() == b"old"
    large = b"x" * (9 * 1024 * 1024)
    replace_file(path, [b"", memoryview(large), b"end"])  # and over what was left half written
    assert path.read_bytes() == large + b"end"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
