import pytest

from services.common.spool.records import (
    MAGIC,
    Kind,
    encode_acked,
    encode_event,
    join_batch,
    scan,
)

FIRST = encode_event(3, 1, b"calls.ended", b'{"call":"one"}')
SECOND = encode_event(3, 2, b"calls.progress", '{"call":"zwölf"}'.encode())
ACKED = encode_acked(3, 1)
SEGMENT = FIRST + SECOND + ACKED


def test_records_come_back_in_order_with_their_places() -> None:
    found = scan(SEGMENT, offset=100)
    assert [(one.kind, one.epoch, one.seq, one.subject) for one in found.records] == [
        (Kind.EVENT, 3, 1, "calls.ended"),
        (Kind.EVENT, 3, 2, "calls.progress"),
        (Kind.ACKED, 3, 1, ""),
    ]
    assert found.records[1].payload == '{"call":"zwölf"}'.encode()
    assert (found.records[0].start, found.records[-1].end) == (100, 100 + len(SEGMENT))
    assert (found.damaged_bytes, found.torn_bytes) == (0, 0)


@pytest.mark.parametrize("size", range(len(SEGMENT)))
def test_a_segment_cut_anywhere_keeps_every_whole_record(size: int) -> None:
    found = scan(SEGMENT[:size])
    ends = [len(FIRST), len(FIRST) + len(SECOND)]
    whole = [end for end in ends if end <= size]
    assert [one.end for one in found.records] == whole
    assert found.damaged_bytes == 0
    assert found.torn_bytes == size - max(whole, default=0)


@pytest.mark.parametrize("at", range(len(FIRST), len(FIRST) + len(SECOND)))
def test_a_flipped_bit_costs_its_own_record_only(at: int) -> None:
    damaged = bytearray(SEGMENT)
    damaged[at] ^= 0x10
    found = scan(bytes(damaged))
    assert [one.start for one in found.records] == [0, len(FIRST) + len(SECOND)]
    assert found.damaged_bytes == len(SECOND)


def test_zeros_after_the_last_record_are_a_torn_write() -> None:
    found = scan(FIRST + bytes(4096))
    assert (len(found.records), found.damaged_bytes, found.torn_bytes) == (1, 0, 4096)


def test_a_record_quoted_in_a_payload_is_not_taken_for_one() -> None:
    # A payload is UTF-8, which cannot contain the magic bytes; were it otherwise, the frame
    # around it still says where it ends.
    outer = encode_event(1, 9, b"s", b"before" + FIRST + b"after")
    assert [one.seq for one in scan(outer).records] == [9]


def test_magic_occurs_in_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        MAGIC.decode()


def test_nothing_is_an_empty_segment() -> None:
    found = scan(b"")
    assert (list(found.records), found.damaged_bytes, found.torn_bytes) == ([], 0, 0)


def test_batch_is_joined_as_the_message_format_says() -> None:
    batch = join_batch("sig-1", 3, 17, [b'{"a":1}', b'{"b":2}'])
    assert batch == b'{"node":"sig-1","epoch":3,"seq":17,"events":[{"a":1},{"b":2}]}'


def test_batch_of_no_events_is_still_a_message() -> None:
    assert join_batch("n", 1, 1, []) == b'{"node":"n","epoch":1,"seq":1,"events":[]}'
