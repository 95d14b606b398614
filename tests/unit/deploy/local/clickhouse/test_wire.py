from io import BytesIO

import pytest

from deploy.local.clickhouse.errors import ConnectionEnded, MalformedPacket
from deploy.local.clickhouse.wire import WireReader, string, varint


def reader(data: bytes, *, piece: int = 1 << 20) -> WireReader:
    stream = BytesIO(data)
    return WireReader(lambda most: stream.read(min(most, piece)))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 1 << 20, (1 << 64) - 1])
def test_numbers_are_read_as_written(value: int) -> None:
    assert reader(varint(value), piece=1).varint() == value


def test_an_endless_number_is_refused() -> None:
    with pytest.raises(MalformedPacket):
        reader(b"\xff" * 20).varint()


def test_strings_are_read_as_written() -> None:
    text = "čau" * 100
    assert reader(string(text), piece=7).string(most=1000, what="a text") == text


@pytest.mark.parametrize("data", [string("x" * 11), varint(1 << 40), string(b"\xff\xfe")])
def test_long_and_broken_strings_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        reader(data).string(most=10, what="a text")


@pytest.mark.parametrize("cut", range(len(string("x" * 200))))
def test_the_end_of_the_stream_inside_a_string(cut: int) -> None:
    with pytest.raises(ConnectionEnded):
        reader(string("x" * 200)[:cut]).string(most=1000, what="a text")


STRINGS = b"".join(string("x" * length) for length in (0, 1, 127, 128, 129, 5000, 3))


@pytest.mark.parametrize("piece", [1, 2, 3, 100, 128, 129, 130, 1 << 20])
def test_strings_are_skipped_however_they_arrive(piece: int) -> None:
    source = reader(STRINGS + b"\x2a", piece=piece)
    source.skip_strings(7, most=10_000)
    assert source.byte() == 0x2A


@pytest.mark.parametrize("piece", [1, 2, 129, 1 << 20])
def test_a_sink_gets_exactly_what_is_read_while_it_is_set(piece: int) -> None:
    copied: list[bytes] = []
    source = reader(b"before" + STRINGS + b"after", piece=piece)
    source.skip(6)
    source.copy_to(copied.append)
    source.skip_strings(7, most=10_000)
    source.copy_to(None)
    assert source.take(5) == b"after"
    assert b"".join(copied) == STRINGS


def test_a_value_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedPacket):
        reader(varint(1 << 50)).skip_strings(1, most=1 << 20)


def test_skipping_past_the_end() -> None:
    with pytest.raises(ConnectionEnded):
        reader(b"x" * 9).skip(10)
