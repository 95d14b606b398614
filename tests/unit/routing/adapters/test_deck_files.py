"""Rate tables on the disk."""

import os
from pathlib import Path

import pytest

from services.common.last_known import Unusable
from services.common.pricing.prefix_table import PrefixTable, Prices, Rate, key_of, table_of
from services.routing.adapters.deck_files import DeckFiles


def table(*prefixes: str, price: int = 10**8) -> PrefixTable:
    prices = Prices(0, price, price, 0)
    return table_of(Rate(prefix, number, prices) for number, prefix in enumerate(prefixes, 1))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("prefixes", [(), ("",), ("49", "4930", "1")])
def test_a_table_comes_back_as_it_was(tmp_path: Path, prefixes: tuple[str, ...]) -> None:
    written = table(*prefixes)
    (name,) = DeckFiles(tmp_path).write({"dck_1": written}).values()
    read = DeckFiles(tmp_path).read(name)
    assert [read.rate(row) for row in range(len(read))] == [
        written.rate(row) for row in range(len(written))
    ]
    for number in ("49301", "4940", "1", "33"):
        assert read.find(key_of(number), 0) == written.find(key_of(number), 0)
    assert os.stat(tmp_path / f"{name}.deck").st_mode & 0o777 == 0o600


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    (name,) = DeckFiles(tmp_path).write({"dck_1": table("49")}).values()
    path = tmp_path / f"{name}.deck"
    os.utime(path, (1000, 1000))
    files = DeckFiles(tmp_path)
    for _ in range(2):
        # The same rates under any name, read anew each time.
        assert files.write({"dck_2": table("49"), "dck_3": table("49")}) == {
            "dck_2": name, "dck_3": name,
        }  # fmt: skip
    assert path.stat().st_mtime == 1000


def test_what_no_deck_needs_goes_once_it_is_swept(tmp_path: Path) -> None:
    files = DeckFiles(tmp_path)
    kept, changed = table("49"), table("33")
    before = files.write({"dck_1": kept, "dck_2": changed})
    after = files.write({"dck_1": kept, "dck_2": table("33", "331")})
    (tmp_path / "0.deck.new").write_bytes(b"half")
    (tmp_path / "configuration").write_bytes(b"not ours")
    assert len(names(tmp_path)) == 5  # a crash now leaves what the old configuration needs
    files.sweep()
    assert names(tmp_path) == sorted(
        [*(f"{name}.deck" for name in after.values()), "configuration"]
    )
    assert before["dck_1"] == after["dck_1"]


@pytest.mark.parametrize("at", [0, 12, 40, -1])
def test_a_damaged_table_is_refused_and_written_anew(tmp_path: Path, at: int) -> None:
    files, rates = DeckFiles(tmp_path), table("49", "33")
    (name,) = files.write({"dck_1": rates}).values()
    path = tmp_path / f"{name}.deck"
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(Unusable):
        files.read(name)
    assert files.write({"dck_1": rates}) == {"dck_1": name}
    assert len(files.read(name)) == 2


def test_a_table_cut_short_or_gone_is_refused(tmp_path: Path) -> None:
    files = DeckFiles(tmp_path)
    (name,) = files.write({"dck_1": table("49")}).values()
    path = tmp_path / f"{name}.deck"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Unusable):
        files.read(name)
    with pytest.raises(FileNotFoundError):
        files.read(name)
