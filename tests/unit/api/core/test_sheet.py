import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.core.problems import Rejected
from services.api.core.sheet import Row, SheetReader

SHEET = '\ufeffCode,Name\r\n1,"A, ""B"""\n\n2,"two\nlines"\n3,é'.encode()
ROWS: list[Row] = [
    (1, ["Code", "Name"]),
    (2, ["1", 'A, "B"']),
    (4, ["2", "two\nlines"]),
    (5, ["3", "é"]),
]


def read(*pieces: bytes) -> list[Row]:
    reader = SheetReader()
    rows = [row for piece in pieces for row in reader.feed(piece)]
    return [*rows, *reader.finish()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_make_the_same_rows(size: int) -> None:
    assert read(*(SHEET[at : at + size] for at in range(0, len(SHEET), size))) == ROWS


@given(st.lists(st.integers(0, len(SHEET)), max_size=6))
def test_pieces_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(SHEET)]
    assert read(*(SHEET[a:b] for a, b in itertools.pairwise(edges))) == ROWS


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(delimiter: str) -> None:
    text = delimiter.join(["a", "b"]) + "\n" + delimiter.join(["1", "2"])
    assert read(text.encode()) == [(1, ["a", "b"]), (2, ["1", "2"])]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a,b\n1,\xff\n", "UTF-8"),
        (b'a,b\n1,"open\n2,x\n', "never closed"),
        (b"a,b\n" + b"x" * 70_000, "longer"),
        (b'a,b\n"' + b"x\n" * 70_000, "longer"),
        (b'a,b\n"1"2,3\n', "rows.2.*expected after"),
    ],
)
def test_what_is_no_csv_ends_it(data: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        read(data)


def test_nothing() -> None:
    assert read() == []
    assert read(b"\n\r\n  \n") == []
